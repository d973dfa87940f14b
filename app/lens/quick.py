"""Rungs that need not be carried out: what sorted weights, codebooks and spectra tell exactly of whole ladders.

Each function gives (rung, what is known of it), and nothing where the steps are others than those it knows, or training left the
layer stored in some way. A test holds every figure equal to that of the layer really encoded.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from app.lens.ladder import Array, Cut, Removed, Rounded, Rung, corner
from app.lens.rungs import NOTHING, ranks
from app.lens.steps import Steps, ladder, running
from compression import instant
from compression.bits import WIDEST, needed
from compression.lowrank.svd import Spectrum
from compression.lowrank.tucker2 import Modes
from compression.method import Layer
from compression.recipe import Step
from compression.sharing.kmeans import Codebooks
from compression.sketches.codebooks import between
from compression.sketches.ordered import Ordered, Run
from compression.sketches.quantized import bounds, grid, quantized
from compression.sketches.spectrum import errors_by_ranks

Found = Iterator[tuple[int, Rung]]
FLOAT = 4  # bytes of a weight, a scale, an entry of a codebook
PRUNE, ROUND, CODE = "pruning.magnitude", "quantization.uniform", "coding.huffman"


class Gone(NamedTuple):
    """The smallest magnitudes, which pruning removes."""

    count: int
    threshold: float  # the largest magnitude among them
    stays: int  # from this place of the weight on, magnitudes that equal the threshold are kept
    run: Run  # where they stand among the sorted weights

    def kept(self, values: Array, places: Array) -> Array:
        """Which of some entries, at these places of the weight, are kept."""
        size = np.abs(values)
        return (size > self.threshold) | ((size == self.threshold) & (places >= self.stays)) if self.count else np.ones(values.shape, bool)


class Left(NamedTuple):
    """What rounding leaves of the weights that pruning left."""

    noise: float  # sum of squared errors of all weights
    nbytes: int  # codes and scales or codebook
    corner: Array
    picture: Rounded


def pruning(layer: Layer, steps: Steps, at: int, source: Ordered) -> Found:
    """Magnitude pruning of the weights as trained, then perhaps uniform quantization with one scale, and Huffman coding."""
    after = running(steps[at + 1 :])
    names = [s.method for s in after]
    if layer.stored is not None or steps[at].method != PRUNE or running(steps[:at]) or names not in ([], [CODE], [ROUND], [ROUND, CODE]):
        return
    n, coded, flat, signal = source.size, CODE in names, _flat(layer), float(source.all.second[0])
    for i, asked in enumerate(ladder(steps[at])):
        k = round(float(asked) * n)
        if k == n or (ROUND in names and not _one_scale(after[0], pruned=k > 0)):
            continue
        gone = _gone(source, flat, k)
        picture = Removed(max(k, source.zeros) / n, gone.threshold if k else None)
        left = _uniform(layer, source, gone, after[0], int(after[0]["bits"]), coded) if ROUND in names else _as_it_is(layer, n, gone)
        yield i, Rung(left.nbytes + _places(flat, gone, coded), _decibels(left.noise, signal), left.corner, picture)


def rounding(layer: Layer, steps: Steps, at: int, source: Ordered, books: Any) -> Found:
    """Uniform quantization with one scale, or values shared by k-means, of the weights or of those that magnitude pruning keeps.

    books: what k-means prepared on those; None for another method.
    """
    before, after = running(steps[:at]), [s.method for s in running(steps[at + 1 :])]
    if layer.stored is not None or [s.method for s in before] not in ([], [PRUNE]) or after not in ([], [CODE]):
        return
    n, coded, flat = source.size, bool(after), _flat(layer)
    k = round(float(before[0]["sparsity"]) * n) if before else 0
    if k == n:
        return
    gone = _gone(source, flat, k)
    beside = _places(flat, gone, coded)
    for i, bits in enumerate(ladder(steps[at])):
        if bits == 32:
            left = _as_it_is(layer, n, gone)
        elif isinstance(books, Codebooks):
            left = _shared(layer, source, gone, books, int(bits), coded)
        elif _one_scale(steps[at], pruned=k > 0):
            left = _uniform(layer, source, gone, steps[at], int(bits), coded)
        else:
            continue
        yield i, Rung(left.nbytes + beside, _decibels(left.noise, float(source.all.second[0])), left.corner, left.picture)


def decomposing(layer: Layer, steps: Steps, at: int, found: Any) -> Found:
    """SVD or Tucker-2 of the weights, and nothing after it but a coder, which finds no codes.

    found: errors_by_rank of the weight, which tells nothing of its entries; or what the method prepared.
    """
    before, after = running(steps[:at]), [s.method for s in running(steps[at + 1 :])]
    if layer.stored is not None or before or after not in ([], [CODE]) or not isinstance(found, np.ndarray | Spectrum | Modes):
        return
    shape, first = tuple(layer.weight.shape), corner(layer.weight.numpy())
    out, into, kernel = shape[0], shape[1], int(np.prod(shape[2:]))
    for i, share in enumerate(ladder(steps[at])):
        kept = ranks(steps[at].method, shape, float(share))
        if share == 1.0:
            yield i, Rung(FLOAT * layer.weight.numel(), float("inf"), first, Cut(kept, 1.0))
            continue
        match found:
            case Modes():
                lost = float(errors_by_ranks(found.energy.numpy())[kept[0] - 1, kept[1] - 1])
                held, near = out * kept[0] + kept[0] * kept[1] * kernel + into * kept[1], None
            case Spectrum():
                squares = found.singular.numpy() ** 2
                lost, held = float(np.sqrt(squares[kept[0] :].sum() / max(squares.sum(), 1e-300))), kept[0] * (out + into * kernel)
                rows, columns = first.shape
                near = (found.left[:rows, : kept[0]] * found.singular[: kept[0]] @ found.right[: kept[0], :columns]).float().numpy()
            case _:
                lost, held, near = float(found[kept[0]]), kept[0] * (out + into * kernel), None
        yield i, Rung(FLOAT * held, _decibels(lost**2, 1.0), near, Cut(kept, 1 - lost**2))


def _decibels(noise: float, signal: float) -> float:
    return float("inf") if noise <= 0 or signal <= 0 else float(10 * np.log10(signal / noise))


def _flat(layer: Layer) -> Array:
    return layer.weight.numpy().ravel()


def _corner(layer: Layer, gone: Gone) -> tuple[Array, Array]:
    """The first entries of a weight, and which of them are kept."""
    first = corner(layer.weight.numpy())
    row = layer.weight[0].numel() if layer.weight.ndim > 1 else 0
    return first, gone.kept(first, np.arange(first.shape[0])[:, None] * row + np.arange(first.shape[1]))


def _energy(gone: Gone) -> float:
    return float(gone.run.end.second[0] - gone.run.start.second[0])


def _one_scale(step: Step, pruned: bool) -> bool:
    """Whether uniform quantization gives everything one scale, from the least to the largest value. Pruned weights have no channels."""
    per = ("tensor", "channel") if pruned else ("tensor",)
    return step.method == ROUND and step["per"] in per and (step["clip"], step["rounding"], step["narrow"]) == ("minmax", "nearest", False)


def _gone(source: Ordered, flat: Array, k: int) -> Gone:
    """The k smallest magnitudes as magnitude pruning takes them: of those that equal the largest, the first ones in the weight."""
    run = source.smallest([k])
    most = np.float32(run.threshold[0])
    low, high = np.searchsorted(source.values, -most), np.searchsorted(source.values, most, "right")
    if not k or high - low == k:
        return Gone(k, float(most), len(flat), run)
    equal = np.flatnonzero(np.abs(flat) == most)
    first, last = np.searchsorted(source.values, -most, "right"), np.searchsorted(source.values, most)
    going = k - int(max(last - first, 0))
    below = int((flat[equal[:going]] < 0).sum())
    start = first - below if most else source.negative
    return Gone(k, float(most), int(equal[going]), Run(run.threshold, source.upto([start]), source.upto([start + k])))


def _outside(source: Ordered, run: Run, bounds: Array, side: str = "left") -> Array:
    """How many of the weights that are kept are before each bound."""
    start, end = int(run.start.count[0]), int(run.end.count[0])
    here = np.searchsorted(source.values, bounds.astype(np.float32), side)
    return np.minimum(here, start) + np.maximum(here - end, 0)


def _beyond(source: Ordered, gone: Gone, levels: Array) -> float:
    """The share of the kept weights that lie beyond the outermost levels."""
    left, slack = source.size - gone.count, 1e-6 * max(-source.least, source.most)
    low = _outside(source, gone.run, np.array([levels[0] - slack]))
    high = _outside(source, gone.run, np.array([levels[-1] + slack]), "right")
    return float(low[0] + left - high[0]) / left


def _as_it_is(layer: Layer, n: int, gone: Gone) -> Left:
    first, stay = _corner(layer, gone)
    return Left(_energy(gone), FLOAT * (n - gone.count), np.where(stay, first, 0), NOTHING)


def _uniform(layer: Layer, source: Ordered, gone: Gone, step: Step, bits: int, coded: bool) -> Left:
    (first, stay), run = _corner(layer, gone), gone.run
    low = 0.0 if run.start.count[0] < 1 and gone.count else source.least
    high = 0.0 if run.end.count[0] > source.size - 1 else source.most
    spaced = grid(low, high, bits, bool(step["symmetric"]))
    left = quantized(source, spaced, run)
    near = np.where(stay, spaced.levels()[np.searchsorted(bounds(spaced), first, "right")], 0).astype(np.float32)
    zero = 0 if step["symmetric"] else 1 if bits <= 8 else 4
    told = instant.code_bytes(left.counts, bits)
    picture = Rounded(spaced.levels(), left.counts, _beyond(source, gone, spaced.levels()), "") if bits <= 8 else NOTHING._replace(beyond=None)
    return Left(left.squared_error, (told.huffman if coded else told.plain) + FLOAT + zero, near, picture)


def _shared(layer: Layer, source: Ordered, gone: Gone, books: Codebooks, bits: int, coded: bool) -> Left:
    (first, stay), book = _corner(layer, gone), books.books[bits].numpy()
    turns = between(book)
    counts = np.diff(np.concatenate([[0], _outside(source, gone.run, turns, "right"), [source.size - gone.count]])).astype(np.int64)
    told = instant.code_bytes(counts, needed(len(book) - 1))
    near = np.where(stay, book[np.searchsorted(turns, first)], 0).astype(np.float32)
    picture = Rounded(book, counts, _beyond(source, gone, book), "")
    return Left(books.errors[bits] + _energy(gone), (told.huffman if coded else told.plain) + FLOAT * len(book), near, picture)


def _places(flat: Array, gone: Gone, coded: bool) -> int:
    """Bytes of places.cheapest_places for what is kept, as Huffman coding leaves them where coded."""
    n, k = len(flat), gone.count
    if not k or 3 * (n - k) >= n:
        return -(-n // 8) if k else 0
    size = np.abs(flat)
    stay = size > gone.threshold
    stay[gone.stays :] |= size[gone.stays :] == gone.threshold
    kept = np.flatnonzero(stay)
    often = np.bincount(np.diff(kept, prepend=-1) - 1)
    gap = np.flatnonzero(often)
    often = often[gap]
    widths = np.arange(2, WIDEST + 1)
    bits = widths * (len(kept) + (often * (gap // (2 ** widths[:, None] - 1))).sum(1))
    best = int(bits.argmin())
    if bits[best] >= n:
        return -(-n // 8)
    width, skip = int(widths[best]), 2 ** int(widths[best]) - 1
    if not coded:
        return -(-int(bits[best]) // 8)
    counts = np.bincount(gap % skip, often, minlength=skip + 1)
    counts[skip] = (often * (gap // skip)).sum()
    return instant.code_bytes(counts.astype(np.int64), width).huffman
