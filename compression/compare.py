"""Two recipes' answers to the same examples, side by side: which changed, for which classes, and how sure each network was.

A is what is compared with, B what is compared. Every difference is B − A, so that exchanging the two flips every sign.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.data import Data
from compression.evaluate import Answers, Quality, judge, sign_test

SAME, WORSE, BETTER, OTHER, CHANGED = range(5)  # one answer each; newly wrong; newly right; wrong both times; no label to tell by
BINS = 15  # of a calibration, as in Guo et al. 2017


class ByClass(NamedTuple):
    """How both answered the examples of one true class."""

    label: int
    n: int  # answers: examples, or characters
    a: int  # right
    b: int
    worse: int  # right in A, wrong in B
    better: int

    @property
    def change(self) -> int:
        """Right answers gained."""
        return self.b - self.a


class Bin(NamedTuple):
    """The answers given with a confidence between low and high."""

    low: float
    high: float
    count: int
    confidence: float  # their mean; 0 in an empty bin
    accuracy: float


class Calibration(NamedTuple):
    """Whether a network is right as often as it says."""

    error: float  # expected calibration error: the mean gap between confidence and accuracy, a share
    n: int
    bins: tuple[Bin, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """B against A on n examples. What needs labels is None or empty without them."""

    quality: Quality  # B's, with A in the place of the original
    worse: int  # what the test counts: examples that are newly wrong, or windows of text with fewer right characters
    better: int
    chance: float | None  # exact two-sided sign test of these (McNemar 1947)
    sorts: Tensor  # what became of each answer: SAME … CHANGED, (n,) or (n, length)
    by_class: tuple[ByClass, ...]
    confusion: Tensor | None  # (classes, classes) int64, [true, predicted]: answers of B less those of A
    calibration: tuple[Calibration, Calibration] | None

    @property
    def equal(self) -> bool:
        """Whether no answer differs."""
        return self.quality.changed == 0

    def count(self, sort: int) -> int:
        """How many answers are of one sort."""
        return int((self.sorts == sort).sum())


def compare(data: Data, rows: Tensor, a: Answers, b: Answers) -> Comparison:
    """B's answers to some rows of the data against A's to the same rows."""
    quality, sorts = judge(data, rows, a, b), sorted_out(data, rows, a, b)
    if data.labels is None:
        return Comparison(quality, 0, 0, None, sorts, (), None, None)
    truth = data.labels[rows]
    count = max(len(data.classes), 1 + max(int(t.max()) for t in (truth, a.top, b.top)))
    was, now = a.top == truth, b.top == truth
    worse, better = paired(was, now)
    change = confusion(truth, b.top, count) - confusion(truth, a.top, count)
    return Comparison(quality, worse, better, sign_test(worse, better), sorts, _by_class(truth, was, now, count), change,
                      (calibration(a.confidence, was), calibration(b.confidence, now)))


def sorted_out(data: Data, rows: Tensor, a: Answers, b: Answers) -> Tensor:
    """What became of each answer: SAME, WORSE, BETTER, OTHER or CHANGED, int8, of the answers' shape."""
    differ = a.top != b.top
    if data.labels is None:
        return torch.where(differ, CHANGED, SAME).to(torch.int8)
    truth = data.labels[rows]
    sort = torch.where(a.top == truth, WORSE, torch.where(b.top == truth, BETTER, OTHER))
    return torch.where(differ, sort, SAME).to(torch.int8)


def paired(was: Tensor, now: Tensor) -> tuple[int, int]:
    """How many independent examples are worse and better in B, from right answers, true or false.

    Characters of one window of text are not independent; windows are, so there a window with fewer right characters is worse.
    """
    if was.ndim > 1:
        was, now = (right.flatten(1).sum(1) for right in (was, now))
    return int((now < was).sum()), int((now > was).sum())


def confusion(truth: Tensor, answers: Tensor, classes: int) -> Tensor:
    """How often each class got each answer: (classes, classes) int64, [true, predicted].

    >>> confusion(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return torch.bincount((truth * classes + answers).flatten(), minlength=classes * classes).reshape(classes, classes)


def most_changed(change: Tensor, most: int) -> list[tuple[int, int, int]]:
    """The mistakes that changed most in number: (true, predicted, change), the largest change first.

    >>> most_changed(torch.tensor([[-3, 3], [-1, 1]]), 5)
    [(0, 1, 3), (1, 0, -1)]
    """
    rows = [(t, p, int(change[t, p])) for t, p in change.nonzero().tolist() if t != p]
    return sorted(rows, key=lambda row: -abs(row[2]))[:most]


def calibration(confidence: Tensor, right: Tensor, bins: int = BINS) -> Calibration:
    """Expected calibration error with bins of equal width (Guo et al. 2017, arXiv:1706.04599, eq. 5)."""
    sure, right = confidence.flatten().double(), right.flatten().double()
    place = (sure * bins).ceil().long().clamp(1, bins) - 1  # (low, high]
    count = torch.bincount(place, minlength=bins)
    sums = [torch.zeros(bins, dtype=torch.float64).index_add_(0, place, values) for values in (sure, right)]
    error = float((sums[0] - sums[1]).abs().sum() / max(1, len(sure)))
    means = [(total / count.clamp(min=1)).tolist() for total in sums]
    return Calibration(error, len(sure), tuple(Bin(i / bins, (i + 1) / bins, n, c, r) for i, (n, c, r) in enumerate(zip(count.tolist(), *means))))


def places(found: Comparison, a: Answers, b: Answers, sort: int | None) -> Tensor:
    """Where the answers of one sort are (None: all that differ), those first of which both networks were surest: (k, 1) or (k, 2)."""
    at = ((found.sorts != SAME) if sort is None else found.sorts == sort).nonzero()
    sure = (a.confidence + b.confidence)[tuple(at.T)]
    return at[sure.argsort(descending=True, stable=True)]


def _by_class(truth: Tensor, was: Tensor, now: Tensor, classes: int) -> tuple[ByClass, ...]:
    def count(of: Tensor) -> list[int]:
        return torch.bincount(truth[of].flatten(), minlength=classes).tolist()

    table = zip(range(classes), count(torch.ones_like(was)), count(was), count(now), count(was & ~now), count(now & ~was))
    return tuple(ByClass(*row) for row in table)
