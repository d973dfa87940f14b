"""Values for weights to share: codebooks of every size at once, from one sorting and one dynamic program.

The best split of sorted values into k runs is found exactly for a few hundred bins of them, for all k together (Wang and Song
2011, Ckmeans.1d.dp), and then moved to the best place among all values by Lloyd's steps (1982), which on sorted values with
running sums cost the same for a thousand weights and for a million. Measured against the exact optimum in
tests/bench/sketches.py: at most 1.002 times its squared error for every k up to 64.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from compression.sketches.histogram import Histogram
from compression.sketches.ordered import Array, Ordered, Sums

Book = NDArray[np.float32]
Source = Ordered | Histogram
MOST = 256
_EXACT = 64  # up to so many entries the seed is the best partition of the bins
_BINS = 420
_MORE_BINS = 1500  # beyond, of more bins, the best partition into runs of
_REACH = 64  # bins at the most
_FEW = 450  # distinct values that each have a bin
_SPREAD = (40, 64)  # bins of equal width, and of equal counts
_TAIL = 50
_STEPS = 150


def codebooks(source: Source, sizes: Iterable[int], steps: int = _STEPS) -> dict[int, tuple[Book, float]]:
    """Size -> its entries, ascending, and the sum of squared distances of the weights to their nearest entry.

    Of the sizes asked for, none is ever worse than a smaller one. Where there are fewer distinct weights than entries, those.
    """
    distinct = source.distinct
    wanted = sorted(set(sizes))
    if not wanted or wanted[0] < 1 or wanted[-1] > MOST:
        raise ValueError(f"a codebook has at least one entry and at most {MOST}; asked for {wanted}")
    short = [k for k in wanted if k < len(distinct)]
    started = seeds(source, short) if short else {}
    books = dict(zip(short, refine(source, [started[k] for k in short], steps)))
    found: dict[int, tuple[Book, float]] = {}
    best: tuple[Book, float] | None = None
    for k in wanted:
        now = (books[k], error(source, books[k])) if k in books else (distinct, 0.0)
        best = now if best is None or now[1] <= best[1] else best
        found[k] = best
    return found


def between(book):  # type: ignore[no-untyped-def]
    """Half-way from each entry to the next, of arrays and tensors alike: where a weight turns from one to the other."""
    return book[:-1] + (book[1:] - book[:-1]) / 2


def error(source: Source, book: NDArray) -> float:
    """Sum of squared distances of the weights to their nearest entry."""
    places = np.concatenate([[0], np.searchsorted(source.values, between(book.astype(np.float32))), [source.size]])
    sums, wide = source.upto(places), book.astype(np.float64)
    runs = np.diff(sums.second) - 2 * wide * np.diff(sums.first) + wide**2 * np.diff(sums.count)
    return float(max(runs.sum(), 0.0))


def seeds(source: Source, sizes: Sequence[int]) -> dict[int, Array]:
    """Size of the codebook -> its entries before refinement. Every size is below the count of distinct weights."""
    found = {}
    for some, count, reach in (([k for k in sizes if k <= _EXACT], _BINS, None), ([k for k in sizes if k > _EXACT], _MORE_BINS, _REACH)):
        if not some:
            continue
        edges = _bins(source, count)
        sums = source.upto(edges)
        starts = _best_runs(sums, max(some), len(edges) - 1 if reach is None or len(edges) <= _FEW else reach)
        for k in some:
            cuts = [len(edges) - 1]
            for round_ in range(k - 1, -1, -1):
                cuts.append(int(starts[round_][cuts[-1]]))
            at = cuts[::-1]  # (k + 1,)
            found[k] = np.sort(np.diff(sums.first[at]) / np.maximum(np.diff(sums.count[at]), 1))
    return found


def _best_runs(sums: Sums, longest: int, reach: int) -> list[NDArray[np.int64]]:
    """For each number of runs up to the longest, and each end, where the last run starts in the best split of what is before.

    best[j] after k rounds is the least error of splitting the first j bins into k runs, none over more than `reach` bins. In
    float32: a seed needs no more.
    """
    ends = np.arange(len(sums.count))
    begins = ends[:, None] + np.arange(-reach, 0)  # (end, start)
    n, s, q = (each[:, None] - each[begins.clip(0)] for each in sums)
    cost = q - np.divide(s * s, n, out=np.zeros_like(s), where=n > 0)
    cost /= max(float(sums.second[-1] - sums.second[0]), np.finfo(np.float64).tiny)
    cost[begins < 0] = np.inf
    cost = np.maximum(cost, 0, dtype=np.float32, casting="same_kind")
    held, best = np.empty_like(cost), np.full(len(ends) + reach, np.inf, np.float32)  # infinite before the first bin
    best[reach] = 0
    before = sliding_window_view(best, reach)[: len(ends)]  # (end, start), always the errors there are now
    starts = []
    for _ in range(longest):
        np.add(cost, before, out=held)
        last = held.argmin(1)
        starts.append(np.maximum(ends + last - reach, 0))
        best[reach:] = held[ends, last]
    return starts


def refine(source: Source, books: Sequence[NDArray], steps: int = _STEPS) -> list[Book]:
    """Move every entry to the mean of the weights nearest to it, again and again, until none moves (Lloyd). All books together."""
    if not books:
        return []
    centres = np.concatenate(books).astype(np.float64)
    length = np.array([len(b) for b in books])
    of = np.repeat(np.arange(len(books)), length)
    start = np.arange(len(centres)) + of  # the place of each entry's run among the bounds of all books
    bounds = np.empty(len(centres) + len(books), np.int64)
    ends = np.cumsum(length + 1) - 1
    bounds[ends - length], bounds[ends] = 0, source.size
    inner = np.flatnonzero(np.diff(of) == 0)  # an entry and the next are of one book
    for _ in range(steps):
        narrow = centres.astype(np.float32)
        bounds[start[inner] + 1] = np.searchsorted(source.values, between(narrow)[inner])
        sums = source.upto(bounds)
        size, total = np.diff(sums.count)[start], np.diff(sums.first)[start]
        moved = np.where(size > 0, total / np.maximum(size, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return [b.astype(np.float32) for b in np.split(centres, np.cumsum(length)[:-1])]


def _bins(source: Source, count: int) -> NDArray[np.int64]:
    """Where each of a few hundred bins starts among the values, and their count at the end.

    Every value its own bin where there are few. Else most stand as densely as the entries of a large codebook would, which is
    with the cube root of the weights' density (Panter and Dite 1951); the others are equal in width or in count, and each of
    the outermost values has its own, because the few far out weigh most.
    """
    values, distinct = source.values, source.distinct
    if len(distinct) <= _FEW:
        return np.concatenate([np.searchsorted(values, distinct), [len(values)]])
    even, crowd = _SPREAD
    rough = np.unique(np.concatenate([np.linspace(values[0], values[-1], even, dtype=np.float32), source.quantiles(crowd)]))
    counts = np.diff(source.upto(np.concatenate([np.searchsorted(values, rough[:-1]), [len(values)]])).count)
    width = np.diff(rough.astype(np.float64))
    entries = np.concatenate([[0.0], np.cumsum(np.cbrt(counts * width**2))])
    fine = np.interp(np.linspace(0, entries[-1], count), entries, rough).astype(np.float32)
    picked = np.concatenate([rough, fine, distinct[:_TAIL], distinct[-_TAIL:]])
    return np.unique(np.concatenate([[0], np.searchsorted(values, picked), [len(values)]]))
