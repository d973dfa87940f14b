"""A study's recipes, each a task of its own."""

from collections.abc import Iterator, Sequence

from compression.cluster.parcel import Parcel, beside, opened, packed
from compression.cluster.where import HERE, Where, spread
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.recipe import Recipe, from_json, to_json
from compression.search import Point
from compression.search import study as one_by_one


def study(instrument: Instrument, recipes: Sequence[Recipe], data: Data, close: float, on: Where = HERE) -> Iterator[tuple[int, Point] | None]:
    """(number of the recipe, what search.study finds) as they come, None while nothing does; equal to the last bit wherever they are found.

    That holds for processors of one kind, one version of torch, and one instrument: it says how many examples are asked at a time.
    """
    for _ in instrument.answered(data):
        yield None
    yield from spread(judged, (packed(instrument, data), close), [to_json(recipe) for recipe in recipes], on)


def table(found: Iterator[tuple[int, Point] | None]) -> list[Point]:
    """All points in the order of the recipes."""
    return [point for _, point in sorted((pair for pair in found if pair is not None), key=lambda pair: pair[0])]


def judged(common: tuple[Parcel, float], recipe: str) -> Point:
    """One recipe, on a worker."""
    parcel, close = common
    net = opened(parcel).network
    return next(p for p in one_by_one(net, [from_json(recipe)], net.data[parcel.split], close, lambda n: beside(parcel, n)) if p is not None)
