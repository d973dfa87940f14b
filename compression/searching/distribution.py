"""A table of how likely each layer has each option, drawn from, and moved toward the best that were drawn (Cantú-Paz 2003)."""

import numpy as np

from compression.searching.space import Search, Space

DRAWN, KEPT = 12, 4  # of each generation
LEARN = 0.4  # share of the table that each generation's best decide


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
            near = np.convolve(seen, (0.15, 0.7, 0.15), "same") if len(row) > 1 else seen  # options beside a good one are worth a try
            table[i] = (1 - LEARN) * row + LEARN * near / near.sum()
