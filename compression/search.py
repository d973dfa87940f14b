"""Many recipes on one chart: a study that grows point by point, and its Pareto front."""

from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from compression.apply import Memo, compress
from compression.data import Data
from compression.evaluate import Answers, Quality
from compression.network import Network
from compression.recipe import Recipe, step
from compression.score import size_of
from compression.sensitivity import judged


@dataclass(frozen=True)
class Point:
    """One recipe with what it weighs and how it answers."""

    recipe: Recipe
    file_bytes: int
    quality: Quality

    @property
    def good(self) -> float:
        """What is compared with size: accuracy, or without labels the agreement with the original."""
        return (self.quality.accuracy or self.quality.agreement).value


def grid(base: Recipe, sparsities: Iterable[float], bits: Iterable[int], pruning: str = "pruning.magnitude",
         storing: str = "quantization.uniform") -> list[Recipe]:
    """Every pair of a sparsity and a bit width as the base's default steps, mildest first."""
    return [base.with_default(step(pruning, sparsity=s)).with_default(step(storing, bits=b)) for b, s in product(bits, sparsities)]


def study(network: Network, recipes: Iterable[Recipe], data: Data, examples: int, memo: Memo | None = None,
          dense: MutableMapping[Any, Answers] | None = None) -> Iterator[Point]:
    """Measure recipes one by one, each on the same examples (at least so many)."""
    dense = {} if dense is None else dense
    for recipe in recipes:
        compressed = compress(network, recipe, memo)
        yield Point(recipe, size_of(compressed), judged(network, compressed, data, examples, dense))


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other beats in size without losing in answers, or the other way round; smallest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.file_bytes, -p.good)):
        if not best or point.good > best[-1].good:
            best.append(point)
    return best


def knee(points: list[Point]) -> Point | None:
    """Of a front, the point farthest above the straight line between its ends, both axes scaled to 0..1. None below three points.

    Where it lies depends on that scaling, so it is a landmark and not an optimum.
    """
    if len(points) < 3:
        return None
    (x0, y0), (x1, y1) = ((p.file_bytes, p.good) for p in (points[0], points[-1]))
    return max(points[1:-1], key=lambda p: (p.good - y0) / max(y1 - y0, 1e-12) - (p.file_bytes - x0) / max(x1 - x0, 1))
