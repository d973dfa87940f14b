"""A weight in 3 MB, however large it is: count, sum and sum of squares in 65,536 bins.

Half of the bin edges are evenly spaced and half are quantiles, so that neither a single value far out nor a crowd in the middle
takes all bins; a value that many weights share has a bin of its own. At the edges the answers are exact, in between they are
interpolated. Measured on normal and heavy-tailed weights (tests/test_sketches.py): squared error of a quantizer of up to 8 bits
within 1e-3 of its true value, share of zeros within 1e-4, lost energy within 1e-3 of the energy of all weights.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from compression.sketches.ordered import Array, Ordered, Run, Sums

BINS = 65_536
RUNS = 8_192


@dataclass(frozen=True, eq=False)
class Moments:
    """The same questions as Ordered answers, from bins."""

    size: int
    zeros: int
    least: float
    most: float
    edges: Array  # (bins,) ascending
    sums: Sums  # of the weights below each edge
    runs: Run  # of evenly many smallest magnitudes, (8193,)

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.edges, *self.sums, self.runs.threshold, *self.runs.start, *self.runs.end))

    @cached_property
    def all(self) -> Sums:
        return self.below([np.inf]).minus(self.below([-np.inf]))

    def below(self, bounds: ArrayLike) -> Sums:
        """Sums over the weights below each bound, interpolated between edges."""
        wide = np.asarray(bounds, np.float64)
        after = np.clip(np.searchsorted(self.edges, wide, "right"), 1, len(self.edges) - 1)
        low, high = self.edges[after - 1], self.edges[after]
        share = np.clip((wide - low) / (high - low), 0.0, 1.0)
        return Sums(*(s[after - 1] + share * (s[after] - s[after - 1]) for s in self.sums))

    def smallest(self, counts: ArrayLike) -> Run:
        """The runs of the so many smallest magnitudes, interpolated between every 8,192th of them."""
        k = np.asarray(counts, np.float64)
        known = self.runs.end.count - self.runs.start.count
        start, end = (Sums(*(np.interp(k, known, each) for each in side)) for side in (self.runs.start, self.runs.end))
        return Run(np.interp(k, known, self.runs.threshold), start, end)


def moments(ordered: Ordered, bins: int = BINS) -> Moments:
    """Bins of sorted weights. Where there are fewer distinct values than bins, every answer is exact."""
    values = ordered.values
    places = np.linspace(0, ordered.size - 1, bins // 2).astype(np.int64)
    quantiles = values[places]
    shared = quantiles[1:][quantiles[1:] == quantiles[:-1]]  # so many weights have this value that it fills a bin
    even = np.linspace(ordered.least, ordered.most, bins // 2, dtype=np.float32)
    ends = np.nextafter(np.concatenate([shared, [values[-1], np.float32(0)]]), np.float32(np.inf))
    edges = np.unique(np.concatenate([even, quantiles, ends, np.float32([0])]))
    runs = ordered.smallest(np.unique(np.linspace(0, ordered.size, RUNS + 1).astype(np.int64)))
    return Moments(ordered.size, ordered.zeros, ordered.least, ordered.most, edges.astype(np.float64), ordered.below(edges), runs)
