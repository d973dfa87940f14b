"""A weight as 65,536 values, each with the number of weights near it: what codebooks need, without sorting.

A weight is taken for the middle of its bin. Codebooks found so differ from those of the sorted weights by a fraction of a bin;
tests/bench/sketches.py measures what that costs. Their error is that of the bins: judge them on the weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compression.sketches.ordered import Sums

BINS = 65_536
_CHUNK = 1 << 17


@dataclass(frozen=True, eq=False)
class Histogram:
    """Distinct values, ascending, with running sums over the weights that are taken for them."""

    values: NDArray[np.float32]  # (m,)
    running: Sums  # (m + 1,)

    @property
    def size(self) -> int:
        return len(self.values)

    @property
    def distinct(self) -> NDArray[np.float32]:
        return self.values

    def quantiles(self, count: int) -> NDArray[np.float32]:
        """So many values, evenly spaced among the weights."""
        wanted = np.linspace(0, self.running.count[-1] - 1, count)
        return self.values[np.searchsorted(self.running.count, wanted, "right") - 1]

    def upto(self, places: ArrayLike) -> Sums:
        """Sums over the weights of the first so many values. places: (p,) from 0 to m."""
        return Sums(*(each[places] for each in self.running))


def histogram(weight: ArrayLike) -> Histogram:
    """Bins of equal width over a weight of any shape. Raises ValueError for an empty one, or one that is not finite."""
    flat = np.asarray(weight, np.float32).reshape(-1)
    if not len(flat):
        raise ValueError("there is nothing to count: the weight has no values")
    low, high = flat.min(), flat.max()
    if not np.isfinite([low, high]).all():
        raise ValueError("the weight has values that are not finite numbers, which have no bin")
    reach = float(high) - float(low)
    counts, scale = np.zeros(BINS, np.int64), np.float32(BINS / reach if reach > 0 else 0)
    if not np.isfinite(scale):
        raise ValueError(f"the weights reach only from {low} to {high}, too little for bins; sort them instead")
    for start in range(0, len(flat), _CHUNK):
        place = ((flat[start : start + _CHUNK] - low) * scale).astype(np.int32)
        counts += np.bincount(np.minimum(place, BINS - 1, out=place), minlength=BINS)
    filled = np.flatnonzero(counts)
    middle = float(low) + (filled + 0.5) * (reach / BINS)
    number = counts[filled].astype(np.float64)
    return Histogram(middle.astype(np.float32), Sums(*(np.concatenate([[0], np.cumsum(number * middle**p)]) for p in (0, 1, 2))))
