"""What is known of recipes, by content: what was measured in this start or an earlier one is not measured again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from app import compute, long_work, readiness
from app.readiness import Piece
from compression.cluster.where import HERE, Where
from compression.evaluate import Estimate, Quality
from compression.network import Network
from compression.recipe import Recipe
from compression.score import size_of
from compression.search import Point

ESTIMATES = ("accuracy", "original", "change", "agreement")
UNKNOWN = ("nothing",)  # kept in memory, so that the disk is asked once


def known(net: Network, recipe: Recipe, split: str) -> Point | None:
    """What was measured of a recipe, most closely; None where nothing was."""
    key = compute.kept(("key of a point", net.digest, net.data[split].digest, recipe), lambda: _key(net, recipe, split))
    held = compute.memo().get(key)
    if held is None:
        held = compute.memo()[key] = _read(net, recipe, split) or UNKNOWN
    whole = compute.found(net, recipe, split) if held is UNKNOWN or not held.quality.complete else None
    if whole is not None and not compute.waits_for_repairs(net, recipe):  # judged for the screen meanwhile, on all examples
        held = Point(recipe, size_of(compute.compressed(net, recipe)), whole, compute.operations(net, recipe))
        keep(net, held, split)
    return None if held is UNKNOWN else replace(held, recipe=recipe)


def close_enough(point: Point | None, close: float) -> bool:
    """Whether a point is known as closely as is asked: its half-width from sampling as a share of the answers, 0 for all examples."""
    return point is not None and (point.quality.complete or (point.quality.estimated and point.quality.sampled <= close))


def keep(net: Network, point: Point, split: str) -> None:
    """Remember a point, here and between starts."""
    key = _key(net, point.recipe, split)
    compute.memo()[key] = point
    plain = asdict(point.quality) | {"file_bytes": point.file_bytes, "multiply_adds": point.multiply_adds}
    compute.kept_on_disk()[repr(key)] = {"point": np.array(json.dumps(plain))}


def measuring(net: Network, recipes: Sequence[Recipe], split: str, close: float, on: Where = HERE) -> Iterator[Point | Piece | None]:
    """Measure recipes, each kept as it comes: what is to be prepared first, then one point a recipe. on: where; elsewhere prepares there."""
    for recipe in recipes if on == HERE else ():
        there, chains = readiness.wanted(net, recipe)
        left = readiness.unready(there, chains)
        if left:
            yield from readiness.preparing(there, left)
    for point in long_work.studying(net, list(recipes), split, close, on):
        if point is not None:
            keep(net, point, split)
        yield point


def _key(net: Network, recipe: Recipe, split: str) -> tuple[Any, ...]:
    return "point-1", net.digest, net.context.digest, compute.fingerprint(net, recipe), net.data[split].digest


def _read(net: Network, recipe: Recipe, split: str) -> Point | None:
    found = compute.kept_on_disk().get(repr(_key(net, recipe, split)))
    if found is None:
        return None
    plain = json.loads(str(found["point"]))
    size, operations = plain.pop("file_bytes"), plain.pop("multiply_adds")
    estimates = {name: None if plain[name] is None else Estimate(*plain[name]) for name in ESTIMATES}
    return Point(recipe, size, Quality(**plain | estimates), operations)
