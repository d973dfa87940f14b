"""Choosing an option for each layer: the exact choice against trying all, its proof, the baselines, and the reasons."""

from itertools import product

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from compression.budget.exact import exact
from compression.budget.explain import going_rate, reasons
from compression.budget.greedy import greedy
from compression.budget.multiplier import multiplier
from compression.budget.problem import Choice, Limit, Problem, total
from compression.budget.uniform import uniform


@st.composite
def problems(draw, most_limits=2):
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))

    def rows(numbers):
        return tuple(np.array(draw(st.lists(numbers, min_size=n, max_size=n)), float) for n in counts)

    cost = rows(st.integers(0, 50).map(lambda x: x / 1000))  # ties and zeros among them
    limits = tuple(Limit("bytes", rows(st.integers(0, 30)), draw(st.integers(0, 30 * len(counts)))) for _ in range(draw(st.integers(1, most_limits))))
    return Problem(cost, limits)


def tried(problem):
    """The least cost of all choices that fit; None where none does."""
    every = product(*(range(len(row)) for row in problem.cost))
    return min((total(problem.cost, c) for c in every if problem.fits(c)), default=None)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(problems())
def test_the_exact_choice_is_that_of_trying_all_and_is_proven(problem):
    best = tried(problem)
    if best is None:
        with pytest.raises(ValueError, match="no choice"):
            exact(problem)
        return
    found = exact(problem)
    assert problem.fits(found.places) and found.cost == pytest.approx(best, abs=1e-9)
    assert found.bound <= best + 1e-9 and found.gap < 1e-6


@settings(derandomize=True, deadline=None, max_examples=60)
@given(problems(1))
def test_baselines_keep_the_limit_and_the_multipliers_bound_holds(problem):
    best = tried(problem)
    for way in (greedy, multiplier):
        if best is None:
            with pytest.raises(ValueError, match="the least these options come to"):
                way(problem)
        else:
            found = way(problem)
            assert problem.fits(found.places) and found.cost >= best - 1e-12 and found.bound <= best + 1e-12


def test_where_both_baselines_fall_short_the_exact_choice_is_still_the_best():
    rng, short = np.random.default_rng(0), 0
    for _ in range(12):
        sizes = tuple(np.sort(rng.integers(1, 400, 4)).astype(float) for _ in range(6))
        cost = tuple(np.sort(rng.random(4) ** 3)[::-1].copy() for _ in range(6))
        light, heavy = (sum(row[end] for row in sizes) for end in (0, -1))
        most = float(round(light + rng.uniform(0.1, 0.6) * (heavy - light)))
        problem = Problem(cost, (Limit("bytes", sizes, most),))
        every = np.indices((4,) * 6).reshape(6, -1)
        costs, weights = (sum(row[at] for row, at in zip(rows, every)) for rows in (cost, sizes))
        best = costs[weights <= most].min()
        found = exact(problem)
        assert problem.fits(found.places) and found.cost == pytest.approx(best, rel=1e-9) and best / (1 + 1e-6) <= found.bound <= found.cost
        short += min(greedy(problem).cost, multiplier(problem).cost) > best * 1.001
    assert short >= 3, "else this asks nothing of the integer program"


SMALL = Problem((np.array([0.0, 1.0, 6.0]), np.array([0.0, 2.0, 3.0])), (Limit("bytes", (np.array([30.0, 20, 10]), np.array([30.0, 20, 10])), 40),))


def test_a_case_by_hand():
    # 40 bytes: (20, 20) costs 3, (30, 10) costs 3, (10, 30) costs 6
    assert exact(SMALL) == Choice(exact(SMALL).places, 3.0, 3.0) and exact(SMALL).gap == 0
    assert greedy(SMALL).cost == 3
    same = uniform(SMALL, [["8 bit", "4 bit", "2 bit"], ["8 bit", "4 bit", "2 bit"]], "8 bit")
    assert same.places == (1, 1)
    other = uniform(SMALL, [["8 bit", "4 bit", "2 bit"], ["8 bit", "5 bit", "3 bit"]], "8 bit")
    assert other.places == (0, 2), "a layer without a setting keeps the original"


def test_a_gap_is_told_as_a_share_of_the_cost():
    assert Choice((0,), 2.0, 1.5).gap == 0.25 and Choice((0,), 2.0, 2.0).gap == 0 and Choice((0,), 2.0).gap == float("inf")


def test_reasons_are_rates_beside_the_chosen_option():
    first, second = reasons(SMALL, SMALL.limits[0], (1, 1))
    assert (first.milder.place, first.milder.rate, first.harsher.place, first.harsher.rate) == (0, 0.1, 2, 0.5)
    assert (second.milder.rate, second.harsher.rate) == (0.2, 0.1)
    assert going_rate([first, second]) == (0.2, 0.1), "one byte to the second layer is worth more than it costs the second itself"
    last = reasons(SMALL, SMALL.limits[0], (0, 2))
    assert last[0].milder is None and last[1].harsher is None


@pytest.mark.parametrize("cost, weights, says", [
    ([[0.0, float("nan")]], [[1.0, 0.0]], "finite"), ([[]], [[]], "needs an option"), ([[0.0, 1.0]], [[1.0]], "same layers"),
])
def test_what_cannot_be_decided_is_refused(cost, weights, says):
    with pytest.raises(ValueError, match=says):
        Problem(tuple(map(np.array, cost)), (Limit("bytes", tuple(map(np.array, weights)), 5),))
