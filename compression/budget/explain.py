"""Why a layer got its option: what one step to either side would cost or win back, for each byte or other unit."""

from collections.abc import Sequence
from typing import NamedTuple

from compression.budget.problem import Limit, Problem


class Move(NamedTuple):
    """One layer's change to another of its options."""

    place: int
    cost: float  # added; negative where it is won back
    weight: float  # added; negative where it is saved

    @property
    def rate(self) -> float:
        """Cost for one unit of weight, the one lost for the other won."""
        return -self.cost / self.weight


class Reason(NamedTuple):
    """A layer's two neighbours of the option it got; None where there is none on that side."""

    place: int
    milder: Move | None  # takes more and costs less: of these the one that wins back most for each unit
    harsher: Move | None  # takes less and costs more: of these the one that costs least for each unit


def reasons(problem: Problem, limit: Limit, places: Sequence[int]) -> list[Reason]:
    """One for each layer, in order.

    >>> import numpy as np
    >>> limit = Limit("bytes", (np.array([30.0, 20.0, 10.0]),), 20)
    >>> reasons(Problem((np.array([0.0, 1.0, 6.0]),), (limit,)), limit, [1])[0].harsher
    Move(place=2, cost=5.0, weight=-10.0)
    """
    found = []
    for cost, weight, now in zip(problem.cost, limit.weights, places, strict=True):
        moves = [Move(j, float(cost[j] - cost[now]), float(weight[j] - weight[now])) for j in range(len(cost))]
        up = [m for m in moves if m.weight > 0 and m.cost < 0]
        down = [m for m in moves if m.weight < 0 and m.cost >= 0]
        found.append(Reason(int(now), max(up, key=lambda m: m.rate, default=None), min(down, key=lambda m: m.rate, default=None)))
    return found


def going_rate(found: Sequence[Reason]) -> tuple[float, float]:
    """What a unit is worth under the whole choice: the most that any layer could win back with one more, and the least one less would cost.

    Where the first is below the second, no exchange between two layers helps. 0 and infinity where nothing is left to move.
    """
    back = max((r.milder.rate for r in found if r.milder), default=0.0)
    return back, min((r.harsher.rate for r in found if r.harsher), default=float("inf"))
