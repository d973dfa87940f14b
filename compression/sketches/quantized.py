"""What rounding to evenly spaced levels does: the squared error, and how often each level is used.

All weights that round to one level lie between two bounds. With count c, sum s and sum of squares q between them, their squared
error to the level v is q - 2vs + v²c: no weight is looked at again. The bounds are the very float32 numbers at which
quantization.uniform turns from one code to the next, so counts are those of the file that is written.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compression.sketches.moments import Moments
from compression.sketches.ordered import Ordered, Run, Sums

_NEAR = 3  # float32 numbers to try on each side of where a bound should lie


class Grid(NamedTuple):
    """Levels (code - zero) * step for the codes from 0 to top."""

    step: np.float32
    zero: float  # a whole number, or a half where no level is at zero
    top: int

    def levels(self) -> NDArray[np.float32]:
        """(top + 1,) as they decode."""
        return ((np.arange(self.top + 1) - self.zero).astype(np.float32) * self.step).astype(np.float32)


def grid(low: float, high: float, bits: int, symmetric: bool) -> Grid:
    """The levels that quantization.uniform puts over a range, in float32 as it does; a test holds the two equal.

    >>> grid(-1.0, 0.5, 2, True)
    Grid(step=np.float32(1.0), zero=2, top=3)
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"levels are for 1 to 16 bits, not {bits}")
    least, most = np.float32(min(low, 0.0)), np.float32(max(high, 0.0))
    top, middle = 2**bits - 1, 2 ** (bits - 1) if bits > 1 else 0.5
    step = np.float32(max(-least, most) / np.float32(max(middle - 1, 1)) if symmetric else (most - least) / np.float32(top))
    if step < np.finfo(np.float32).tiny:
        step = np.float32(middle != 0.5 or not symmetric)  # zeros stay zeros
    return Grid(step, middle if symmetric else int(np.clip(np.rint(-least / step), 0, top)), top)


class Quantized(NamedTuple):
    """What is left after rounding: over all weights, those set to zero by pruning included in the error, not in the counts."""

    squared_error: float
    counts: NDArray[np.int64]  # (top + 1,) how many weights have each code


def quantized(source: Ordered | Moments, grid: Grid, cut: Run | None = None) -> Quantized:
    """Rounding every weight to the nearest level of a grid; those of a pruned run not at all, they are zero.

    Exact from Ordered, but for pruned ties of both signs: which of those are cut depends on where they stand in the weight.
    """
    sums = source.below(bounds(grid))
    ends = source.below([-np.inf, np.inf])
    if cut is not None:
        sums, ends = _outside(sums, cut), _outside(ends, cut)
    cells = Sums(*(np.diff(np.concatenate([e[:1], s, e[1:]])) for s, e in zip(sums, ends)))
    levels = grid.levels().astype(np.float64)
    error = float((cells.second - 2 * levels * cells.first + levels**2 * cells.count).sum())
    if cut is not None:
        error += float(cut.end.second[0] - cut.start.second[0])
    return Quantized(max(error, 0.0), np.rint(cells.count).astype(np.int64))


def bounds(grid: Grid) -> NDArray[np.float32]:
    """The least float32 number of each code from 1 on, (top,): where round(w / step) turns, halves going to the even code.

    Rounding is monotone, so it is enough to try the few float32 numbers around where the bound should lie.
    """
    if grid.zero == 0.5:
        return np.zeros(1, np.float32)
    codes = np.arange(1, grid.top + 1) - grid.zero
    inverse = np.float32(1) / grid.step
    candidate = ((codes - 0.5) / np.float64(inverse)).astype(np.float32)
    for _ in range(_NEAR):
        candidate = np.nextafter(candidate, np.float32(-np.inf))
    found, done = candidate.copy(), np.zeros(len(codes), bool)
    for _ in range(2 * _NEAR + 1):
        turned = np.rint(candidate * inverse) >= codes
        found = np.where(turned & ~done, candidate, found)
        done |= turned
        candidate = np.nextafter(candidate, np.float32(np.inf))
    return np.where(done, found, candidate)


def _outside(sums: Sums, cut: Run) -> Sums:
    """Sums without what a run adds to them."""
    before, after = sums.count <= cut.start.count, sums.count >= cut.end.count
    inside = [np.where(before, a, np.where(after, b, s)) for s, a, b in zip(sums, cut.start, cut.end)]
    return Sums(*(s - (i - a) for s, i, a in zip(sums, inside, cut.start)))
