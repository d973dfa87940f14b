"""One layer on the bench: a chain of steps carried out on it alone, step by step, and along one dial."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from app import compute
from app.compute import Picture
from compression import measure
from compression.apply import encode, prepared
from compression.method import Value
from compression.network import Network
from compression.recipe import Step
from compression.registry import method

RUNGS = 13  # at most, along a dial
POINTS = 400  # at most, of a curve that is drawn


class Stacked(NamedTuple):
    """One step of the chain, with what the layer weighs before and after."""

    title: str
    before: int
    after: int
    refused: str  # why it was passed over; empty where it was not


def stack(net: Network, layer: str, chain: tuple[Step, ...]) -> list[Stacked]:
    """Bytes before and after each step."""
    rows, before, known = [], net.layer(layer).weight.numel() * 4, 0
    for i, step in enumerate(chain):
        form, refused = encode(net.layer(layer), chain[: i + 1], compute.memo(), net.digest)
        rows.append(Stacked(method(step.method).title, before, form.nbytes, refused[-1] if len(refused) > known else ""))
        before, known = form.nbytes, len(refused)
    return rows


def picture(net: Network, layer: str, chain: tuple[Step, ...]) -> Picture:
    """Histograms, bytes and error of the layer after the whole chain."""
    form, refused = encode(net.layer(layer), chain, compute.memo(), net.digest)
    return compute.kept(("picture", net.digest, layer, chain), lambda: compute.picture(net.layer(layer), chain, form, refused))


class Rung(NamedTuple):
    """One setting of a dial: what the layer weighs, and its error."""

    value: Value
    nbytes: int
    sqnr: float


def along(net: Network, layer: str, chain: tuple[Step, ...], knob: str) -> list[Rung]:
    """The last step at rungs spread over one knob's ladder, its other knobs as they are."""
    last, weight = chain[-1], net.layer(layer).weight
    ladder = method(last.method).knob(knob).ladder
    places = dict.fromkeys(round(i * (len(ladder) - 1) / max(1, min(RUNGS, len(ladder)) - 1)) for i in range(min(RUNGS, len(ladder))))

    def at(value: Value) -> Rung:
        step = Step(last.method, tuple((k, value if k == knob else v) for k, v in last.knobs))
        form, _ = encode(net.layer(layer), (*chain[:-1], step), compute.memo(), net.digest)
        return Rung(value, form.nbytes, measure.error(weight, form.decode()).sqnr)

    return [compute.kept(("rung", net.digest, layer, chain, knob, ladder[p]), lambda p=p: at(ladder[p])) for p in places]


class Drawn(NamedTuple):
    """One thing that a method's preparation found, as an array to be drawn."""

    name: str
    values: np.ndarray  # (n,) a curve, or (rows, columns) a map


def found(net: Network, layer: str, chain: tuple[Step, ...]) -> tuple[str, list[Drawn]]:
    """What the last step prepared: a sentence, and its curves and maps. Whole weights are left out: the histogram shows them."""
    ready = prepared(net.layer(layer), chain, compute.memo(), net.digest)
    if ready is None:
        return "", []
    said = (type(ready).__doc__ or "").strip().splitlines()[0]
    shape = net.layer(layer).weight.shape
    fields = ready._asdict().items() if hasattr(ready, "_asdict") else []
    drawn = [Drawn(_words(name), thinned) for name, value in fields if (thinned := _thin(value, shape)) is not None]
    return said, drawn[:4]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _thin(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """A tensor worth drawing, with at most POINTS points a side; None for what is no curve and no map."""
    if not isinstance(value, Tensor) or value.shape == shape or value.numel() < 3 or value.ndim > 2 or not value.dtype.is_floating_point:
        return None
    sides = [np.unique(np.linspace(0, n - 1, min(n, POINTS if value.ndim == 1 else 100)).astype(int)) for n in value.shape]
    return value.numpy()[np.ix_(*sides)]
