"""One layer on the bench: a chain of steps carried out on it alone, step by step, and along one dial; and beside another method."""

from typing import NamedTuple

import numpy as np
import torch

from app import compute
from app.compute import Picture
from app.drawn import Drawn, Setting
from app.found import pictures
from compression import measure
from compression.apply import encode, prepared
from compression.encoded import Encoded, Factored
from compression.method import Value
from compression.network import Network
from compression.places import Bitmap, Gaps, Sparse, place_sizes
from compression.pruning.disagreement import Disagreement, disagreement
from compression.recipe import Step, step
from compression.registry import method, methods

RUNGS = 13  # at most, along a dial
CORNER = 48  # outputs and inputs of a weight that are shown entry by entry
BINS = 40
CODES = "quantization.uniform"  # a coder needs codes: on its own it gets those of this method at 4 bits


class Stacked(NamedTuple):
    """One step of the chain, with what the layer weighs before and after."""

    title: str
    before: int
    after: int
    refused: str  # why it was passed over; empty where it was not


def stack(net: Network, layer: str, chain: tuple[Step, ...]) -> list[Stacked]:
    """Bytes before and after each step."""
    rows, before, known = [], net.layer(layer).weight.numel() * 4, 0
    for i, each in enumerate(chain):
        form, refused = encode(net.layer(layer), chain[: i + 1], compute.memo(), net.digest)
        rows.append(Stacked(method(each.method).title, before, form.nbytes, refused[-1] if len(refused) > known else ""))
        before, known = form.nbytes, len(refused)
    return rows


def alone(name: str, own: Step) -> tuple[Step, ...]:
    """A method's step with what it cannot do without: a coder needs codes."""
    return (step(CODES, bits=4), own) if method(name).consumes == "codes" else (own,)


def fitting(net: Network, name: str) -> list[str]:
    """The layers that a method applies to by itself."""
    codes = method(name).consumes == "codes"
    return [layer.name for layer in net.layers if codes or method(name).why_not(layer.weight, layer) is None]


def picture(net: Network, layer: str, chain: tuple[Step, ...]) -> Picture:
    """Histograms, bytes and error of the layer after the whole chain."""
    form, refused = encode(net.layer(layer), chain, compute.memo(), net.digest)
    return compute.picture_of(net.digest, net.layer(layer), chain, form, refused)


def relative(net: Network, layer: str, chain: tuple[Step, ...]) -> float:
    """‖W − Ŵ‖ / ‖W‖."""
    return _kept("relative", net, layer, chain, lambda form: measure.error(net.layer(layer).weight, form.decode()).relative)


def _kept(what: str, net: Network, layer: str, chain: tuple[Step, ...], make: object) -> object:
    form, _ = encode(net.layer(layer), chain, compute.memo(), net.digest)
    return compute.kept((what, net.digest, layer, chain), lambda: make(form))


class Rung(NamedTuple):
    """One setting of a dial: what the layer weighs, and its error."""

    value: Value
    nbytes: int
    sqnr: float


def along(net: Network, layer: str, chain: tuple[Step, ...], knob: str) -> list[Rung]:
    """The last step at rungs spread over one knob's ladder and at the present one, its other knobs as they are."""
    last, weight = chain[-1], net.layer(layer).weight
    ladder = method(last.method).knob(knob).ladder
    spread = {round(i * (len(ladder) - 1) / max(1, min(RUNGS, len(ladder)) - 1)) for i in range(min(RUNGS, len(ladder)))}

    def at(value: Value) -> Rung:
        each = Step(last.method, tuple((k, value if k == knob else v) for k, v in last.knobs))
        form, _ = encode(net.layer(layer), (*chain[:-1], each), compute.memo(), net.digest)
        return Rung(value, form.nbytes, measure.error(weight, form.decode()).sqnr)

    others = tuple((k, v) for k, v in last.knobs if k != knob)
    return [compute.kept(("rung", net.digest, layer, chain[:-1], last.method, others, knob, ladder[p]), lambda p=p: at(ladder[p]))
            for p in sorted(spread | {ladder.index(last[knob])})]


