"""The same setting for every layer: the baseline that needs no table of layers."""

from collections.abc import Hashable, Sequence

from compression.budget.problem import NOTHING, Choice, Problem


def uniform(problem: Problem, settings: Sequence[Sequence[Hashable]], original: Hashable) -> Choice:
    """The setting of least cost that fits when all layers have it; a layer without it keeps the original.

    settings: what each layer's options are, in their order. Raises ValueError where none fits.
    """
    problem.reachable()
    fitting = [problem.choice(places) for places in same(settings, original) if problem.fits(places)]
    if not fitting:
        raise ValueError(NOTHING)
    return min(fitting, key=lambda c: c.cost)


def same(settings: Sequence[Sequence[Hashable]], original: Hashable) -> list[tuple[int, ...]]:
    """For each setting the choice that gives it to all layers that have it."""
    known = list(dict.fromkeys(s for row in settings for s in row))
    return [tuple(row.index(s if s in row else original) for row in settings) for s in known]
