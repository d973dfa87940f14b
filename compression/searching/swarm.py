"""Particles that fly between the best they met and the best any met (Kennedy and Eberhart 1995), rounded to options."""

import numpy as np

from compression.searching.space import Search, Space

PARTICLES = 8
INERTIA, OWN, SHARED = 0.73, 1.5, 1.5  # the constriction of Clerc and Kennedy 2002


def swarm(space: Space, seed: int = 0, particles: int = PARTICLES) -> Search:
    """Begins with the space's starts and random choices, at rest."""
    rng = np.random.default_rng(seed)
    top = np.array(space.counts) - 1.0
    begun = [*space.starts, *(space.drawn(rng) for _ in range(max(0, particles - len(space.starts))))]
    at = np.array(begun, float)  # (particles, layers)
    speed = np.zeros_like(at)
    best = at.copy()
    value = np.full(len(at), -np.inf)
    while True:
        for i in range(len(at)):
            places = space.repaired(tuple(int(p) for p in np.rint(at[i])), rng)
            found = yield places
            if found > value[i]:
                value[i], best[i] = found, places
            lead = best[int(value.argmax())]
            own, shared = rng.random((2, len(top)))
            speed[i] = INERTIA * speed[i] + OWN * own * (best[i] - at[i]) + SHARED * shared * (lead - at[i])
            at[i] = np.clip(at[i] + speed[i], 0, top)
