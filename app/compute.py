"""Everything slow, done once: the only user of st.cache_*. Keys are content hashes and frozen values, never tensors."""

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from app import jobs
from app.memory import Bounded
from compression import measure, models
from compression.apply import Compressed, compress, smaller, up_to
from compression.encoded import Encoded
from compression.evaluate import Progress, evaluate
from compression.export import file_size, pack
from compression.method import Layer
from compression.models import Card
from compression.network import Network
from compression.own.examples import own_splits, read_data
from compression.own.reading import open_file
from compression.recipe import Recipe, Step
from compression.score import changed, size_of, stages
from compression.search import Point, study
from compression.sensitivity import Cell, scan
from compression.zoo import shipped

BINS = 100


@st.cache_resource(show_spinner=False)
def warm() -> None:
    """Once per process: one torch thread for each Python thread, and what is loaded by now out of the collector's way."""
    torch.set_num_threads(1)
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
def dense() -> Bounded:
    """Answers of original networks, part by part."""
    return Bounded(1 << 28)


@st.cache_resource(show_spinner=False)
def finished() -> Bounded:
    """All states of finished evaluations, by network, fingerprint and split."""
    return Bounded(1 << 28)


def names(own: Iterable[str]) -> dict[str, str]:
    """Titles of the networks that can be opened, by name: those shipped, then a person's own that are still held."""
    return {name: shipped.ZOO[name].title for name in shipped.available()} | {name: _own()[name].title for name in own if name in _own()}


def known(name: str) -> bool:
    """Whether a network of that name can be opened."""
    return name in shipped.available() or name in _own()


class Opening(NamedTuple):
    """A person's own network with what there is to say of it."""

    network: Network
    card: Card | None  # None without data to try it on
    notes: tuple[str, ...]


def open_files(weights: tuple[str, bytes], architecture: str | None, examples: tuple[str, bytes] | None,
               shape: tuple[int, ...] | None) -> Opening:
    """A network from uploaded files: of a shipped architecture, or (None) of the one that fits, else a plain chain of layers.

    Raises ValueError in a sentence or two that say what was wrong and what to do.
    """
    opened = open_file(*weights)
    title = weights[0].rsplit(".", 1)[0][:40]
    fitting = models.matching_architectures(opened.tensors) if architecture is None else [architecture]
    notes = opened.notes
    if fitting and fitting[0] != CHAIN:
        net = models.shipped_architecture(opened.tensors, fitting[0], title)
        notes = (*notes, f"Opened as {shipped.ZOO[fitting[0]].title}.")
        if examples:
            own = own_splits(read_data(examples[1], examples[0], net))
            net = replace(net, data=MappingProxyType(own))
    else:
        data = read_data(examples[1], examples[0], shape=shape) if examples else None
        net, assumed = models.guessed(opened.tensors, title, data, shape)
        notes = (*notes, *assumed)
    first = next(iter(net.data.values()), None)
    card = models.check(net, first) if first else None
    keep(net)
    return Opening(net, card, (*notes, *(card.notes if card else ())))


CHAIN = "a plain chain of layers"


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
    return (recipe.first, *(recipe.chain(layer.name) for layer in net.layers))


def compressed(net: Network, recipe: Recipe) -> Compressed:
    """A recipe on a network; layers done before are not done again."""
    return compress(net, recipe, memo())


def kept(key: Any, make: Callable[[], Any]) -> Any:
    """What is held under a key, made now where it is not."""
    found = memo().get(key)
    if found is None:
        found = memo()[key] = make()
    return found


class Picture(NamedTuple):
    """What the charts need of one layer."""

    name: str
    kind: str
    count: int
    chain: tuple[Step, ...]
    edges: np.ndarray  # (bins + 1,)
    before: np.ndarray  # (bins,)
    after: np.ndarray  # (bins,), entries that are zero left out
    zeros: float
    threshold: float | None  # the magnitude that separates what was removed from what was kept, where one does
    bytes_before: int
    bytes_after: int
    sqnr: float
    items: dict[str, int]
    refused: tuple[str, ...]


