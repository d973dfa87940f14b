"""Sorted weights with running sums: how many lie below any value, and what they and their squares add up to.

Sorted once, the weights below a value are a beginning of the list, and the smallest magnitudes a stretch around zero. Sums are
kept for every sixteenth place only (1 byte a weight beside the 4 of the weights), and are counted outwards from zero, so that
the energy of small weights is not the difference of two large numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BLOCK = 16
_CHUNK = 1 << 14  # blocks widened at a time


class Sums(NamedTuple):
    """Of the weights before some places: how many, their sum, the sum of their squares; each (places,).

    Only differences mean something: sums are counted from a place near zero, not from the least weight.
    """

    count: Array
    first: Array
    second: Array

    def minus(self, other: "Sums") -> "Sums":
        return Sums(*(a - b for a, b in zip(self, other)))


class Run(NamedTuple):
    """The smallest magnitudes: all weights from one place in the order to another."""

    threshold: Array  # the largest magnitude among them, 0 where there are none
    start: Sums
    end: Sums


@dataclass(frozen=True, eq=False)
class Ordered:
    """Weights in ascending order. All answers are exact, but for float64 rounding (1e-12 of the sum of squares)."""

    rows: NDArray[np.float32]  # (blocks, 16), filled up with zeros
    size: int
    first: Array  # (blocks,) sum of the weights before each block, counted from the block where the sign changes
    second: Array  # (blocks,) of their squares

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """(n,) ascending."""
        return self.rows.reshape(-1)[: self.size]

    @cached_property
    def distinct(self) -> NDArray[np.float32]:
        """The different values there are, ascending."""
        return self.values[np.concatenate([[True], self.values[1:] != self.values[:-1]])]

    def quantiles(self, count: int) -> NDArray[np.float32]:
        """So many values, evenly spaced in the order."""
        return self.values[np.linspace(0, self.size - 1, count).astype(np.int64)]

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.first.nbytes + self.second.nbytes

    @property
    def least(self) -> float:
        return float(self.values[0])

    @property
    def most(self) -> float:
        return float(self.values[-1])

    @cached_property
    def negative(self) -> int:
        """How many are below zero."""
        return int(np.searchsorted(self.values, np.float32(0)))

    @cached_property
    def zeros(self) -> int:
        return int(np.searchsorted(self.values, np.float32(0), "right")) - self.negative

    @cached_property
    def all(self) -> Sums:
        """Count, sum and sum of squares of all weights, each (1,)."""
        return self.upto([self.size]).minus(self.upto([0]))

    def upto(self, places: ArrayLike) -> Sums:
        """Sums over the first so many weights. places: (p,) from 0 to n."""
        at = np.asarray(places, np.int64)
        block, rest = np.minimum(at // BLOCK, len(self.rows) - 1), at
        rest = at - block * BLOCK
        part = self.rows[block].astype(np.float64) * (np.arange(BLOCK) < rest[:, None])  # (p, 16)
        return Sums(at.astype(np.float64), self.first[block] + part.sum(1), self.second[block] + np.einsum("ij,ij->i", part, part))

    def below(self, bounds: ArrayLike) -> Sums:
        """Sums over the weights below each bound. bounds: (p,), taken as float32, which the weights are."""
        return self.upto(np.searchsorted(self.values, np.asarray(bounds, np.float32)))

    def smallest(self, counts: ArrayLike) -> Run:
        """The runs of the so many smallest magnitudes. counts: (p,) from 0 to n.

        Of equal magnitudes with both signs, any may be taken: neither threshold nor energy depends on which.
        """
        k = np.asarray(counts, np.int64)
        v, n, z = self.values, self.size, self.negative
        low = np.array([_taken(v, z, int(k[0]))]) if len(k) == 1 else _all_taken(v, z, k)
        start, end = z - low, z - low + k
        threshold = np.where(k > 0, np.maximum(-v[np.minimum(start, n - 1)], v[np.maximum(end - 1, 0)]), 0).astype(np.float64)
        return Run(np.abs(threshold), self.upto(start), self.upto(end))


def ordered(weight: ArrayLike) -> Ordered:
    """Sort a weight of any shape, once. Raises ValueError for an empty one, or one with values that are not finite numbers.

    >>> o = ordered([3.0, -1.0, 0.5, 2.0])
    >>> o.below([1.0]).count, o.smallest([2]).threshold
    (array([2.]), array([1.]))
    """
    flat = np.asarray(weight, np.float32).reshape(-1)
    if not len(flat):
        raise ValueError("there is nothing to sort: the weight has no values")
    rows = np.zeros((-(-len(flat) // BLOCK), BLOCK), np.float32)
    values = rows.reshape(-1)[: len(flat)]
    values[:] = flat
    values.sort()
    if not np.isfinite(values[[0, -1]]).all():  # infinities sort to the ends, and what is not a number to the last
        raise ValueError("the weight has values that are not finite numbers, which have no place in an order")
    first, second = np.empty(len(rows)), np.empty(len(rows))
    for i in range(0, len(rows), _CHUNK):
        wide = rows[i : i + _CHUNK].astype(np.float64)
        first[i : i + _CHUNK], second[i : i + _CHUNK] = wide.sum(1), np.einsum("ij,ij->i", wide, wide)
    centre = min(int(np.searchsorted(values, np.float32(0))) // BLOCK, len(rows) - 1)
    return Ordered(rows, len(flat), _outwards(first, centre), _outwards(second, centre))


def _taken(values: NDArray[np.float32], negative: int, k: int) -> int:
    """How many of the k smallest magnitudes are below zero, by halving: the next one there is not nearer than the other side's last."""
    low, high = max(k - (len(values) - negative), 0), min(k, negative)
    while low < high:
        middle = (low + high) // 2
        if -values[negative - 1 - middle] < values[negative + k - middle - 1]:
            low = middle + 1
        else:
            high = middle
    return low


def _all_taken(values: NDArray[np.float32], negative: int, k: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same for many k at once, (p,)."""
    last = len(values) - 1
    low, high = np.maximum(k - (len(values) - negative), 0), np.minimum(k, negative)
    while (low < high).any():
        middle = (low + high) // 2
        nearer = -values[np.clip(negative - 1 - middle, 0, last)] < values[np.clip(negative + k - middle - 1, 0, last)]
        searching = low < high
        low, high = np.where(searching & nearer, middle + 1, low), np.where(searching & ~nearer, middle, high)
    return low


def _outwards(each: Array, centre: int) -> Array:
    """What lies between the start of the centre's block and that of each other: (blocks,), negative before it."""
    before = np.cumsum(each[:centre][::-1])[::-1]
    after = np.cumsum(each[centre:-1])
    return np.concatenate([-before, [0.0], after])
