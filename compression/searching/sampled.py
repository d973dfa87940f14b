"""Searches by Optuna: NSGA-II for two goals at once, fewer bytes and better answers, and TPE (tree-structured Parzen estimator).

What they propose is repaired until the limits hold, and they are told what the repaired choice came to.
"""

from typing import TYPE_CHECKING

import numpy as np

from compression.budget.problem import total
from compression.searching.space import Places, Search, Space

if TYPE_CHECKING:
    import optuna

POPULATION = 12
RANDOM = 10  # of TPE's first choices


def nsga2(space: Space, seed: int = 0, population: int = POPULATION) -> Search:
    """Deb et al. 2002. Its two goals are what is measured and the weight under the space's limits, so it spreads over the whole front."""
    import optuna

    pressure = space.problem.pressure()
    sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    yield from _asked(space, seed, sampler, ["maximize", "minimize"], lambda good, places: [good, total(pressure, places)])


def tpe(space: Space, seed: int = 0) -> Search:
    """Bergstra et al. 2011, all layers in one model."""
    import optuna

    sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=RANDOM, seed=seed)
    yield from _asked(space, seed, sampler, ["maximize"], lambda good, _: [good])


def _asked(space: Space, seed: int, sampler: "optuna.samplers.BaseSampler", directions: list[str], goals) -> Search:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = np.random.default_rng(seed)
    study = optuna.create_study(directions=directions, sampler=sampler)
    whole = {str(i): optuna.distributions.IntDistribution(0, n - 1) for i, n in enumerate(space.counts)}
    for start in space.starts:
        study.enqueue_trial({str(i): int(p) for i, p in enumerate(start)})
    while True:
        trial = study.ask(whole)
        places: Places = space.repaired(tuple(trial.params[str(i)] for i in range(len(whole))), rng)
        good = yield places
        study.tell(trial, goals(good, places))
