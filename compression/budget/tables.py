"""Options by layer, each measured alone: what it saves of the file and of the multiply-adds, and how far it moves the answers.

The cost is the divergence of the answers (nats): over layers it adds up better than drops in accuracy do (compression.joint).
With what compression.budget.options measures:

    options = merged(layers, measured, original_bytes)
    best = exact(options.within(40_000))
    for option in options.chosen(best.places): ...
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np

from compression.budget.problem import Limit, Problem, Rows
from compression.recipe import Override, Recipe, Step
from compression.registry import dial


class Option(NamedTuple):
    """One way to store one layer, all others as they were."""

    layer: str
    step: Step | None  # None is the original
    change: int  # of the packed file, in bytes against the original's
    nats: float  # mean divergence of the answers from the original's
    adds: int = 0  # change of the multiply-adds of one forward pass
    moved: float = nan  # squared distance of the stored weight from the original


@dataclass(frozen=True)
class Table:
    """All options, a row for each layer in network order, heaviest first."""

    rows: tuple[tuple[Option, ...], ...]
    original_bytes: int
    original_adds: int | None = None  # multiply-adds of one forward pass; None where they cannot be counted
    then: tuple[Step, ...] = ()  # follow wherever bits are set

    def within(self, most_bytes: float | None = None, most_adds: float | None = None) -> Problem:
        """Least divergence in a file of so many bytes, and so many multiply-adds, None being any number.

        What is chosen must be packed as a whole: headers do not quite add up. Raises ValueError where multiply-adds were not counted.
        """
        return Problem(self._each("nats"), self._limits(most_bytes, most_adds))

    def smallest(self, most_nats: float, most_bytes: float | None = None, most_adds: float | None = None) -> Problem:
        """Fewest bytes at a sum of divergences of at most so many nats, and within the other limits."""
        limits = (Limit("nats", self._each("nats"), most_nats), *self._limits(most_bytes, most_adds))
        return Problem(_from(self.original_bytes, self._each("change")), limits)

    def curved(self, traces: Mapping[str, float], most_bytes: float | None = None, most_adds: float | None = None) -> Problem:
        """The same limits as within, but the cost by curvature: a layer's mean Hessian trace times what its weight moved, squared.

        HAWQ-V2 (Dong et al. 2020, arXiv:1911.03852, eq. 9). traces: by layer name (compression.budget.hessian). A trace below zero counts as none.
        """
        cost = tuple(np.array([max(0.0, traces[o.layer]) * (o.moved if o.step else 0.0) for o in row]) for row in self.rows)
        return Problem(cost, self._limits(most_bytes, most_adds))

    def _limits(self, most_bytes: float | None, most_adds: float | None) -> tuple[Limit, ...]:
        found = []
        if most_bytes is not None:
            found.append(Limit("the file’s bytes", _from(self.original_bytes, self._each("change")), most_bytes))
        if most_adds is not None:
            if self.original_adds is None:
                raise ValueError("the multiply-adds of this network cannot be counted without an example of its inputs; leave that limit out")
            found.append(Limit("multiply-adds", _from(self.original_adds, self._each("adds")), most_adds))
        return tuple(found)

    def _each(self, what: str) -> Rows:
        return tuple(np.array([getattr(o, what) for o in row], float) for row in self.rows)

    def chosen(self, places: Sequence[int]) -> tuple[Option, ...]:
        """The options at those places."""
        return tuple(row[p] for row, p in zip(self.rows, places, strict=True))

    def promised(self, places: Sequence[int]) -> int:
        """Bytes of the whole file, if changes add up."""
        return self.original_bytes + sum(o.change for o in self.chosen(places))

    def recipe(self, places: Sequence[int], locked: tuple[str, ...] = ()) -> Recipe:
        """Each layer with its own step, those without one as trained."""
        own = {o.layer: o.step for o in self.chosen(places) if o.step is not None}
        pins = (Override(layer, (own[layer], *(self.then if dial(own[layer].method) == "bits" else ()))) for layer in sorted(own))
        return Recipe(overrides=tuple(pins), locked=locked)

    @property
    def settings(self) -> list[list[Step | None]]:
        """What each layer's options are, for uniform()."""
        return [[o.step for o in row] for row in self.rows]


def _from(start: float, rows: Rows) -> Rows:
    """Rows of changes whose sums count from a start."""
    return (rows[0] + start, *rows[1:])


def merged(layers: Sequence[str], options: Iterable[Option], original_bytes: int, original_adds: int | None = None,
           locked: Collection[str] = (), then: tuple[Step, ...] = ()) -> Table:
    """Options by layer, heaviest first and the original among them. A locked layer has no other."""
    found = {layer: [Option(layer, None, 0, 0.0, moved=0.0)] for layer in layers}
    for option in options:
        if option.layer not in locked:
            found[option.layer].append(option)
    return Table(tuple(tuple(sorted(row, key=lambda o: -o.change)) for row in found.values()), original_bytes, original_adds, then)
