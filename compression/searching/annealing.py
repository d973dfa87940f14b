"""One choice that wanders: worse ones are accepted too, less and less often (Kirkpatrick, Gelatt and Vecchi 1983)."""

from math import exp

import numpy as np

from compression.searching.space import Search, Space

HOT, COLD = 0.02, 0.0005  # of what is measured: shares of the answers


def annealing(space: Space, seed: int = 0, evaluations: int = 60) -> Search:
    """From the best of the space's starts, or a random choice. The temperature falls evenly on a logarithmic scale over the evaluations."""
    rng = np.random.default_rng(seed)
    begun = []
    for start in space.starts or (space.drawn(rng),):
        begun.append(((yield start), start))
    good, now = max(begun)
    step = len(begun)
    while True:
        temperature = HOT * (COLD / HOT) ** min(1.0, step / max(1, evaluations))
        near = space.neighbour(now, rng, changes=2)
        found = yield near
        if found >= good or rng.random() < exp((found - good) / temperature):
            good, now = found, near
        step += 1
