"""Which two layers hurt each other: together they lose more than the sum of what each loses alone.

All pairs are looked at first, by divergence on a few examples: a pair is suspicious when its own exceeds the sum of both. The few most
suspicious are measured: each layer alone and the two together on the same examples, so that the excess has an interval of its own.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from compression.crew import LOOKED_AT, bank_of, few
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.engine.plain import Pairs
from compression.evaluate import parts
from compression.recipe import Step
from compression.registry import rewrites
from compression.removal import groups
from compression.sensitivity import Cell

MOST = 24  # layers of which all pairs are looked at: those that diverge most
Weights = Mapping[str, Tensor]


class Both(NamedTuple):
    """Two cells alone and together, on the same examples. Drops are shares of the answers."""

    first: Cell
    second: Cell
    alone: tuple[float, float]
    together: float
    half: float  # half-width of the interval of the excess; those of all pairs hold together with 95 %
    n: int
    of: int

    @property
    def excess(self) -> float:
        """How much more both lose together than the sum of what each loses alone."""
        return self.together - sum(self.alone)

    @property
    def hurts(self) -> bool:
        return self.excess > self.half


def interplay(instrument: Instrument, chosen: Sequence[Cell], data: Data, count: int = 5, close: float = 0.005) -> Iterator[tuple[Both, ...] | None]:
    """The most suspicious pairs of the chosen cells, one for each layer, the worst first: after each part of the examples narrower.

    Ends when every excess is known to `close` (share of the answers), or all examples were asked. None while pairs are looked for.
    Drops are accuracy lost; without labels, answers changed.
    """
    yield from instrument.answered(data)
    first, _ = instrument.known(data) or (None, None)
    assert first is not None
    weights: list[Weights] = []
    for cell in chosen:
        yield None
        weights.append(_weights(instrument, cell))
    work = [i for i, changed in enumerate(weights) if changed]
    suspects = yield from _suspects(instrument, weights, work, data, count)
    if not suspects:
        yield ()
        return
    z = NormalDist().inv_cdf(1 - 0.025 / len(suspects))
    fast, asked = instrument.fast(data.inputs), [*((i,) for i in sorted({i for pair in suspects for i in pair})), *suspects]
    differences: dict[tuple[int, ...], list[Tensor]] = {which: [] for which in asked}
    n = 0
    for rows in (piece for part in parts(data) for piece in part.split(instrument.pace(data.inputs).batch)):
        x, old = data.inputs[rows], first.answers[rows]
        for which in asked:
            both = _joined([weights[i] for i in which])
            said = fast.changed(x, fast.engine.record(x, [frozenset(both)]), Pairs([both], None, frozenset(both)))
            truth = None if data.labels is None else data.labels[rows]
            change = (said != old).double() if truth is None else (old == truth).double() - (said == truth).double()
            differences[which].append(change.flatten(1).mean(1) if change.ndim > 1 else change)
        n += len(rows)
        found = tuple(_both(chosen, pair, {which: torch.cat(d) for which, d in differences.items()}, z, n, len(data)) for pair in suspects)
        yield tuple(sorted(found, key=lambda b: -b.excess))
        if n >= min(len(data), 2 * LOOKED_AT) and all(b.half <= close for b in found):
            return


def _both(chosen: Sequence[Cell], pair: tuple[int, int], differences: Mapping[tuple[int, ...], Tensor], z: float, n: int, of: int) -> Both:
    a, b, joint = differences[pair[:1]], differences[pair[1:]], differences[pair]
    excess = joint - a - b
    spread = float(excess.square().mean() - excess.mean().square()) * n / max(1, n - 1)
    half = z * sqrt(spread / n) if spread > 0 else 3 / n  # where no example differs, the rule of three
    return Both(chosen[pair[0]], chosen[pair[1]], (float(a.mean()), float(b.mean())), float(joint.mean()), half, n, of)


def _weights(instrument: Instrument, cell: Cell) -> Weights:
    """By parameter name what a cell changes; nothing where it changes nothing."""
    net = instrument.network
    layer = next(g.reader for g in groups(net) if g.number == cell.step["group"]) if cell.step.method in rewrites() else cell.layer
    rows: dict[str, tuple[Step, ...]] = {layer: (cell.step,)}
    bank = bank_of(net, rows)
    for _ in bank.fill():
        pass
    return {} if bank.refused or bank.same else bank.weights(0)


def _joined(several: Sequence[Weights]) -> dict[str, Tensor]:
    return {name: weight for weights in several for name, weight in weights.items()}


def _suspects(instrument: Instrument, weights: Sequence[Weights], work: Sequence[int], data: Data,
              count: int) -> Generator[None, None, list[tuple[int, int]]]:
    """The pairs whose divergence most exceeds the sum of both, looked for piece by piece."""
    teach = instrument.network.data.get("train", data)
    x = teach.inputs[: few(teach)]
    engine = instrument.fast(data.inputs).engine
    old = F.log_softmax(engine.scores(x).float(), -1)

    def nats(which: Sequence[int]) -> float:
        both = _joined([weights[i] for i in which])
        new = F.log_softmax(engine.changed(engine.record(x, [frozenset(both)]), Pairs([both], None, frozenset(both))).float(), -1)
        return float((old.exp() * (old - new)).sum(-1).mean())

    alone: dict[int, float] = {}
    for i in work:
        alone[i] = nats((i,))
        yield None
    loud = sorted(sorted(alone, key=lambda i: -alone[i])[:MOST])
    excess: dict[tuple[int, int], float] = {}
    for a, b in combinations(loud, 2):
        excess[a, b] = nats((a, b)) - alone[a] - alone[b]
        yield None
    return sorted(excess, key=lambda pair: -excess[pair])[:count]
