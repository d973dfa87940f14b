"""Suffix evaluation without tracing: module calls that ended before the changed weight was first used are answered from a record.

Works on any network that does the same calls in the same order until then; what happens between calls is done again. Calls are
numbered as they begin, so that a call with all calls inside it is one interval of numbers.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from compression.engine.plain import Pairs, Weights, installed, skeleton


class Call(NamedTuple):
    """One recorded call: the number of calls begun when it ended, and what it returned."""

    end: int
    output: Any


class Record(NamedTuple):
    """One batch, and all calls of the original's run on it."""

    x: Tensor
    calls: list[Call]


class Memo:
    """The engine for networks that cannot be traced."""

    kind, bitwise = "memo", True

    def __init__(self, module: nn.Module, names: tuple[str, ...], sample: Tensor, why: str = "") -> None:
        self.module, self.names, self.sample, self.why = module, names, sample, why
        self.root = skeleton(module)
        self.first: dict[str, int] = {}  # by module name: number of its first call
        self._calls: list[Call | None] = []
        self._number, self._until = 0, -1  # calls begun; while replaying, calls that ended by then are not made again
        self._recording = False
        self._fragile: set[int] = set()  # calls whose result is overwritten later on: it is kept, and given out, as a copy
        for name, m in self.root.named_modules():
            if name:
                m.forward = self._watched(m.forward, name)
        self._find_fragile(sample)

    def twin(self) -> "Memo":
        """Another one for another thread."""
        return Memo(self.module, self.names, self.sample, self.why)

    def _watched(self, forward: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            number = self._number
            self._number += 1
            if self._recording:
                self._calls.append(None)
                self.first.setdefault(name, number)
                output = forward(*args, **kwargs)
                self._calls[number] = Call(self._number, _copied(output) if number in self._fragile else output)
                return output
            known = self._calls[number] if number < self._until else None
            if known is not None and known.end <= self._until:
                self._number = known.end
                return _copied(known.output) if number in self._fragile else known.output
            return forward(*args, **kwargs)
        return call

    def _record(self, x: Tensor) -> tuple[Tensor, Record]:
        self._number, self._recording, self._calls = 0, True, []
        try:
            scores = self.root(x)
        finally:
            self._recording = False
        return scores, Record(x, self._calls)

    def _find_fragile(self, x: Tensor) -> None:
        """Compare what each call returned with a copy made at once; what differs in the end was overwritten."""
        with torch.no_grad():
            self._fragile = set(range(1_000_000))
            _, copies = self._record(x)
            self._fragile = set()
            _, kept = self._record(x)
        self._fragile = {i for i, (a, b) in enumerate(zip(copies.calls, kept.calls)) if not _equal(a.output, b.output)}

    def dense(self, x: Tensor) -> tuple[Tensor, Record]:
        """The original's scores for a batch, and its calls."""
        with torch.inference_mode():
            return self._record(x)

    def scores(self, x: Tensor) -> Tensor:
        """The original's scores, nothing kept."""
        with torch.inference_mode():
            return self._plainly({}, x)

    def record(self, x: Tensor, groups: Iterable[frozenset[str]], weights: Weights | None = None) -> Record:
        """The calls of a run with some weights replaced, apart from the changes to come."""
        with torch.inference_mode(), installed(self.root, weights or {}):
            return self._record(x)[1]

    def changed(self, record: Record, pairs: Pairs) -> Tensor:
        """Scores of each variant on its rows, one after another."""
        with torch.inference_mode():
            if pairs.rows is None:
                return torch.cat([self._replay(record, w, pairs.names or w) for w in pairs.weights])
            return torch.cat([self._plainly(w, record.x[r]) for w, r in zip(pairs.weights, pairs.rows)])

    def _plainly(self, weights: Weights, x: Tensor) -> Tensor:
        """One variant on some rows of the batch: the record holds all of them, so the whole network is asked."""
        with installed(self.root, weights):
            return self.root(x)

    def _replay(self, record: Record, weights: Weights, names: Iterable[str]) -> Tensor:
        self._number, self._calls = 0, record.calls
        self._until = min(self._begins(name) for name in names)
        try:
            with installed(self.root, weights):
                return self.root(record.x)
        finally:
            self._until = -1

    def _begins(self, name: str) -> int:
        """Number of the first call of the module that holds a parameter, or of the nearest module around it that is called."""
        owner = name
        while owner:
            owner = owner.rpartition(".")[0]
            if owner in self.first:
                return self.first[owner]
        return 0


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return type(value)(map(_copied, value)) if type(value) in (tuple, list) else value


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.equal(a, b)
    return all(map(_equal, a, b)) if type(a) in (tuple, list) else True
