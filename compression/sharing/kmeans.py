"""Let the weights share a few values, placed where the weights are."""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded, Shared
from compression.method import Knob, Layer, Method

Array = NDArray[np.float64]
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
_EXACT = 64  # up to so many entries the seed is the best partition of the bins; beyond, that of 64 is split further
_BINS = 450
_TAIL = 50
_CUTS = 128
_STEPS = 150


class Codebooks(NamedTuple):
    """A weight, and for every width the values to share and the squared error they leave."""

    weight: Tensor
    books: dict[int, Tensor]  # width -> (2**width or fewer,) float32, ascending
    errors: dict[int, float]  # width -> sum of squared errors


class Sums(NamedTuple):
    """Sorted weights, and the sums of their first and second powers up to each: the error of any run at once."""

    values: NDArray[np.float32]  # (n,) ascending
    first: Array  # (n + 1,)
    second: Array  # (n + 1,)


def prepare(weight: Tensor, layer: Layer) -> Codebooks:
    ordered = np.sort(weight.flatten().numpy())
    if not len(ordered):
        return Codebooks(weight, {}, {})
    sums = Sums(ordered, *(np.concatenate([[0.0], np.cumsum(ordered.astype(np.float64) ** p)]) for p in (1, 2)))
    distinct = ordered[np.concatenate([[True], np.diff(ordered) != 0])]
    seeds = _seeds(sums, distinct) if len(distinct) > 2 else {}
    books, errors = {}, {}
    for width in WIDTHS:
        book = distinct if len(distinct) <= 2**width else _lloyd(sums, seeds[2**width]).astype(np.float32)
        error = 0.0 if book is distinct else _error(sums, book)
        if width > 1 and error > errors[width - 1]:
            book, error = books[width - 1].numpy(), errors[width - 1]  # a longer codebook is never allowed to be worse
        books[width], errors[width] = torch.from_numpy(book), error
    return Codebooks(weight, books, errors)


def answer(codebooks: Codebooks, bits: int) -> Encoded:
    weight = codebooks.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    book = codebooks.books[bits]
    codes = torch.bucketize(weight.flatten(), _between(book))
    return Shared(tuple(weight.shape), Codes(codes.to(torch.uint8), needed(len(book) - 1)), book)


def _between(book):  # type: ignore[no-untyped-def]
    """Half-way from each entry to the next, of arrays and tensors alike."""
    return book[:-1] + (book[1:] - book[:-1]) / 2


def _seeds(sums: Sums, distinct: NDArray[np.float32]) -> dict[int, Array]:
    """Size of the codebook -> its entries before refinement, for all widths from one dynamic program over bins.

    best[j] after k rounds is the least error of splitting the first j bins into k runs (Wang and Song 2011).
    """
    edges = _bins(sums.values, distinct)
    count, first, second = edges.astype(np.float64), sums.first[edges], sums.second[edges]
    n, s = count[:, None] - count, first[:, None] - first  # (end, start)
    cost = second[:, None] - second - np.divide(s * s, n, out=np.zeros_like(s), where=n > 0)
    cost[np.triu_indices(len(edges), 1)] = np.inf  # a run does not end before it starts
    longest = min(_EXACT, len(edges) - 1)
    best, rows = cost[:, 0].copy(), np.arange(len(edges))
    starts = [np.zeros(len(edges), np.int64)]  # for each round and end, where the last run starts
    held = np.empty_like(cost)
    for _ in range(1, longest):
        np.add(cost, best, out=held)
        starts.append(held.argmin(1))
        best = held[rows, starts[-1]]
    seeds = {}
    for k in (2**width for width in WIDTHS if 2**width <= longest):
        cuts = [len(edges) - 1]
        for round_ in range(k - 1, -1, -1):
            cuts.append(int(starts[round_][cuts[-1]]))
        at = edges[cuts[::-1]]  # (k + 1,)
        seeds[k] = np.sort(np.diff(sums.first[at]) / np.maximum(np.diff(at), 1))
    if longest == _EXACT:
        seeds |= _split(sums, _runs(sums, _lloyd(sums, seeds[_EXACT])))
    return seeds


