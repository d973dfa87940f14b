"""A population of choices that breed: the better of two, twice, are crossed and mutated (Holland 1975; steady state, Syswerda 1989)."""

import numpy as np

from compression.searching.space import Search, Space

POPULATION = 12


def evolutionary(space: Space, seed: int = 0, population: int = POPULATION) -> Search:
    """Begins with the space's starts and random choices; each child takes the place of the worst where it is no worse."""
    rng = np.random.default_rng(seed)
    alive = []
    for start in (*space.starts, *(space.drawn(rng) for _ in range(max(0, population - len(space.starts))))):
        alive.append(((yield start), start))
    while True:
        parents = [max((alive[int(i)] for i in rng.integers(len(alive), size=2)), key=lambda a: a[0])[1] for _ in range(2)]
        coin = rng.random(len(space.counts)) < 0.5
        child = tuple(int(a if c else b) for a, b, c in zip(*parents, coin))
        child = space.neighbour(child, rng, changes=1 + int(rng.integers(2)))
        good = yield child
        worst = min(range(len(alive)), key=lambda i: alive[i][0])
        if good >= alive[worst][0] and all(child != old for _, old in alive):
            alive[worst] = good, child
