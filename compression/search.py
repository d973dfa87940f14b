"""Many recipes on one chart: a study that grows point by point, its Pareto front, and what can be said of it.

A front is of two numbers, one that should be small and one that should be large: bytes and accuracy where nothing else is asked for.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeVar

from compression import measure
from compression.apply import Memo, compress, smaller, up_to
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.evaluate import Quality
from compression.network import Network
from compression.recipe import Recipe, Step, step
from compression.score import size_of

T = TypeVar("T")
Number = Callable[[Any], float]  # what is read off a point


@dataclass(frozen=True)
class Point:
    """One recipe with what it weighs and how it answers."""

    recipe: Recipe
    file_bytes: int
    quality: Quality
    multiply_adds: int | None = None  # of the really smaller network; None where there is no example to count with

    @property
    def good(self) -> float:
        """What is compared with size: accuracy, or without labels the agreement with the original."""
        return (self.quality.accuracy or self.quality.agreement).value


def grid(base: Recipe, sparsities: Iterable[float], bits: Iterable[int], pruning: str = "pruning.magnitude",
         storing: str = "quantization.uniform") -> list[Recipe]:
    """Every pair of a sparsity and a bit width as the base's default steps, mildest first."""
    return [base.with_default(step(pruning, sparsity=s)).with_default(step(storing, bits=b)) for b, s in product(bits, sparsities)]


def bit_pairs(weights: Iterable[int], activations: Iterable[int], rounding: Step) -> list[Recipe]:
    """Every pair of a width of weights and one of activations, row by row of weights. rounding: the rewriting that rounds activations, as set."""
    def first(bits: int) -> tuple[Step, ...]:
        return () if bits == 32 else (replace(rounding, knobs=tuple((k, bits if k == "bits" else v) for k, v in rounding.knobs)),)

    return [Recipe((step("quantization.uniform", bits=w),) if w != 32 else (), first=first(a)) for w, a in product(weights, activations)]


def study(network: Network, recipes: Iterable[Recipe], data: Data, close: float, instruments: Callable[[Network], Instrument],
          memo: Memo | None = None) -> Iterator[Point | None]:
    """Measure recipes one by one; None for work that finishes none.

    close: half-width to which each is judged, as a share of the answers, for these examples; 0 judges all. instruments: where a
    network's instrument is kept.
    """
    counted: dict[Any, int] = {}
    for recipe in recipes:
        done = compress(network, recipe, memo)
        for progress in instruments(done.network).judging(done, data, instruments(network.reference)):
            if progress is not None and progress.quality.estimated and progress.quality.sampled <= close:
                break
            yield None
        assert progress is not None
        yield Point(recipe, size_of(done), progress.quality, _operations(network, recipe, memo, counted))


def _operations(network: Network, recipe: Recipe, memo: Memo | None, counted: dict[Any, int]) -> int | None:
    """Multiply-adds, which only a decomposition changes; those counted before are looked up."""
    if network.example is None:
        return None
    shape = up_to(recipe, "rank")
    key = (shape.first, *(shape.chain(layer.name) for layer in network.layers))
    if key not in counted:
        counted[key] = measure.multiply_adds(smaller(compress(network, shape, memo)), network.example)
    return counted[key]


def _bytes(point: Any) -> float:
    return point.file_bytes


def _good(point: Any) -> float:
    return point.good


def front(points: Iterable[T], cost: Number = _bytes, good: Number = _good) -> list[T]:
    """The points that no other beats in cost without losing in what is good, or the other way round; cheapest first.

    Of points that are equal in both, the first.
    """
    best: list[T] = []
    for point in sorted(points, key=lambda p: (cost(p), -good(p))):
        if not best or good(point) > good(best[-1]):
            best.append(point)
    return best


def knee(line: list[T], cost: Number = _bytes, good: Number = _good) -> T | None:
    """Of a front, the point farthest above the straight line between its ends, both axes scaled to 0..1. None below three points.

    Where it lies depends on that scaling, so it is a landmark and not an optimum. Give the logarithm of a cost for a logarithmic axis.
    """
    if len(line) < 3:
        return None
    (x0, y0), (x1, y1) = ((cost(p), good(p)) for p in (line[0], line[-1]))
    return max(line[1:-1], key=lambda p: (good(p) - y0) / max(y1 - y0, 1e-12) - (cost(p) - x0) / max(x1 - x0, 1e-12))


def dominating(point: T, points: Iterable[T], cost: Number = _bytes, good: Number = _good) -> list[T]:
    """The points that beat one: no worse in both, and better in at least one. Cheapest first; none for a point of the front."""
    here = cost(point), good(point)
    return sorted((p for p in points if cost(p) <= here[0] and good(p) >= here[1] and (cost(p), good(p)) != here), key=cost)


def within(points: Iterable[T], least: float, cost: Number = _bytes, good: Number = _good) -> T | None:
    """The cheapest point that is at least so good; of equally cheap ones the best. None where none is."""
    there = [p for p in points if good(p) >= least]
    return min(there, key=lambda p: (cost(p), -good(p))) if there else None