def pictures(net: Network, recipe: Recipe) -> tuple[Picture, ...]:
    """One picture for each layer, in network order."""
    done = compressed(net, recipe)
    rows = []
    for layer in done.network.layers:
        chain = recipe.chain(layer.name)
        form, refused = done.encoded[layer.name], done.refused[layer.name]
        rows.append(kept(("picture", done.network.digest, layer.name, chain), lambda args=(layer, chain, form, refused): picture(*args)))
    return tuple(rows)


def picture(layer: Layer, chain: tuple[Step, ...], form: Encoded, refused: tuple[str, ...]) -> Picture:
    """What the charts need of a layer that is stored in some form."""
    weight, decoded = layer.weight, form.decode()
    values, new = weight.flatten(), decoded.flatten()
    most = float(values.abs().max()) or 1.0
    kept = new[new != 0]
    cut = _cut(values, new) if any(s.method.startswith("pruning") for s in chain) else None
    edges = np.linspace(-most, most, BINS + 1)
    wrong = measure.error(weight, decoded)
    counts = [torch.histc(v, BINS, -most, most).numpy().astype(np.int64) for v in (values, kept.clamp(-most, most))]
    return Picture(layer.name, layer.kind, weight.numel(), chain, edges, *counts, 1 - len(kept) / max(len(new), 1),
                   cut, 4 * weight.numel(), form.nbytes, wrong.sqnr,
                   measure.itemised(form), refused)


def _cut(before: Tensor, after: Tensor) -> float | None:
    """The magnitude up to which all weights were removed and above which all were kept; None where there is none."""
    size, gone = before.abs(), (after == 0) & (before != 0)
    largest = float(size[gone].max()) if bool(gone.any()) else None
    return largest if largest is not None and bool((size[after != 0] >= largest).all()) else None


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
    return kept(("costs", net.digest, fingerprint(net, recipe)), lambda: _costs(net, recipe))


def _costs(net: Network, recipe: Recipe) -> Costs:
    rows, done = pictures(net, recipe), compressed(net, recipe)
    items: dict[str, int] = {}
    for row in rows:
        for word, count in row.items.items():
            items[word] = items.get(word, 0) + count
    rest = file_size(done)
    items |= {"biases and norms": rest["biases and norms"], "header": rest["header"]}
    weights = done.weights()
    originals = {layer.names[0]: layer.weight for layer in done.network.layers}
    wrong = measure.total_error(originals, {name: weights[name] for name in originals})
    sizes = stages(net, recipe, memo())
    return Costs(size_of(done), sizes["original"], sizes, items, operations(net, up_to(recipe, "rank")), operations(net, Recipe()),
                 wrong.sqnr, wrong.zeros)


def operations(net: Network, recipe: Recipe) -> int | None:
    """Multiply-adds of one forward pass of the really smaller network; None where there is no example to count with."""
    if net.example is None:
        return None
    key = ("operations", net.digest, fingerprint(net, recipe))
    return kept(key, lambda: measure.multiply_adds(smaller(compressed(net, recipe)), net.example))


def judging(net: Network, recipe: Recipe, split: str) -> Iterator[Progress]:
    """An evaluation, from memory where it was finished before."""
    key = (net.digest, fingerprint(net, recipe), net.data[split].digest)
    known = finished().get(key)
    if known is not None:
        yield from known
        return
    done, states = compressed(net, recipe), []
    for progress in evaluate(done.network, changed(done, done.weights()), net.data[split], dense()):
        states.append(progress)
        yield progress
    finished()[key] = states


def scanning(net: Network, name: str, knob: str, values: tuple[Any, ...], split: str, count: int) -> Iterator[Cell]:
    """A sensitivity scan with the shared memory of answers."""
    return scan(net, name, knob, values, net.data[split], count, memo(), dense())


def studying(net: Network, recipes: list[Recipe], split: str, count: int) -> Iterator[Point]:
    """A study with the shared memory of answers."""
    return study(net, recipes, net.data[split], count, memo(), dense())


def packed(net: Network, recipe: Recipe) -> bytes:
    """The file itself."""
    return pack(compressed(net, recipe))
