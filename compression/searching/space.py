"""What a search may try: an option for each layer, within limits that are known without measuring. And how a search is run.

A search is a generator: it yields places, one option for each layer, and is sent what was measured of them, higher being better.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from compression.budget.problem import NOTHING, Problem, cheapest

Places = tuple[int, ...]
Search = Generator[Places, float, None]
IDLE = 50  # times a search may ask in a row for what it was already told, before it has nothing new


@dataclass(frozen=True, eq=False)
class Space:
    """Options by layer, in the order of their size, under a problem's limits. Its costs are not looked at by a search."""

    problem: Problem
    starts: tuple[Places, ...] = ()  # that need no table of layers, such as uniform settings

    @property
    def counts(self) -> tuple[int, ...]:
        """Options of each layer."""
        return tuple(len(row) for row in self.problem.cost)

    def drawn(self, rng: np.random.Generator) -> Places:
        """Any choice that fits."""
        return self.repaired(tuple(int(rng.integers(n)) for n in self.counts), rng)

    def repaired(self, places: Places, rng: np.random.Generator) -> Places:
        """Layers drawn at random are moved to their next lighter option until the limits hold. Raises ValueError where none are left.

        A start is taken as it is: its written file keeps the limits, even where its options add up to a little more.
        """
        if places in self.starts:
            return places
        now = list(places)
        pressure = self.problem.pressure()
        while not self.problem.fits(now):
            lighter = [i for i, row in enumerate(pressure) if (row < row[now[i]]).any()]
            if not lighter:
                if self.problem.fits(least := cheapest(pressure)):
                    return least
                raise ValueError(NOTHING)
            i = lighter[int(rng.integers(len(lighter)))]
            row = pressure[i]
            below = np.flatnonzero(row < row[now[i]])
            now[i] = int(below[row[below].argmax()])
        return tuple(now)

    def neighbour(self, places: Places, rng: np.random.Generator, changes: int = 1) -> Places:
        """One that fits, near another: a few layers moved by one option either way."""
        now = list(places)
        for i in rng.choice(len(now), size=min(changes, len(now)), replace=False):
            now[i] = int(np.clip(now[i] + rng.choice((-1, 1)), 0, self.counts[i] - 1))
        return self.repaired(tuple(now), rng)


def drawing(space: Space, seed: int = 0) -> Search:
    """Choices drawn at random, after the space's starts: what a search has to beat."""
    rng, starts = np.random.default_rng(seed), list(space.starts)
    while True:
        yield starts.pop(0) if starts else space.drawn(rng)


class Trial(NamedTuple):
    """One measurement of a search."""

    number: int  # from 1
    places: Places
    good: float


def race(search: Search, measure: Callable[[Places], Generator[None, None, float]], evaluations: int) -> Iterator[Trial | None]:
    """Run a search for so many measurements of different places; None for work that finishes none.

    measure: a generator that returns what is good about places. Asked again for the same, the search is told what it was told
    before, and that counts for nothing; one that asks for nothing new many times in a row has ended.
    """
    known: dict[Places, float] = {}
    idle = 0
    try:
        asked = next(search)
        while idle < IDLE:
            idle += 1
            if asked not in known:
                if len(known) == evaluations:
                    return
                known[asked] = yield from measure(asked)
                idle = 0
                yield Trial(len(known), asked, known[asked])
            asked = search.send(known[asked])
    except StopIteration:
        return
    finally:
        search.close()
