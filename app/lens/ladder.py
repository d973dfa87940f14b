"""What the rungs of a layer's dials come to: plain data, with None where it is not known yet."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compression.method import Value

BINS = 1024  # of a histogram
CORNER = 8  # outputs and inputs of the weight that are shown entry by entry
Array = NDArray[Any]


class Spread(NamedTuple):
    """The values of a tensor, counted in bins of equal width from -most to most; those that are exactly zero are in none."""

    what: str
    count: int
    zeros: int
    most: float  # the largest magnitude, 1 where all are zero
    far: float  # the magnitude that one value in a thousand is beyond
    counts: Array  # (BINS,)


class Removed(NamedTuple):
    """What is left after the steps up to the one that prunes."""

    zeros: float  # share of entries that are zero
    threshold: float | None  # all up to it are zero and all above are not; None where there is no such magnitude
    kept: Array | None = None  # (bins,) entries that are not zero; None: those above the threshold, unchanged
    moved: bool = False  # whether entries that are not zero have other values than they were trained to


class Rounded(NamedTuple):
    """The levels that values are rounded to."""

    levels: Array  # (levels,) ascending; none where there are too many to be drawn, or where nothing is rounded
    counts: Array  # (levels,) how many values have each
    beyond: float | None  # share of the values that lie beyond the outermost levels
    of: str  # whose levels these are, where not all values share them


class Cut(NamedTuple):
    """How much of a decomposition is kept."""

    ranks: tuple[int, ...]  # how many of each spectrum; empty where the method has none
    energy: float  # 1 - ‖W - W_r‖² / ‖W‖², of the decomposition alone


Picture = Removed | Rounded | Cut


class Rung(NamedTuple):
    """One value of a dial, the other dials as they are."""

    nbytes: int | None = None  # of the layer as it is written
    sqnr: float | None = None  # decibels; infinite where nothing is lost
    corner: Array | None = None  # (rows, columns) of the weight after all steps
    picture: Picture | None = None

    @property
    def known(self) -> bool:
        return None not in (self.nbytes, self.sqnr) and self.corner is not None and self.picture is not None

    def over(self, older: "Rung") -> "Rung":
        """The same with what it does not know taken from an older one."""
        return Rung(*(b if a is None else a for a, b in zip(self, older)))


class Ladder(NamedTuple):
    """One dial of a layer."""

    dial: str
    title: str  # of the method that answers it
    values: tuple[Value, ...]
    now: int  # the present rung
    off: int | None  # the rung at which nothing is done
    rungs: tuple[Rung, ...]
    refused: str  # why the dial does nothing here; empty where it does

    @property
    def done(self) -> bool:
        return self.rungs[self.now].known if self.refused and self.rungs else all(r.known for r in self.rungs)


def shown_bins(count: int) -> int:
    """Into how many bins a histogram of so many values is joined on screen: few values leave many bins empty."""
    return 32 if count < 2_000 else 64 if count < 20_000 else 128


def joined(counts: Array, bins: int) -> Array:
    """Neighbouring bins added up: (bins,)."""
    return counts.reshape(bins, -1).sum(1)


def corner(weight: Array) -> Array:
    """The first outputs and inputs of a weight (out, in, *kernel), (out, in * kernel): at most CORNER of each."""
    matrix = weight.reshape(len(weight), -1) if weight.ndim > 1 else weight.reshape(1, -1)
    return np.ascontiguousarray(matrix[:CORNER, :CORNER], np.float32)
