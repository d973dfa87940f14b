"""A table of how likely each layer has each option, drawn from, and moved toward the best that were drawn (Cantú-Paz 2003)."""

import numpy as np

from compression.searching.space import Search, Space

DRAWN, KEPT = 12, 4  # of each generation
LEARN = 0.4  # share of the table that each generation's best decide
BESIDE = 0.2  # how likely an option beside a good one becomes


def distribution(space: Space, seed: int = 0, drawn: int = DRAWN, kept: int = KEPT) -> Search:
    """Estimation of distribution with layers taken as independent. Begins with the space's starts, and all options equally likely."""
    rng = np.random.default_rng(seed)
    table = [np.full(n, 1 / n) for n in space.counts]
    best: list[tuple[float, tuple[int, ...]]] = []
    for start in space.starts:
        best.append(((yield start), start))
    while True:
        for _ in range(drawn):
            places = space.repaired(tuple(int(rng.choice(len(row), p=row)) for row in table), rng)
            best.append(((yield places), places))
        best = sorted(dict.fromkeys(best), reverse=True)[:kept]
        for i, row in enumerate(table):
            seen = np.bincount([places[i] for _, places in best], minlength=len(row)) / len(best)
            near = seen.copy()
            near[1:] += BESIDE * seen[:-1]
            near[:-1] += BESIDE * seen[1:]
            table[i] = (1 - LEARN) * row + LEARN * near / near.sum()
