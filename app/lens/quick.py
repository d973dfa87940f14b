"""Rungs that need not be carried out: what sorted weights, codebooks and spectra tell exactly of whole ladders.

Each function gives (rung, what is known of it), and nothing where the steps are others than those it knows. A test holds every
figure equal to that of the layer really encoded.
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
from compression.sketches.pruned import pruned
from compression.sketches.quantized import bounds, grid, quantized
from compression.sketches.spectrum import errors_by_ranks

Found = Iterator[tuple[int, Rung]]
FLOAT = 4  # bytes of a weight, a scale, an entry of a codebook
PRUNE, ROUND, CODE = "pruning.magnitude", "quantization.uniform", "coding.huffman"


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
    known = steps[at].method == PRUNE and not running(steps[:at]) and names in ([], [CODE], [ROUND], [ROUND, CODE])
    if not known or (ROUND in names and not _one_scale(after[0], pruned=True)):
        return
    values, n, coded, flat = ladder(steps[at]), source.size, CODE in names, _flat(layer)
    told, signal, first = pruned(source, values), float(source.all.second[0]), corner(layer.weight.numpy())
    for i, asked in enumerate(values):
        k, threshold = round(float(asked) * n), float(told.threshold[i])
        if _tied(source, k, threshold) or k == n or (k == 0 and ROUND in names and not _one_scale(after[0], pruned=False)):
            continue
        picture = Removed(float(told.sparsity[i]), threshold if k else None)
        cut, stay = source.smallest([k]), np.abs(first) > threshold if k else np.ones(first.shape, bool)
        if ROUND in names:
            left = _uniform(source, cut, after[0], int(after[0]["bits"]), first, stay, coded)
        else:
            left = Left(float(told.lost[i]), FLOAT * (n - k), np.where(stay, first, 0), NOTHING)
        yield i, Rung(left.nbytes + _places(flat, threshold, k, coded), _decibels(left.noise, signal), left.corner, picture)


def rounding(layer: Layer, steps: Steps, at: int, source: Ordered, books: Any) -> Found:
    """Uniform quantization with one scale, or values shared by k-means, of the weights or of those that magnitude pruning keeps.

    books: what k-means prepared on those; None for another method.
    """
    before, after = running(steps[:at]), [s.method for s in running(steps[at + 1 :])]
    if [s.method for s in before] not in ([], [PRUNE]) or after not in ([], [CODE]):
        return
    n, coded, signal = source.size, bool(after), float(source.all.second[0])
    k = round(float(before[0]["sparsity"]) * n) if before else 0
    cut = source.smallest([k])
    threshold = float(cut.threshold[0])
    if _tied(source, k, threshold) or k == n:
        return
    first = corner(layer.weight.numpy())
    stay = np.abs(first) > threshold if k else np.ones(first.shape, bool)
    beside = _places(_flat(layer), threshold, k, coded)
    for i, bits in enumerate(ladder(steps[at])):
        if bits == 32:
            left = Left(_energy(cut), FLOAT * (n - k), np.where(stay, first, 0), NOTHING)
        elif isinstance(books, Codebooks):
            left = _shared(source, cut, books, int(bits), first, stay, coded)
        elif _one_scale(steps[at], pruned=k > 0):
            left = _uniform(source, cut, steps[at], int(bits), first, stay, coded)
        else:
            continue
        yield i, Rung(left.nbytes + beside, _decibels(left.noise, signal), left.corner, left.picture)


def decomposing(layer: Layer, steps: Steps, at: int, found: Any) -> Found:
    """SVD or Tucker-2 of the weights, and nothing after it but a coder, which finds no codes.

    found: errors_by_rank of the weight, which tells nothing of its entries; or what the method prepared.
    """
    before, after = running(steps[:at]), [s.method for s in running(steps[at + 1 :])]
    if before or after not in ([], [CODE]) or not isinstance(found, np.ndarray | Spectrum | Modes):
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


def _energy(cut: Run) -> float:
    return float(cut.end.second[0] - cut.start.second[0])


def _one_scale(step: Step, pruned: bool) -> bool:
    """Whether uniform quantization gives everything one scale, from the least to the largest value. Pruned weights have no channels."""
    per = ("tensor", "channel") if pruned else ("tensor",)
    return step.method == ROUND and step["per"] in per and (step["clip"], step["rounding"], step["narrow"]) == ("minmax", "nearest", False)


def _tied(source: Ordered, k: int, threshold: float) -> bool:
    """Whether some of the magnitudes at the threshold go and some stay, so that it depends on where they stand."""
    ends = np.float32(threshold)
    upto = int(np.searchsorted(source.values, ends, "right") - np.searchsorted(source.values, -ends))
    return k > 0 and upto != k


def _outside(source: Ordered, cut: Run, bounds: Array, side: str = "left") -> Array:
    """How many weights that the cut leaves are before each bound."""
    start, end = int(cut.start.count[0]), int(cut.end.count[0])
    here = np.searchsorted(source.values, bounds.astype(np.float32), side)
    return np.minimum(here, start) + np.maximum(here - end, 0)


def _beyond(source: Ordered, cut: Run, levels: Array) -> float:
    left, slack = source.size - int(cut.end.count[0] - cut.start.count[0]), 1e-6 * max(-source.least, source.most)
    low, high = _outside(source, cut, np.array([levels[0] - slack])), _outside(source, cut, np.array([levels[-1] + slack]), "right")
    return float(low[0] + left - high[0]) / max(left, 1)


def _uniform(source: Ordered, cut: Run, step: Step, bits: int, first: Array, stay: Array, coded: bool) -> Left:
    low = 0.0 if cut.start.count[0] < 1 and cut.end.count[0] > 0 else source.least
    high = 0.0 if cut.end.count[0] > source.size - 1 else source.most
    spaced = grid(low, high, bits, bool(step["symmetric"]))
    left = quantized(source, spaced, cut)
    near = np.where(stay, spaced.levels()[np.searchsorted(bounds(spaced), first, "right")], 0).astype(np.float32)
    zero = 0 if step["symmetric"] else 1 if bits <= 8 else 4
    told = instant.code_bytes(left.counts, bits)
    picture = Rounded(spaced.levels(), left.counts, _beyond(source, cut, spaced.levels()), "") if bits <= 8 else NOTHING._replace(beyond=None)
    return Left(left.squared_error, (told.huffman if coded else told.plain) + FLOAT + zero, near, picture)


def _shared(source: Ordered, cut: Run, books: Codebooks, bits: int, first: Array, stay: Array, coded: bool) -> Left:
    book = books.books[bits].numpy()
    turns = between(book)
    left = source.size - int(cut.end.count[0] - cut.start.count[0])
    counts = np.diff(np.concatenate([[0], _outside(source, cut, turns, "right"), [left]])).astype(np.int64)
    told = instant.code_bytes(counts, needed(len(book) - 1))
    near = np.where(stay, book[np.searchsorted(turns, first)], 0).astype(np.float32)
    noise = books.errors[bits] + _energy(cut)
    return Left(noise, (told.huffman if coded else told.plain) + FLOAT * len(book), near, Rounded(book, counts, _beyond(source, cut, book), ""))


def _places(flat: Array, threshold: float, k: int, coded: bool) -> int:
    """Bytes of places.cheapest_places where the k smallest magnitudes are gone, as Huffman coding leaves them where coded."""
    n = len(flat)
    if not k or 3 * (n - k) >= n:
        return -(-n // 8) if k else 0
    kept = np.flatnonzero(np.abs(flat) > threshold)
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