def _split(sums: Sums, at: NDArray[np.int64]) -> dict[int, Array]:
    """The sizes of codebook above 64: the run whose best cut in two gains most is cut, again and again."""
    runs = [_best_cut(sums, int(a), int(b)) for a, b in zip(at, at[1:])]  # a heap, the largest gain first
    heapify(runs)
    seeds = {}
    while len(runs) < 2 ** WIDTHS[-1]:
        _, start, cut, end = heappop(runs)
        heappush(runs, _best_cut(sums, start, cut))
        heappush(runs, _best_cut(sums, cut, end))
        if len(runs) in (2**width for width in WIDTHS):
            seeds[len(runs)] = np.sort([(sums.first[b] - sums.first[a]) / max(1, b - a) for _, a, _, b in runs])
    return seeds


def _best_cut(sums: Sums, start: int, end: int) -> tuple[float, int, int, int]:
    """(minus the squared error saved, start, cut, end) for the best of a few hundred places to cut a run in two."""
    if end - start < 2:
        return 0.0, start, end, end
    cuts = np.linspace(start + 1, end - 1, min(end - start - 1, _CUTS)).astype(np.int64)
    if end - start > _CUTS:
        values = sums.values[start:end]
        cuts = np.concatenate([cuts, start + np.searchsorted(values, np.linspace(values[0], values[-1], _CUTS))])
        cuts = cuts.clip(start + 1, end - 1)
    left, right = sums.first[cuts] - sums.first[start], sums.first[end] - sums.first[cuts]
    gain = left**2 / (cuts - start) + right**2 / (end - cuts) - (left + right) ** 2 / (end - start)
    best = int(gain.argmax())
    return -float(gain[best]), start, int(cuts[best]), end


def _bins(ordered: NDArray[np.float32], distinct: NDArray[np.float32]) -> NDArray[np.int64]:
    """Where each of a few hundred bins of equal values starts in the sorted weights, and their count at the end.

    Every value its own bin where there are few; else a third each equal in width, in weights, and in distinct values,
    and each of the outermost values its own besides, because the few far out weigh most.
    """
    values = distinct
    if len(distinct) > _BINS:
        third = _BINS // 3
        quantiles = (np.linspace(0, len(a) - 1, third).astype(np.int64) for a in (ordered, distinct))
        even = np.linspace(ordered[0], ordered[-1], third, dtype=np.float32)
        inner = (a[q] for a, q in zip((ordered, distinct), quantiles))
        values = np.concatenate([even, *inner, distinct[:_TAIL], distinct[-_TAIL:]])
    return np.unique(np.concatenate([[0], np.searchsorted(ordered, values), [len(ordered)]]))


def _runs(sums: Sums, book: NDArray) -> NDArray[np.int64]:
    """Where the run of sorted weights nearest to each entry starts, and their count at the end: (entries + 1,)."""
    cuts = np.searchsorted(sums.values, _between(book.astype(np.float32)))
    return np.concatenate([[0], cuts, [len(sums.values)]])


def _lloyd(sums: Sums, centres: Array) -> Array:
    """Move every entry to the mean of the weights nearest to it, until none moves (Lloyd 1982)."""
    for _ in range(_STEPS):
        at = _runs(sums, centres)
        size = np.diff(at)
        moved = np.where(size > 0, np.diff(sums.first[at]) / np.maximum(size, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _error(sums: Sums, book: NDArray) -> float:
    """Sum of squared distances of the weights to their nearest entry."""
    at, wide = _runs(sums, book), book.astype(np.float64)
    runs = np.diff(sums.second[at]) - 2 * wide * np.diff(sums.first[at]) + wide**2 * np.diff(at)
    return float(max(runs.sum(), 0.0))


METHOD = Method(
    title="Weight sharing by k-means",
    summary="Cluster the weights, and store for each of them only the number of its cluster.",
    reference="Han et al. 2016, Deep Compression, arXiv:1510.00149",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per weight", (*WIDTHS, 32), 4, "Two to this power is the most values that are shared.",
             "rise", off=32),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("codebook", "The short list of values that all weights must choose from."),
        ("cluster", "The weights that share one value: all those nearer to it than to any other."),
    ),
)
