"""Search layer by layer: beginning with uniform settings, recipes whose layers differ. What was tried is kept and gone on from."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import log
from typing import NamedTuple

import numpy as np

from app import compute
from app.readiness import Piece
from app.studying.known import known, measuring
from app.studying.plan import Plan, Study, steps, sweeps
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.search import Point
from compression.searching.pareto import pareto
from compression.searching.space import Places

TITLE = "Layer by layer"


class Grid(NamedTuple):
    """What may be tried: each free layer at each rung of each dial, by one method a dial."""

    plan: Plan
    layers: tuple[str, ...]
    rungs: tuple[tuple[Step, ...], ...]  # for each dial

    def at(self, places: Sequence[int]) -> Recipe:
        """The recipe with every free layer pinned; places: layer by layer, a rung for each dial."""
        found, left = self.plan.base, iter(places)
        for layer in self.layers:
            for rungs in self.rungs:
                found = found.with_pin(layer, rungs[next(left)])
        return found


def grid(net: Network, plan: Plan) -> Grid | None:
    """Of the first method of each dial; None where fewer than two layers are neither locked nor pinned."""
    one = replace(plan, methods=tuple((which, names[:1]) for which, names in plan.methods))
    free = tuple(x.name for x in net.layers if not plan.base.is_locked(x.name) and plan.base.override(x.name) is None)
    return Grid(one, free, tuple(steps(names[0], plan.settings) for _, names in one.methods)) if len(free) > 1 and one.methods else None


def tried(net: Network, plan: Plan, split: str) -> Study | None:
    """All recipes that a search has tried so far; None where none was."""
    places = _visited(net, plan, split)
    there = grid(net, plan)
    if there is None or not places:
        return None
    return compute.kept(("tried", _key(net, there, split), len(places)), lambda: Study(TITLE, "search", tuple(there.at(p) for p in places)))


def searching(net: Network, plan: Plan, split: str, close: float, most: int) -> Iterator[Point | Piece | None]:
    """Measure so many more recipes, each bred from the front of all that is known."""
    there = grid(net, plan)
    if there is None:
        return
    visited = list(_visited(net, plan, split))
    uniform = sweeps(there.plan)[0].recipes
    at = [tuple(reversed(p)) * len(there.layers) for p in product(*(range(len(r)) for r in reversed(there.rungs)))]  # in the order of the sweep
    both = [*zip(at, uniform, strict=True), *((p, there.at(p)) for p in visited)]
    met = {p: _found(point) for p, recipe in both if (point := known(net, recipe, split)) is not None}
    search = pareto([len(r) for r in there.rungs] * len(there.layers), met, seed=len(met))
    try:
        asked = next(search)
        for _ in range(most):
            point = None
            for step in measuring(net, [there.at(asked)], split, close):
                point = step if isinstance(step, Point) else point
                if step is None or isinstance(step, Piece):
                    yield step
            visited.append(asked)
            _keep(net, there, split, visited)
            yield point
            asked = search.send(_found(point))
    except StopIteration:
        return  # nothing new is left to try


def _found(point: Point) -> tuple[float, float]:
    return log(point.file_bytes), point.good


def _key(net: Network, there: Grid, split: str) -> tuple[object, ...]:
    return "search-1", net.digest, there.plan, net.data[split].digest


def _keep(net: Network, there: Grid, split: str, visited: list[Places]) -> None:
    compute.memo()[_key(net, there, split)] = tuple(visited)
    compute.kept_on_disk()[repr(_key(net, there, split))] = {"places": np.array(visited, np.int16)}


def _visited(net: Network, plan: Plan, split: str) -> tuple[Places, ...]:
    there = grid(net, plan)
    if there is None:
        return ()

    def read() -> tuple[Places, ...]:
        found = compute.kept_on_disk().get(repr(_key(net, there, split)))
        return () if found is None else tuple(tuple(map(int, row)) for row in found["places"])

    return compute.kept(_key(net, there, split), read)
