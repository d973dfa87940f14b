"""A search for a whole front: its members breed, most where the front has gaps, and what nothing beats stays in.

After NSGA-II (Deb et al. 2002) and PAES (Knowles and Corne 2000), one child at a time, so that every measurement counts at once.
"""

from collections.abc import Generator, Mapping, Sequence

import numpy as np

from compression.search import front
from compression.searching.space import Places

Found = tuple[float, float]  # cost, and what is good
TRIES = 200  # children in a row that were met before, after which there is nothing new


def pareto(counts: Sequence[int], known: Mapping[Places, Found], seed: int = 0) -> Generator[Places, Found, None]:
    """Yields places that are not known, none twice, and is sent their cost and what is good about them.

    counts: places of each coordinate, ordered so that neighbours are alike. known: to begin with, also from an earlier search.
    Ends where it finds no new child. The same answers to the same seed give the same search. Raises ValueError where nothing is known.
    """
    if not known:
        raise ValueError("a search for a front begins with places that were measured; give it at least one")
    rng, met = np.random.default_rng(seed), dict(known)
    while True:
        best = front(met, lambda p: met[p][0], lambda p: met[p][1])
        child = next((c for c in (_child(best, met, counts, rng) for _ in range(TRIES)) if c not in met), None)
        if child is None:
            return
        met[child] = yield child


def _child(best: list[Places], met: Mapping[Places, Found], counts: Sequence[int], rng: np.random.Generator) -> Places:
    """A member of the front, sometimes crossed with the next one, with one or two coordinates moved by one place."""
    i = int(rng.choice(len(best), p=_gaps(np.array([met[p] for p in best]))))
    now = np.array(best[i])
    if len(best) > 1 and rng.random() < 0.5:
        other = best[i + 1 if i + 1 < len(best) else i - 1]
        now = np.where(rng.random(len(now)) < 0.5, now, other)
    moved = rng.choice(len(now), size=min(len(now), 1 + int(rng.integers(2))), replace=False)
    now[moved] = np.clip(now[moved] + rng.choice((-1, 1), size=len(moved)), 0, np.array(counts)[moved] - 1)
    return tuple(int(p) for p in now)


def _gaps(at: np.ndarray) -> np.ndarray:
    """Shares in which members breed, from the distance between their neighbours, both axes scaled to 0..1. at: (members, 2)."""
    if len(at) < 3:
        return np.full(len(at), 1 / len(at))
    scaled = (at - at.min(0)) / np.maximum(np.ptp(at, axis=0), 1e-12)
    steps = np.abs(np.diff(scaled, axis=0)).sum(1)
    gaps = np.concatenate([steps[:1], steps]) + np.concatenate([steps, steps[-1:]])
    return (gaps + gaps.mean() * 0.1) / (gaps + gaps.mean() * 0.1).sum()
