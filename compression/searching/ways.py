"""All searches by id, with their names and where they come from."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from compression.searching.annealing import annealing
from compression.searching.distribution import distribution
from compression.searching.evolutionary import evolutionary
from compression.searching.filtering import filtering
from compression.searching.sampled import nsga2, tpe
from compression.searching.space import Search, Space, drawing
from compression.searching.swarm import swarm


class Way(NamedTuple):
    """One search."""

    title: str
    reference: str
    begin: Callable[[Space, int], Search]  # from a space and a seed


WAYS: Mapping[str, Way] = MappingProxyType({
    "search.random": Way("Random draws", "Bergstra and Bengio 2012", drawing),
    "search.evolutionary": Way("Evolutionary", "Holland 1975; Whitley 1990", evolutionary),
    "search.annealing": Way("Annealing", "Kirkpatrick, Gelatt and Vecchi 1983", annealing),
    "search.swarm": Way("Particle swarm", "Kennedy and Eberhart 1995", swarm),
    "search.filtering": Way("Particle filter", "Anwar, Hwang and Sung 2017", filtering),
    "search.distribution": Way("Estimation of distribution", "Cantú-Paz 2003", distribution),
    "search.nsga2": Way("NSGA-II", "Deb et al. 2002, by Optuna", nsga2),
    "search.tpe": Way("TPE", "Bergstra et al. 2011, by Optuna", tpe),
})
