"""The best choice, with proof: an integer program (multiple-choice knapsack), solved by HiGHS through scipy."""

from dataclasses import replace
from math import inf

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from compression.budget.greedy import greedy
from compression.budget.multiplier import multiplier
from compression.budget.problem import NOTHING, Choice, Problem, cheapest, total

SCALE = 1e4  # of the numbers given to the solver, whose own tolerances are absolute, 1e-6
TIGHTER = 5  # times a choice that is over by the solver's tolerance is refused


def exact(problem: Problem, seconds: float = 10.0) -> Choice:
    """The choice of least cost within the limits; where time runs out the best found, with the gap that is left to prove.

    Raises ValueError where nothing fits. Equal to trying all choices (tests/test_budget.py).
    """
    problem.reachable()
    known = _baselines(problem)
    floor = total(problem.cost, cheapest(problem.cost))
    room = (known.cost - floor) if known else float(sum(row.max() for row in problem.cost)) - floor
    if known and room <= 0:
        return known._replace(bound=floor)
    # An option that alone costs more than the best known choice has to spare is in no better one.
    useful = [np.flatnonzero(row - row.min() <= room * (1 + 1e-9)) for row in problem.cost]
    found, bound = _solve(problem, useful, floor, room or 1.0, seconds)
    now = problem
    for _ in range(TIGHTER):
        if found is None or problem.fits(found):
            break
        now = replace(now, limits=tuple(replace(x, most=x.most - max(0.0, total(x.weights, found) - x.most)) for x in now.limits))
        found, _ = _solve(now, useful, floor, room or 1.0, seconds)  # its bound would be that of a tighter problem
    if found is None and bound == inf and known is None:
        raise ValueError(NOTHING)
    choices = [c for c in (known, problem.choice(found) if found is not None and problem.fits(found) else None) if c]
    if not choices:
        raise ValueError(f"nothing that fits was found in {seconds:g} seconds; give it longer, or fewer options")
    best = min(choices, key=lambda c: c.cost)
    proven = max(bound if bound < inf else best.cost, known.bound if known else -inf)
    return best._replace(bound=min(proven, best.cost))


def _baselines(problem: Problem) -> Choice | None:
    """The better of the two quick choices, with the multiplier's bound; None where neither finds one."""
    found: list[Choice] = []
    for way in (multiplier, greedy):
        try:
            found.append(way(problem))
        except ValueError:
            continue  # with several limits a baseline may find nothing where there is something
    return min(found, key=lambda c: c.cost)._replace(bound=max(c.bound for c in found)) if found else None


def _solve(problem: Problem, useful: list, floor: float, room: float, seconds: float) -> tuple[tuple[int, ...] | None, float]:
    """A choice of the useful options, and the bound: infinite where it is proven that none of them fits."""
    counts = [len(at) for at in useful]
    cost = np.concatenate([(row - row.min())[at] for row, at in zip(problem.cost, useful)]) * (SCALE / room)
    which = np.repeat(np.arange(len(useful)), counts)
    one = csr_array((np.ones(len(which)), (which, np.arange(len(which)))))
    rules = [LinearConstraint(one, 1, 1)]
    for x in problem.limits:
        least = [row.min() for row in x.weights]
        weights = np.concatenate([row[at] - low for row, at, low in zip(x.weights, useful, least)]) * (SCALE / x.range)
        rules.append(LinearConstraint(weights[None], -inf, (x.most - float(sum(least))) * (SCALE / x.range)))
    answer = milp(cost, integrality=np.ones(len(cost)), bounds=Bounds(0, 1), constraints=rules,
                  options={"time_limit": seconds, "mip_rel_gap": 0.0})
    if answer.status == 2:
        return None, inf
    bound = -inf if answer.mip_dual_bound is None else floor + answer.mip_dual_bound * room / SCALE
    if answer.x is None:
        return None, bound
    ends = np.cumsum([0, *counts])
    return tuple(int(at[np.argmax(answer.x[a:b])]) for at, a, b in zip(useful, ends, ends[1:])), bound
