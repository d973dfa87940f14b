"""Everything slow, done once: the only user of st.cache_*. Keys are content hashes and frozen values, never tensors."""

import ctypes
import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import streamlit as st
import torch

from app import jobs
from app.disk import Disk, folder
from app.memory import Bounded
from app.pictures import Picture, outline, picture
from compression import measure, models
from compression.apply import Compressed, compress, smaller, up_to
from compression.cluster.where import HERE, Where
from compression.encoded import Encoded
from compression.engine.answers import Mismatch
from compression.engine.instrument import Instrument
from compression.evaluate import Progress, Quality
from compression.export import file_size, pack
from compression.network import Layer, Network
from compression.recipe import Recipe, Step
from compression.score import size_of, stages
from compression.takeaway import apply_py
from compression.zoo import shipped

LARGE = -3  # glibc's M_MMAP_THRESHOLD: without it 914 MB stayed with the process after 10^8 weights, with it 194
BATCHES = (1, 64)  # examples, for which a latency is measured
READY = 12  # networks, rewritten ones included


@st.cache_resource(show_spinner=False)
def warm() -> None:
    """Once per process: one torch thread for each Python thread, large memory given back when freed, the collector out of the way."""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        ctypes.CDLL(None).mallopt(LARGE, 8 << 20)
    gc.collect()
    gc.freeze()


@st.cache_resource(scope="session", show_spinner=False, on_release=jobs.leave)
def arrive(owner: str) -> str:
    """Tie a session's jobs to the session: they stop when it ends."""
    return owner


@st.cache_resource(show_spinner=False)
def _own() -> Bounded:
    """Networks that people opened, by name."""
    return Bounded(2 << 30)


@st.cache_resource(show_spinner=False)
def memo() -> Bounded:
    """Prepared and answered layers."""
    return Bounded(1 << 30)


@st.cache_resource(show_spinner=False)
def kept_on_disk() -> Disk:
    """What was measured before this start."""
    return Disk(folder())


@st.cache_resource(show_spinner=False)
def _instruments() -> OrderedDict[tuple[str, float], Instrument]:
    """Networks made ready, the newest few."""
    return OrderedDict()


def instrument(net: Network, shadow: float = 0.0) -> Instrument:
    """A network made ready for questions."""
    held = _instruments()
    key = (net.digest, shadow)
    if key not in held:
        held[key] = Instrument(net, kept_on_disk(), shadow)
        while len(held) > READY:
            held.popitem(last=False)
    return held[key]


@st.cache_resource(show_spinner=False)
def finished() -> Bounded:
    """Finished evaluations, by network, fingerprint and data."""
    return Bounded(1 << 28)


def names(own: Iterable[str]) -> dict[str, str]:
    """Titles of the networks that can be opened, by name: those shipped, then a person's own that are still held."""
    return {name: shipped.ZOO[name].title for name in shipped.available()} | {name: _own()[name].title for name in own if name in _own()}


def known(name: str) -> bool:
    """Whether a network of that name can be opened."""
    return name in shipped.available() or name in _own()


@st.cache_resource(show_spinner="Opening your network…")
def from_command_line(model: str | None, data: str | None) -> tuple[str | None, str | None]:
    """The name of the network that `-- --model package.module:function --data package.module:function` asks for, or a sentence why not."""
    if model is None:
        return None, None if data is None else "--data was given without --model; give both, or open a file from the sidebar."
    try:
        net = models.own_network(model, data)
    except ValueError as error:
        return None, str(error)
    keep(net)
    return net.name, None


def keep(network: Network) -> None:
    """Make a person's own network available under its name."""
    _own()[network.name] = network


def network(name: str) -> Network:
    """A network by name. Raises ValueError with the names there are."""
    return _own().get(name) or shipped.load(name)


def fingerprint(net: Network, recipe: Recipe) -> tuple[tuple[Step, ...], ...]:
    """What a recipe comes to on this network, layer by layer: equal for recipes that do the same."""
    return kept(("fingerprint", net.digest, recipe), lambda: (recipe.first, recipe.repairs, *(recipe.chain(x.name) for x in net.layers)))


def compressed(net: Network, recipe: Recipe) -> Compressed:
    """A recipe on a network; layers done before are not done again. Without its repairs until these have been made."""
    return memo().get(_repaired(net, recipe)) or compress(net, replace(recipe, repairs=()), memo())


def _repaired(net: Network, recipe: Recipe) -> Any:
    return "repaired", net.digest, fingerprint(net, recipe)


def waits_for_repairs(net: Network, recipe: Recipe) -> bool:
    """Whether a recipe's repairs are still to be made."""
    return bool(recipe.repairs) and _repaired(net, recipe) not in memo()


def complete(net: Network, recipe: Recipe) -> Compressed:
    """A recipe on a network with its repairs, which take seconds the first time."""
    return kept(_repaired(net, recipe), lambda: compress(net, recipe, memo())) if recipe.repairs else compressed(net, recipe)


def kept(key: Any, make: Callable[[], Any]) -> Any:
    """What is held under a key, made now where it is not."""
    found = memo().get(key)
    if found is None:
        found = memo()[key] = make()
    return found