def found(net: Network, layer: str, chain: tuple[Step, ...]) -> tuple[str, list[Drawn]]:
    """What the last step prepared: a sentence, and its pictures at the present setting."""
    ready = prepared(net.layer(layer), chain, compute.memo(), net.digest)
    if ready is None:
        return "", []
    last, weight = chain[-1], net.layer(layer).weight
    known = method(last.method)

    def draw(form: Encoded) -> list[Drawn]:
        rank = form.left.decode().shape[-1] if type(form) is Factored else None
        return pictures(ready, Setting(weight, form.decode(), known.knobs, dict(last.knobs), last.method.split(".")[0], rank,
                                       tuple(each.name for each in net.layers)))

    said = (type(ready).__doc__ or "").strip().splitlines()[0] if hasattr(ready, "_asdict") else ""
    return said, _kept("found", net, layer, chain, draw)


def places(net: Network, layer: str, chain: tuple[Step, ...]) -> dict[str, int]:
    """Bytes of each way to store which weights were kept, by its name, the one in use first; empty where none is."""
    weight = net.layer(layer).weight

    def sizes(form: Encoded) -> dict[str, int]:
        if not (isinstance(form, Sparse) and isinstance(form.places, (Bitmap, Gaps))):
            return {}
        kept = torch.zeros(weight.numel(), dtype=torch.bool)
        kept[form.places.decode()] = True
        others = sorted(place_sizes(kept, weight[0].numel()).items(), key=lambda pair: pair[1])
        own = {measure.place_format(form): form.places.nbytes}
        return own | {name: count for name, count in others if name not in own}

    return _kept("places", net, layer, chain, sizes)


class Corner(NamedTuple):
    """The first outputs and inputs of a weight, as trained and as stored; both (outputs, inputs)."""

    before: np.ndarray
    after: np.ndarray


def corner(net: Network, layer: str, chain: tuple[Step, ...]) -> Corner:
    """Entry by entry, as many as can be told apart."""
    def cut(form: Encoded) -> Corner:
        return Corner(*(np.atleast_2d(w.reshape(len(w), -1)[:CORNER, :CORNER].numpy()) for w in (net.layer(layer).weight, form.decode())))

    return _kept("corner", net, layer, chain, cut)


def rivals(name: str) -> list[str]:
    """Other prunings that leave single zeros at any sparsity, to be compared with one."""
    def ladder(n: str) -> tuple[Value, ...] | None:
        return next((k.ladder for k in methods()[n].knobs if k.name == "sparsity"), None)

    return [n for n in methods() if n != name and n.startswith("pruning.") and ladder(n)] if name.startswith("pruning.") and ladder(name) else []


class Opposed(NamedTuple):
    """Two criteria at about one sparsity: who keeps which weight, and how large those weights are."""

    corner: np.ndarray  # (outputs, inputs) 0 neither, 1 the second alone, 2 the first alone, 3 both
    counts: tuple[int, int, int, int]  # in that order
    share: float  # on which they disagree
    by_chance: float
    edges: np.ndarray
    sizes: tuple[np.ndarray, ...]  # weights by magnitude, for each of the four
    refused: str = ""  # why the second does not apply; the rest is then empty
    at: Value | None = None  # the second's sparsity


def opposing(own: Step, other: str) -> Step:
    """The other pruning at its rung that is nearest to one's sparsity."""
    ladder = method(other).knob("sparsity").ladder
    return step(other, sparsity=min(ladder, key=lambda r: abs(float(r) - float(own["sparsity"]))))


def opposed(net: Network, layer: str, own: Step, other: str) -> Opposed:
    """A pruning beside another, at about its sparsity."""
    second = opposing(own, other)
    key = ("opposed", net.digest, layer, own, second)
    return compute.kept(key, lambda: _opposed(net, layer, own, second))


def _opposed(net: Network, layer: str, own: Step, second: Step) -> Opposed:
    (one, _), (two, refused) = (encode(net.layer(layer), (s,), compute.memo(), net.digest) for s in (own, second))
    if refused:
        return Opposed(np.empty((0, 0)), (0, 0, 0, 0), 0.0, 0.0, np.empty(0), (), refused[0])
    d: Disagreement = disagreement(one, two)
    size, keeps = net.layer(layer).weight.abs().flatten(), d.keeps.flatten()
    top = float(torch.quantile(size[:: max(1, len(size) // 100_000)], 0.999)) or 1.0
    sizes = tuple(torch.histc(size[keeps == who].clamp(max=top), BINS, 0, top).numpy().astype(int) for who in range(4))
    return Opposed(d.keeps[:CORNER, :CORNER].numpy(), d.counts, d.share, d.by_chance, np.linspace(0, top, BINS + 1), sizes, at=second["sparsity"])
