"""How options act together: what one layer's option moves the scores by adds up over layers better than the divergences do.

Let u_i be by how much layer i's option alone moves the scores z. To first order the whole choice gives z + Σ u_i, and the divergence of that
holds what the errors of two layers do to each other, which a sum of single divergences leaves out. To second order these are the cross
terms of CLADO (Deng et al. 2023, arXiv:2307.05657), which measures every pair of options; here one pass of each option gives all of them.
"""

from collections.abc import Generator, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.apply import encode
from compression.budget.exact import exact
from compression.budget.problem import Choice, Limit, Problem, Rows
from compression.budget.tables import Table
from compression.engine.choose import choose
from compression.engine.instrument import Instrument
from compression.engine.plain import Pairs, skeleton

Places = tuple[int, ...]
EXAMPLES = {"images": 256, "text": 32, "vectors": 256}  # training examples
PIECE = {"images": 64, "text": 8, "vectors": 256}  # of them at a time
MOST = 8_000_000  # scores that are kept: of many options and classes, fewer examples' are
SECONDS = 1.0  # for a step, which need not be proven to be the best
LEAST = 1e-9  # nats by which a change must lower the divergence to be made


@dataclass(frozen=True, eq=False)
class Moves:
    """By how much each layer's options, alone, move the scores of some examples from where one choice has them."""

    old: Tensor  # (n, classes) log-probabilities of the original
    scores: Tensor  # (n, classes) of the choice that is moved from
    rows: tuple[Tensor, ...]  # by layer, (options, n, classes), in the order of the table; 0 for the options of that choice

    def nats(self, places: Places) -> float:
        """The divergence of a whole choice from the original, if moves add up."""
        return float(self._divergence(self._at(places)))

    def exchanged(self, places: Places) -> Rows:
        """What each option would add to that divergence in its layer's place, with all other layers as chosen; 0 for those chosen."""
        now = self._at(places)
        before = self._divergence(now)
        return tuple((self._divergence(now - row[p] + row) - before).double().numpy() for row, p in zip(self.rows, places, strict=True))

    def _at(self, places: Places) -> Tensor:
        return self.scores + torch.stack([row[p] for row, p in zip(self.rows, places, strict=True)]).sum(0)

    def _divergence(self, scores: Tensor) -> Tensor:
        return (self.old.exp() * (self.old - F.log_softmax(scores, -1))).sum(-1).mean(-1)


def moving(instrument: Instrument, table: Table, memo: MutableMapping[Any, Any], start: Places | None = None) -> Iterator[Moves | float]:
    """Ask every option of a table for its scores on training examples: how far that is, as a share, and at the end what was found.

    start: the choice that is moved from; the original where there is none.
    """
    net, rows = instrument.network, table.rows
    start = start or tuple(next(j for j, o in enumerate(row) if o.step is None) for row in rows)
    data = net.data.get("train") or next(iter(net.data.values()))
    inputs = data.inputs[: EXAMPLES[data.kind]]
    pieces = inputs.split(PIECE[data.kind])
    done, of, stored = 0, len(rows) * (1 + len(pieces)), []
    for done, row in enumerate(rows, start=1):
        stored.append([None if o.step is None else encode(net.layer(o.layer), (o.step,), memo)[0] for o in row])
        yield done / of

    def weights(i: int, j: int) -> dict[str, Tensor]:
        layer, form = net.layer(rows[i][j].layer), stored[i][j]
        return dict.fromkeys(layer.names, layer.weight if form is None else form.decode())

    original = instrument.fast(inputs).engine
    engine = original if all(row[j].step is None for row, j in zip(rows, start, strict=True)) else choose(
        _standing(net.module, {name: w for i, j in enumerate(start) for name, w in weights(i, j).items()}), net.layers, inputs[:3])
    each = MOST // sum(map(len, rows)) * PIECE[data.kind] // len(inputs)
    old: list[Tensor] = []
    scores: list[Tensor] = []
    moved: list[list[Tensor]] = [[] for _ in rows]
    for x in pieces:
        now, record = engine.dense(x)
        flat = now.float().flatten(0, -2)
        kept = torch.linspace(0, len(flat) - 1, min(len(flat), max(1, each // flat.shape[-1]))).long()
        scores.append(flat[kept])
        old.append(original.scores(x).float().flatten(0, -2)[kept])
        for i, row in enumerate(rows):
            asked = Pairs([weights(i, j) for j in range(len(row))], None, frozenset(net.layer(row[0].layer).names))
            after = engine.changed(record, asked).float().unflatten(0, (len(row), -1)).flatten(1, -2)
            moved[i].append((after[:, kept] - flat[kept]).index_fill_(0, torch.tensor(start[i]), 0.0))
            done += 1
            yield done / of
    yield Moves(F.log_softmax(torch.cat(old), -1), torch.cat(scores), tuple(torch.cat(found, 1) for found in moved))


def _standing(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """The module with other weights in place of some, the rest shared."""
    found = skeleton(module)
    for full, weight in weights.items():
        prefix, _, name = full.rpartition(".")
        setattr(found.get_submodule(prefix), name, nn.Parameter(weight, requires_grad=False))
    return found


def descended(moves: Moves, problem: Problem, start: Places) -> Generator[None, None, Choice]:
    """From a choice down to one of less divergence together, within the same limits; its cost is what moves.nats() says. Yields in between.

    Each time the best exchange of any number of layers is looked for, as if they did not act on each other; where together they do not
    lower the divergence, half as many may change. No promise that no choice is better.
    """
    now, cost, most = start, moves.nats(start), len(start)
    while most >= 1:
        apart = tuple(np.arange(len(row)) != p for row, p in zip(problem.cost, now, strict=True))
        near = Limit("layers changed", tuple(row.astype(float) for row in apart), most)
        found = exact(replace(problem, cost=moves.exchanged(now), limits=(*problem.limits, near)), SECONDS).places
        yield
        if found == now:
            break
        if (less := moves.nats(found)) < cost - LEAST:
            now, cost = found, less
        else:
            most = min(most, sum(a != b for a, b in zip(now, found))) // 2
    return Choice(now, cost)
