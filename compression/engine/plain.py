"""The plain path: ask the whole network again. Every quicker path is judged by it, and falls back on it."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Weights = Mapping[str, Tensor]  # by parameter name, tied names included


@dataclass(frozen=True, eq=False)
class Pairs:
    """Variants of one set of weights, and for each the rows of a batch it is asked about; None means all rows.

    names: the weights in which a variant differs from the network that the record is of, where weights has others too.
    """

    weights: Sequence[Weights]
    rows: Sequence[Tensor] | None = None
    names: frozenset[str] | None = None


def skeleton(module: nn.Module) -> nn.Module:
    """A copy of a module around the same parameters, with buffers of its own: weights can be swapped in it for a moment."""
    return copy.deepcopy(module, {id(p): p for p in module.parameters()})


@contextmanager
def installed(module: nn.Module, weights: Weights) -> Iterator[None]:
    """The module with some of its parameters replaced, by name, until the block ends. Nothing is copied."""
    places = []
    for full, tensor in weights.items():
        prefix, _, name = full.rpartition(".")
        owner = module.get_submodule(prefix)
        places.append((owner, name, owner._parameters[name]))
        owner._parameters[name] = tensor
    try:
        yield
    finally:
        for owner, name, tensor in places:
            owner._parameters[name] = tensor


class Plain:
    """Every question goes through the whole network. Exact by definition; what others are compared with."""

    kind = "plain"
    bitwise = True  # scores equal the plain path's to the last bit

    def __init__(self, module: nn.Module, why: str = "") -> None:
        self.module = skeleton(module)
        self.why = why  # the reason why nothing quicker is used

    def twin(self) -> "Plain":
        """Another one for another thread."""
        return Plain(self.module, self.why)

    def dense(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The original's scores (n, ...), and the batch, which is all that changed() needs."""
        return self.scores(x), x

    def scores(self, x: Tensor) -> Tensor:
        """The original's scores."""
        with torch.inference_mode():
            return self.module(x)

    def record(self, x: Tensor, groups: Iterable[frozenset[str]], weights: Weights | None = None) -> Tensor:
        """The batch itself."""
        return x

    def changed(self, record: Any, pairs: Pairs) -> Tensor:
        """Scores of each variant on its rows, one after another: (sum of the rows, ...)."""
        rows = pairs.rows or [None] * len(pairs.weights)
        with torch.inference_mode():
            return torch.cat([ask(self.module, w, record if r is None else record[r]) for w, r in zip(pairs.weights, rows)])


def ask(module: nn.Module, weights: Weights, x: Tensor) -> Tensor:
    """The scores of a module with some of its weights replaced."""
    return functional_call(module, dict(weights), (x,)) if weights else module(x)
