"""Many recipes on one chart: a study that grows point by point, and its Pareto front."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from compression.apply import Memo, compress
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.evaluate import Quality
from compression.network import Network
from compression.recipe import Recipe, step
from compression.score import size_of


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


def study(network: Network, recipes: Iterable[Recipe], data: Data, close: float, instruments: Callable[[Network], Instrument],
          memo: Memo | None = None) -> Iterator[Point | None]:
    """Measure recipes one by one; None for work that finishes none.

    close: half-width to which each is judged, as a share of the answers, for these examples; 0 judges all. instruments: where a
    network's instrument is kept.
    """
    for recipe in recipes:
        done = compress(network, recipe, memo)
        for progress in instruments(done.network).judging(done, data, instruments(network)):
            if progress is not None and progress.quality.estimated and progress.quality.sampled <= close:
                break
            yield None
        assert progress is not None
        yield Point(recipe, size_of(done), progress.quality)


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
