"""One price for all layers: each takes the option that is cheapest with its weight paid for (Everett 1963; Shoham and Gersho 1988).

Only options on the lower hull of a layer's cost against its weight can be taken, so a budget between two of them is not used up.
In return the prices prove a bound: no choice within the limits can cost less.
"""

from math import inf

from compression.budget.problem import NOTHING, Choice, Problem, Rows, cheapest, total

HALVINGS = 200


def multiplier(problem: Problem) -> Choice:
    """The lowest price at which the limits hold, found by halving, with the best bound met on the way.

    Several limits share the price, each by its range. Raises ValueError where no price makes the limits hold, which with several
    limits does not mean that no choice does.
    """
    problem.reachable()
    pressure, low, high = problem.pressure(), 0.0, 1.0
    found, bound = _at(problem, pressure, 0.0)
    if problem.fits(found):
        return problem.choice(found, bound)
    while not problem.fits(found := _at(problem, pressure, high)[0]):
        low, high = high, 4 * high
        if high > 1e60:
            raise ValueError(NOTHING)
    bound = max(bound, _at(problem, pressure, high)[1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        places, proven = _at(problem, pressure, middle)
        bound = max(bound, proven)
        if problem.fits(places):
            found, high = places, middle
        else:
            low = middle
    return problem.choice(found, bound)


def _at(problem: Problem, pressure: Rows, rate: float) -> tuple[tuple[int, ...], float]:
    """What each layer takes at a price, and what that proves: no choice within the limits costs less."""
    priced = tuple(cost + rate * p for cost, p in zip(problem.cost, pressure))
    places = cheapest(priced)
    allowed = sum(x.most / x.range for x in problem.limits)
    value = total(priced, places) - rate * allowed
    return places, value if value == value else -inf
