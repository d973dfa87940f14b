"""Suffix evaluation on a traced network: only what follows from the changed weights runs again, the rest is read from a record."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from compression.engine.attention import open_attention, without_idle
from compression.engine.batch import Axes, joined, take
from compression.engine.fold import fold, pool_by_views
from compression.engine.linear import quick_linears
from compression.engine.plain import Pairs, Weights, installed
from compression.engine.plan import Operations, Plan, execute
from compression.engine.trace import rounds, trace


class Record(list[Any]):
    """The values of one run by place, None where not kept; the last is the batch itself."""

    low: "Record | None" = None  # the same in lower precision, as far as it was asked for: see screen.py


class Graph:
    """The engine for networks that torch.fx can trace, whatever their branches: residual, attention, recurrent, tied.

    folded: rewritten to run sooner, batch normalisation taken into the convolutions; channels_last: pixels are kept with their
    channels together, which suits the processor's convolutions. Neither changes the scores but in the last bits. together:
    answers of all variants in one stacked batch. Raises Untraceable.
    """

    kind, why = "graph", ""

    def __init__(self, module: nn.Module, names: tuple[str, ...], sample: Tensor, folded: bool = True, channels_last: bool = True,
                 together: int = 512) -> None:
        self.module, self.names, self.sample = module, names, sample
        self.folded, self.channels_last, self.together = folded, channels_last, together
        graph, self.root = trace(module)
        self.rounds = rounds(graph)
        self.factors, opened, linears = {}, 0, 0
        if folded:
            without_idle(graph, self.root)
            opened = open_attention(graph, self.root)
            pool_by_views(graph, self.root)
            self.factors = fold(graph, self.root)
            linears = quick_linears(graph, self.root)
        convolutions = [m for m in self.root.modules() if isinstance(m, nn.Conv2d)]
        if channels_last:
            for m in convolutions:
                m.weight = nn.Parameter(_channels_together(m.weight.detach()), requires_grad=False)
        self.operations = Operations(graph, self.root)
        self.plans: dict[Any, Any] = {}
        crossing = {p for name in names for p in self._plan(frozenset([name])).reads}
        self.keep = frozenset(crossing)  # what a change of any one weight may read; of several, no more than that
        self.axes = Axes.of(self._everything, sample)
        answers = self._everything(sample[:2])[self.operations.output][..., 0].numel() // 2
        self.stack = max(16, together // max(1, answers))  # examples in a stacked batch
        self.bitwise = not self.factors and not opened and not linears and not (channels_last and convolutions)

    def twin(self) -> "Graph":
        """Another one for another thread."""
        return Graph(self.module, self.names, self.sample, self.folded, self.channels_last, self.together)

    def dense(self, x: Tensor) -> tuple[Tensor, Record]:
        """The original's scores for a batch, and its record: the values that a change of any of the weights may read."""
        with torch.inference_mode():
            values = self._run(x, self.keep)
            return values[self.operations.output], values

    def scores(self, x: Tensor) -> Tensor:
        """The original's scores, nothing kept."""
        with torch.inference_mode():
            return self._run(x, frozenset())[self.operations.output]

    def record(self, x: Tensor, groups: Iterable[frozenset[str]], weights: Weights | None = None) -> Record:
        """The record for some changes only, each of the weights of one group together: what they do not read is left out.

        weights: what stands in the network instead of the original's own, apart from the changes to come.
        """
        needed = frozenset().union(*map(self._before, groups))
        with torch.inference_mode(), installed(self.root, self._as_run(weights or {})):
            return self._run(x, self.keep, needed)

    def _before(self, names: frozenset[str]) -> frozenset[int]:
        """Places of what must run to know the values that a change of some weights may read."""
        if ("before", names) not in self.plans:
            self.plans["before", names] = self.operations.ancestors(self._plan(names).reads)
        return self.plans["before", names]

    def changed(self, record: list[Any], pairs: Pairs) -> Tensor:
        """Scores of each variant on its rows, one after another: (sum of the rows, ...). All variants change the same weights."""
        weights = [self._as_run(w) for w in pairs.weights]
        names = frozenset(weights[0] if pairs.names is None else pairs.names)
        with torch.inference_mode():
            if pairs.rows is None:
                n = len(record[-1])
                if len(weights) == 1 or self.bitwise or n * len(weights) > self.stack or not self._stackable(names):
                    return torch.cat([self._one(record, names, w) for w in weights])
                return self._stacked(record, names, weights, [torch.arange(n)] * len(weights), shared=True)
            if not self._stackable(names):
                return torch.cat([self._again(record, names, w, r) for w, r in zip(weights, pairs.rows)])
            return torch.cat([self._stacked(record, names, weights[a:b], pairs.rows[a:b]) for a, b in self._groups(pairs.rows)])

    def _groups(self, rows: Any) -> list[tuple[int, int]]:
        """Neighbouring variants whose rows together make a batch of good size."""
        groups, start, count = [], 0, 0
        for i, r in enumerate(rows):
            if i > start and count + len(r) > self.stack:
                groups.append((start, i))
                start, count = i, 0
            count += len(r)
        return [*groups, (start, len(rows))]

    def _as_run(self, weights: Weights) -> dict[str, Tensor]:
        """Weights as this engine's network holds them: folded, channels together."""
        ready = {}
        for name, w in weights.items():
            w = w * self.factors[name] if name in self.factors else w
            ready[name] = _channels_together(w) if self.channels_last and w.ndim == 4 else w
        return ready

    def _plan(self, names: frozenset[str], stacked: bool = False) -> Plan:
        key = (names, stacked)
        if key not in self.plans:
            first = self.operations.users_of(names)
            if stacked:
                first = self.operations.consumers(first)
            self.plans[key] = self.operations.plan(first, without=frozenset(first) if stacked else frozenset())
        return self.plans[key]

    def _run(self, x: Tensor, keep: frozenset[int], only: frozenset[int] | None = None) -> Record:
        if ("dense", keep) not in self.plans:
            every = range(len(self.operations.nodes) - 1)
            self.plans["dense", keep] = self.operations.plan(every, keep, without=frozenset([self.operations.input]))
        values = Record([None] * len(self.operations.nodes))
        x = x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.ndim == 4 else x
        values[self.operations.input] = values[-1] = x  # the last place is the output node's, which computes nothing
        execute(self.plans["dense", keep], values, only)
        return values

    def _everything(self, x: Tensor) -> list[Any]:
        """The values of all operations, none overwritten or let go."""
        with torch.inference_mode():
            return self._run(x, frozenset(range(len(self.operations.nodes))))

    def _one(self, record: list[Any], names: frozenset[str], weights: Weights) -> Tensor:
        values = list(record)
        with installed(self.root, weights):
            execute(self._plan(names), values)
        return values[self.operations.output]

    def _again(self, record: list[Any], names: frozenset[str], weights: Weights, rows: Tensor) -> Tensor:
        """One variant on some rows, where their values cannot be cut out of the record: from the input on."""
        return self._one(self.record(record[-1][rows], [names]), names, weights)

    def _stackable(self, names: frozenset[str]) -> bool:
        first = self._plan(names, stacked=True).first
        if len(first) != 1 or not self.axes.along(first[0]):
            return False
        return self.axes.known((*self._plan(names).reads, *self._plan(names, stacked=True).reads))

    def _stacked(self, record: list[Any], names: frozenset[str], weights: list[Weights], rows: Any, shared: bool = False) -> Tensor:
        """Several variants in one batch: each has its own first operation, then all rows go through the rest together."""
        plan, n = self._plan(names, stacked=True), len(record[-1])
        place = plan.first[0]
        operands = self.operations.nodes[place].all_input_nodes
        own = [self.operations.place[a] for a in operands if a.op == "get_attr"]  # the weights themselves, read afresh
        here = [self.operations.place[a] for a in operands if a.op != "get_attr"]
        results = []
        for w, r in zip(weights, rows):
            values = list(record)
            for p in () if shared else here:
                values[p] = take(record[p], self.axes[p], r, n)
            with installed(self.root, w):
                for p in own:
                    values[p] = self.operations.run[p](values)
                results.append(self.operations.run[place](values))
        values, every = list(record), torch.cat(list(rows))
        for p in plan.reads:
            values[p] = take(record[p], self.axes[p], every, n)
        values[place] = joined(results, self.axes[place])
        execute(plan, values)
        return values[self.operations.output]


def _channels_together(weight: Tensor) -> Tensor:
    """A convolution's weight in channels-last order, and said to be so even where one channel makes both orders the same.

    torch takes such a weight for the other order, gives the result in it, and the next convolution turns all of it around.
    """
    weight = weight.contiguous(memory_format=torch.channels_last)
    height, width = weight.shape[2:]
    return weight.as_strided(weight.shape, (height * width, 1, width, 1)) if weight.shape[1] == 1 else weight
