"""How many examples are enough: paired differences, drawn where the original was unsure, until the interval is narrow.

Each example gives a difference: 1 where only the original is right, -1 where only the changed network is, else 0 (McNemar
1947); for text, the mean of these over a window. Differences are rare, and nearly all are where the original's best two scores
lie close together. So examples are put into strata by that margin, and each cell draws from a stratum in proportion to its size
and to the spread of the differences in it (Neyman 1934), a spread estimated together with the other cells of like flip rate
(empirical Bayes: no flips among ten is not proof of none). Examples are drawn without replacement: with all of them, the
interval is a point.

Everything here is arithmetic on counts: (cells, strata) arrays.
"""

from dataclasses import dataclass
from math import log, pi
from statistics import NormalDist
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Z = 2.05  # standard errors in an interval; see level()
Array = NDArray[np.float64]
PRIOR = 6.0  # examples that the shared spread counts for in each stratum of each cell


@dataclass(frozen=True, eq=False)
class Design:
    """The strata of a set of examples, and a fixed random order in each: any beginning of it is a sample."""

    order: tuple[NDArray[np.int64], ...]  # for each stratum, rows of the data; least margins first
    unit: float = 1.0  # square of a usual difference of one example: 1 for an image, 1 / length for a window of text

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.array([len(o) for o in self.order])

    @property
    def share(self) -> Array:
        return self.sizes / self.sizes.sum()


def design(margins: NDArray[np.floating], count: int = 8, seed: int = 0, unit: float = 1.0) -> Design:
    """Strata of equal size from the original's margins (n,): the best score less the next one, small where it was unsure."""
    rng = np.random.default_rng(seed)
    parts = np.array_split(np.argsort(margins, kind="stable"), min(count, len(margins)))
    return Design(tuple(rng.permutation(p) for p in parts), unit)


class Counts(NamedTuple):
    """What was seen so far, (cells, strata) each: examples, sum of their differences, sum of the squares."""

    n: NDArray[np.int64]
    sums: Array
    squares: Array


class Judged(NamedTuple):
    """Estimates from counts, (cells,): drop in accuracy (share of answers), half-width; and the spread (cells, strata)."""

    drop: Array
    half: Array
    spread: Array


def judge(counts: Counts, design: Design, z: float = Z) -> Judged:
    """The stratified estimate of each cell's drop and the half-width of its interval, finite-population correction included.

    The second moment of each stratum is shrunk toward that of all cells with a like total (within a factor of 3.5).
    """
    n, share = np.maximum(counts.n, 1), design.share
    total = (share * counts.squares / n).sum(1)
    total = total / design.unit
    band = np.floor(np.log(np.maximum(total, 0.5 / n.sum(1))) / log(3.5)).astype(int)
    band = np.maximum(band, int(np.floor(log(0.004) / log(3.5))))
    moment = np.empty_like(counts.sums)
    for b in np.unique(band):
        mine = band == b
        shared = (counts.squares[mine].sum(0) + 0.5 * design.unit) / (counts.n[mine].sum(0) + 1)
        moment[mine] = (counts.squares[mine] + PRIOR * shared) / (counts.n[mine] + PRIOR)
    mean = counts.sums / n
    spread = np.maximum((moment - mean**2) * n / np.maximum(n - 1, 1), moment / 10)
    left = 1 - counts.n / design.sizes
    variance = (share**2 * spread / n * left).sum(1)
    return Judged((share * mean).sum(1), z * np.sqrt(variance), spread)


@dataclass(frozen=True)
class Tolerance:
    """How narrow an interval must be: half-width at most `flat`, or `share` of the drop where that is more."""

    flat: float = 0.01
    share: float = 0.10

    @property
    def everything(self) -> bool:
        """Whether nothing less than all examples is enough."""
        return self.flat == self.share == 0

    def allows(self, drop: Array, half: Array) -> NDArray[np.bool_]:
        """Whether intervals are narrow enough, taking the drop at the cautious end of its interval."""
        return half <= np.maximum(self.flat, self.share * np.maximum(np.abs(drop) - half, 0))


@dataclass(frozen=True)
class Verdict:
    """Enough to say on which side of a drop a cell lies, or so narrow that it does not matter."""

    allowed: float
    flat: float = 0.0025
    everything: ClassVar[bool] = False

    def allows(self, drop: Array, half: Array) -> NDArray[np.bool_]:
        """Whether the interval leaves the allowed drop out, or is narrow."""
        return (np.abs(drop - self.allowed) > half) | (half <= self.flat)


def level(look: int, strict: bool = False) -> float:
    """How many standard errors make the interval at one look.

    2.05 where 1.96 would do for one look at many examples: calibrated, so that 95 % of intervals hold at the looks at which scans
    stop, on full tables of networks' answers and on invented ones (tests/test_sampling.py). No theorem. Strict: 5 % spent over
    all looks ever, 6 / (pi * look)**2 of it on each, so that the chance of any miss at all is bounded.
    """
    return NormalDist().inv_cdf(1 - 0.025 * 6 / (pi * max(1, look)) ** 2) if strict else Z


def start(design: Design, total: int) -> NDArray[np.int64]:
    """The first examples of each stratum, before anything is known: more where the margin is small, (strata,)."""
    weight = design.share / np.sqrt(1 + np.arange(len(design.order)))
    parts = np.diff(np.rint(total * np.cumsum(weight) / weight.sum()), prepend=0)
    return np.minimum(design.sizes, np.maximum(2, parts)).astype(int)


def more(counts: Counts, judged: Judged, design: Design, open_: NDArray[np.bool_], growth: float = 1.25, least: int = 32) -> NDArray[np.int64]:
    """How many examples each open cell should have seen next, (cells, strata): Neyman's allocation of a total that grows.

    By a quarter, most cells stop soon after they could; by less, looks cost more than they save. Against 1.4, 7 to 10 % fewer examples
    on LeNet-5, ResNet-20 and ViT, with as many intervals that hold.
    """
    pull = design.share * np.sqrt(judged.spread)
    pull = pull / pull.sum(1, keepdims=True)
    total = np.ceil(counts.n.sum(1) * growth + least)
    wanted = np.ceil(total[:, None] * pull).astype(int)
    wanted = np.minimum(design.sizes, np.maximum(counts.n, wanted))
    stuck = (wanted == counts.n).all(1)  # what is asked for has all been seen: take the rest
    wanted[stuck] = np.minimum(design.sizes, counts.n[stuck] + least)
    return np.where(open_[:, None], wanted, counts.n)


