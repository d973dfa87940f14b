"""Particles that are weighed by how well they answer, drawn again by their weight, and shaken (particle filter; Anwar, Hwang and Sung 2017)."""

import numpy as np

from compression.searching.space import Search, Space

PARTICLES = 12
SHARP = 3.0  # how much likelier the best of a generation is drawn than one a standard deviation worse, as a power of e


def filtering(space: Space, seed: int = 0, particles: int = PARTICLES) -> Search:
    """Begins with the space's starts and random choices. The noise grows less from generation to generation; the best is kept as it is."""
    rng = np.random.default_rng(seed)
    now = [*space.starts, *(space.drawn(rng) for _ in range(max(0, particles - len(space.starts))))]
    generation = 0
    while True:
        good = []
        for places in now:
            good.append((yield places))
        value = np.array(good)
        weight = np.exp(SHARP * (value - value.max()) / (value.std() or 1.0))
        drawn = rng.choice(len(now), size=len(now) - 1, p=weight / weight.sum())
        changes = max(1, len(space.counts) // (4 + 2 * generation))
        now = [now[int(value.argmax())], *(space.neighbour(now[int(i)], rng, changes=1 + int(rng.integers(changes))) for i in drawn)]
        generation += 1
