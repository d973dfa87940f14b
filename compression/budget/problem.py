"""What is to be decided: one option for each layer, of least total cost, within limits. Plain numbers, no network.

Costs and weights add up over layers. For divergences of the answers (nats) and for bytes that is nearly so, which is why what is
chosen here is measured again as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = tuple[NDArray[np.float64], ...]  # for each layer one number for each of its options
CLOSE = 1e-9  # of a limit's range: sums of floats are not exact


@dataclass(frozen=True, eq=False)
class Limit:
    """The sum of the chosen options' weights may be at most this."""

    name: str  # what is weighed, with its unit: "bytes"
    weights: Rows
    most: float

    @cached_property
    def range(self) -> float:
        """Between the lightest and the heaviest choice."""
        return float(sum(row.max() - row.min() for row in self.weights)) or 1.0


class Choice(NamedTuple):
    """One option for each layer, and how good it is proven to be."""

    places: tuple[int, ...]
    cost: float
    bound: float = -inf  # no choice within the limits costs less

    @property
    def gap(self) -> float:
        """How much cheaper a better choice could be at most, as a share of this one's cost; 0 is proven to be the best."""
        return 0.0 if self.cost <= self.bound else (self.cost - self.bound) / max(abs(self.cost), 1e-300)


@dataclass(frozen=True, eq=False)
class Problem:
    """Costs by layer and option, and the limits. Raises ValueError where shapes differ or a number is not finite."""

    cost: Rows
    limits: tuple[Limit, ...]

    def __post_init__(self) -> None:
        for limit in self.limits:
            if [len(row) for row in limit.weights] != [len(row) for row in self.cost]:
                raise ValueError(f"{limit.name} are not given for the same layers and options as the cost")
        if not all(len(row) and np.isfinite(row).all() for rows in (self.cost, *(x.weights for x in self.limits)) for row in rows):
            raise ValueError("each layer needs an option, and each option finite numbers; leave out options that were not measured")

    def choice(self, places: Sequence[int], bound: float = -inf) -> Choice:
        """A choice with its cost."""
        return Choice(tuple(int(p) for p in places), total(self.cost, places), bound)

    def fits(self, places: Sequence[int]) -> bool:
        """Whether a choice keeps to every limit."""
        return all(total(x.weights, places) <= x.most + CLOSE * x.range for x in self.limits)

    def over(self, places: Sequence[int]) -> float:
        """By how much the limits are exceeded: the sum over limits, each as a share of its range."""
        return sum(max(0.0, total(x.weights, places) - x.most) / x.range for x in self.limits)

    def pressure(self) -> Rows:
        """All weights as one: the sum over limits, each as a share of its range."""
        zero = tuple(np.zeros(len(row)) for row in self.cost)
        return tuple(z + sum(x.weights[i] / x.range for x in self.limits) for i, z in enumerate(zero))

    def reachable(self) -> None:
        """Raises ValueError, naming the least there is, where a limit alone lies below what any choice comes to."""
        for x in self.limits:
            least = float(sum(row.min() for row in x.weights))
            if least > x.most + CLOSE * x.range:
                raise ValueError(f"no choice keeps {x.name} to {x.most:,.6g}; the least these options come to is {least:,.6g}")


def total(rows: Rows, places: Sequence[int]) -> float:
    """The sum of one number for each layer."""
    return float(sum(row[p] for row, p in zip(rows, places, strict=True)))


def cheapest(rows: Rows) -> tuple[int, ...]:
    """For each layer the first option of least number."""
    return tuple(int(row.argmin()) for row in rows)


NOTHING = "no choice of these options keeps to all limits at once; allow more, or give the layers more options"