def picture_of(digest: str, layer: Layer, chain: tuple[Step, ...], form: Encoded, refused: tuple[str, ...], repaired: Any = (),
               before: Layer | None = None) -> Picture:
    """One layer's picture in this form; its outline, which no recipe changes, is drawn once: that of another layer where one is given."""
    drawn = kept(("outline", digest, layer.name), lambda: outline(before or layer))
    return kept(("picture", digest, layer.name, chain, repaired), lambda: picture(layer, chain, form, refused, drawn))


def pictures(net: Network, recipe: Recipe) -> tuple[Picture, ...]:
    """One picture for each layer, in network order."""
    done = compressed(net, recipe)
    repaired = fingerprint(net, recipe) if done.notes else ()
    return tuple(picture_of(done.network.digest, layer, recipe.chain(layer.name), done.encoded[layer.name], done.refused[layer.name], repaired,
                            _before(done.network, layer)) for layer in done.network.layers)


def _before(net: Network, layer: Layer) -> Layer:
    """The layer whose weights a picture begins with: where training left a layer stored, that of the network it began from."""
    there = [x for x in net.reference.layers if x.name == layer.name and x.weight.shape == layer.weight.shape]
    return there[0] if layer.stored is not None and there else layer


class Costs(NamedTuple):
    """The sizes, operations and errors of a recipe."""

    file_bytes: int
    original_bytes: int
    stages: dict[str, int]
    items: dict[str, int]
    multiply_adds: int | None
    original_multiply_adds: int | None
    sqnr: float
    zeros: float


def costs(net: Network, recipe: Recipe) -> Costs:
    """Everything about a recipe that needs no data."""
    return kept(("costs", net.digest, fingerprint(net, recipe), waits_for_repairs(net, recipe)), lambda: _costs(net, recipe))


def _costs(net: Network, recipe: Recipe) -> Costs:
    rows, done = pictures(net, recipe), compressed(net, recipe)
    items: dict[str, int] = {}
    for row in rows:
        for word, count in row.items.items():
            items[word] = items.get(word, 0) + count
    rest = file_size(done)
    items |= {"biases and norms": rest["biases and norms"], "header": rest["header"]}
    wrong = measure.together(row.error for row in rows)
    sizes = stages(net, recipe, memo())
    return Costs(size_of(done), sizes["original"], sizes, items, operations(net, up_to(recipe, "rank")), operations(net.reference, Recipe()),
                 wrong.sqnr, wrong.zeros)


def operations(net: Network, recipe: Recipe) -> int | None:
    """Multiply-adds of one forward pass of the really smaller network; None where there is no example to count with."""
    if net.example is None:
        return None
    key = ("operations", net.digest, fingerprint(net, recipe))
    return kept(key, lambda: measure.multiply_adds(smaller(compressed(net, recipe)), net.example))


def timing(net: Network, recipe: Recipe, beside: Network | None = None) -> Iterator[measure.Latency | None]:
    """How long the really smaller network takes beside the original, or another one, a result for each size of batch; kept for this start."""
    other, done = smaller(complete(net, recipe)), []
    given = next((data.inputs for data in net.data.values()), net.example)
    for batch in BATCHES:
        inputs = given[:batch] if len(given) >= batch else given[:1].expand(batch, *given.shape[1:])
        for found in measure.latency((beside or net).module, other, inputs):
            done += [found] if found is not None else []
            yield found
    memo()["timed", net.digest, fingerprint(net, recipe), (beside or net).digest] = tuple(done)


def timed(net: Network, recipe: Recipe, beside: Network | None = None) -> tuple[measure.Latency, ...]:
    """The newest timings of a recipe on this machine, one for each size of batch; none where it was not timed."""
    return memo().get(("timed", net.digest, fingerprint(net, recipe), (beside or net).digest), ())


def found(net: Network, recipe: Recipe, split: str) -> Quality | None:
    """The finished judgement of a recipe, where there is one."""
    progress = finished().get((net.digest, fingerprint(net, recipe), net.data[split].digest))
    return progress and progress.quality


def judging(net: Network, recipe: Recipe, split: str, shadow: float = 0.0) -> Iterator[Progress | None]:
    """An evaluation, from memory where it was finished before; None while there is nothing new to say."""
    data = net.data[split]
    key = (net.digest, fingerprint(net, recipe), data.digest)
    found = finished().get(key) if not shadow else None
    if found is not None:
        yield found
        return
    done = complete(net, recipe)
    yield None
    try:
        for progress in instrument(done.network, shadow).judging(done, data, instrument(net.reference)):
            if progress is not None and progress.quality.complete:
                finished()[key] = progress  # before it is given: whoever has it may go on at once
            yield progress
    except Mismatch as error:
        raise ValueError(f"The shadow check found a difference, so this result was thrown away: {error}. Please report it.") from error


@st.cache_resource(show_spinner=False)
def workplaces() -> list[Where]:
    """Where studies and scans can run."""
    return [HERE]


def script(net: Network, recipe: Recipe, split: str) -> str:
    """apply.py, with what was measured on a split where that is finished."""
    return apply_py(net, recipe, complete(net, recipe), found(net, recipe, split) if split else None)


def packed(net: Network, recipe: Recipe) -> bytes:
    """The file itself."""
    return pack(complete(net, recipe))
