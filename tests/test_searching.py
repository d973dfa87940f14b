"""Searches on equal numbers of measurements: the same by seed, within the limits, and better than drawing at random."""

import numpy as np
import pytest

from compression.budget.problem import Limit, Problem
from compression.search import front
from compression.searching.pareto import pareto
from compression.searching.space import Space, race
from compression.searching.ways import WAYS

LAYERS, OPTIONS = 8, 6
ROWS = tuple(np.arange(OPTIONS, dtype=float) for _ in range(LAYERS))  # each option is one lighter than the one before it
PROBLEM = Problem(ROWS, (Limit("bytes", tuple(10 * (OPTIONS - 1 - row) for row in ROWS), 220.0),))
SPACE = Space(PROBLEM, ((3,) * LAYERS,))
WORTH = np.linspace(0.2, 3, LAYERS)


def worth(places):
    """The lightness of late layers costs most."""
    return -float((WORTH * np.array(places)).sum())


def run(way, seed, evaluations=60, space=SPACE):
    asked = []

    def measure(places):
        asked.append(places)
        yield
        return worth(places)

    steps = list(race(way.begin(space, seed), measure, evaluations))
    return asked, [t for t in steps if t], steps.count(None)


@pytest.mark.parametrize("name", WAYS)
def test_a_search_keeps_to_its_evaluations_its_limits_and_its_seed(name):
    asked, trials, pieces = run(WAYS[name], 3, 30)
    assert len(asked) == len(set(asked)) == len(trials) == pieces == 30 and [t.number for t in trials] == list(range(1, 31))
    assert all(PROBLEM.fits(places) for places in asked) and all(t.good == worth(t.places) for t in trials)
    assert asked == run(WAYS[name], 3, 30)[0] != run(WAYS[name], 4, 30)[0]
    assert asked[0] == SPACE.starts[0]


# NSGA-II has a second goal, fewer bytes, and spreads over the whole front: on so few measurements it is no better at one end of it.
@pytest.mark.parametrize("name", [name for name in WAYS if name not in ("search.random", "search.nsga2")])
def test_a_search_finds_more_than_random_draws(name):
    def drawn(seed):
        rng = np.random.default_rng(seed)
        return max(worth(SPACE.drawn(rng)) for _ in range(60))

    seeds = range(2 if name == "search.tpe" else 5)  # TPE takes seconds
    found = [max(t.good for t in run(WAYS[name], seed)[1]) for seed in seeds]
    assert np.median(found) > np.median([drawn(seed) for seed in seeds]) and min(found) >= worth(SPACE.starts[0])


@pytest.mark.parametrize("name", WAYS)
def test_where_little_is_to_be_tried_a_search_ends(name):
    tiny = Space(Problem((np.array([0.0, 1.0]),), (Limit("bytes", (np.array([1.0, 0.0]),), 1.0),)))
    asked, trials, _ = run(WAYS[name], 0, space=tiny)
    assert 1 <= len(trials) <= 2 and set(asked) <= {(0,), (1,)}


def test_what_cannot_fit_is_refused():
    with pytest.raises(ValueError, match="no choice"):
        Space(Problem((np.array([0.0]),), (Limit("bytes", (np.array([2.0]),), 1.0),))).drawn(np.random.default_rng(0))


def test_a_search_for_a_front_finds_more_than_uniform_settings_and_random_draws():
    """Places cost most in late coordinates and are worth the same everywhere, so that uniform settings are far from the front."""
    counts = (OPTIONS,) * LAYERS
    answer = lambda p: (float((WORTH * np.array(p)).sum()), float(np.sqrt(np.array(p)).sum()))  # noqa: E731
    uniform = {p: answer(p) for p in [(i,) * LAYERS for i in range(OPTIONS)]}

    def ran(seed, most=200):
        found, search = dict(uniform), pareto(counts, uniform, seed)
        asked = next(search)
        while len(found) < most:
            assert asked not in found and all(0 <= p < OPTIONS for p in asked)
            found[asked] = answer(asked)
            asked = search.send(found[asked])
        return found

    def area(found):
        """Under the front: the mean over budgets of the most that is had for so much."""
        return np.mean([max(good for cost, good in found.values() if cost <= most) for most in np.linspace(5, 60, 45)])

    def drawn(seed):
        rng = np.random.default_rng(seed)
        return uniform | {p: answer(p) for p in (tuple(map(int, rng.integers(OPTIONS, size=LAYERS))) for _ in range(194))}

    assert list(ran(0)) == list(ran(0)) != list(ran(1))
    assert min(area(ran(seed)) for seed in range(5)) > max(area(drawn(seed)) for seed in range(5)) > area(uniform)
    assert len(front(ran(0).values(), lambda f: f[0], lambda f: f[1])) > 2 * len(uniform)


def test_a_search_for_a_front_ends_where_nothing_is_new_and_needs_a_beginning():
    search, asked = pareto((2, 2), {(0, 0): (0.0, 0.0)}), set()
    try:
        place = next(search)
        while True:
            asked.add(place)
            place = search.send((float(sum(place)), float(sum(place))))
    except StopIteration:
        assert asked == {(0, 1), (1, 0), (1, 1)}
    with pytest.raises(ValueError, match="at least one"):
        next(pareto((2,), {}))
