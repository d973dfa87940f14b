"""Cluster the weights by Lloyd's algorithm from one of three starts, as Deep Compression does."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded, Shared
from compression.method import Failure, Knob, Layer, Method

Array = NDArray[np.float64]
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
STARTS = ("linear", "random", "density")
_STEPS = 300


class Started(NamedTuple):
    """A weight, and for each start and width the values before and after, and the squared error they leave."""

    weight: Tensor
    first: dict[tuple[str, int], Tensor]  # (start, width) -> (2**width,) ascending
    books: dict[tuple[str, int], Tensor]
    errors: dict[tuple[str, int], float]


def prepare(weight: Tensor, layer: Layer) -> Started:
    ordered = np.sort(weight.flatten().numpy().astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    first, books, errors = {}, {}, {}
    for start in STARTS if len(ordered) else ():
        for width in WIDTHS:
            centres = starting(ordered, 2**width, start)
            book = lloyd(ordered, sums, centres).astype(np.float32)
            first[start, width] = torch.from_numpy(centres.astype(np.float32))
            books[start, width] = torch.from_numpy(book)
            errors[start, width] = float(np.square(ordered - np.repeat(book.astype(np.float64), np.diff(runs(ordered, book)))).sum())
    return Started(weight, first, books, errors)


def answer(started: Started, bits: int, start: str) -> Encoded:
    weight = started.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    book = started.books[start, bits]
    codes = torch.bucketize(weight.flatten(), (book[:-1] + book[1:]) / 2)
    return Shared(tuple(weight.shape), Codes(codes.to(torch.uint8), needed(len(book) - 1)), book)


def starting(ordered: Array, count: int, start: str) -> Array:
    """Centres from sorted weights (Han et al. 2016, section 3.2), ascending.

    linear: evenly from the least weight to the largest. density: evenly in the share of the weights below.
    random: weights drawn at random (with a fixed seed).
    """
    if start == "linear":
        return np.linspace(ordered[0], ordered[-1], count)
    if start == "density":
        return ordered[np.linspace(0, len(ordered) - 1, count).round().astype(np.int64)]
    drawn = np.random.default_rng(0).choice(len(ordered), count, replace=count > len(ordered))
    return np.sort(ordered[drawn])


def lloyd(ordered: Array, sums: Array, centres: Array) -> Array:
    """Every centre to the mean of the weights nearest to it, until none moves. One without weights stays where it is."""
    for _ in range(_STEPS):
        at = runs(ordered, centres)
        size = np.diff(at)
        moved = np.where(size > 0, np.diff(sums[at]) / np.maximum(size, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def runs(ordered: Array, centres: Array) -> NDArray[np.int64]:
    """Where the run of sorted weights nearest to each centre starts, and their count at the end."""
    return np.concatenate([[0], np.searchsorted(ordered, (centres[:-1] + centres[1:]) / 2), [len(ordered)]])


METHOD = Method(
    title="k-means from a chosen start",
    summary="Cluster the weights as Deep Compression does: which values the clusters end with depends on where they start.",
    reference="Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.2; Lloyd 1982",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per weight", (*WIDTHS, 32), 4, "Two to this power is the number of values that are shared.",
             "rise", off=32),
        Knob("start", "Start", STARTS, "linear",
             "Values spread evenly over the range, drawn from the weights at random, or spread evenly over the weights."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("centroid", "The value that a cluster of weights shares: their mean."),),
    fails=Failure(
        "Two values are too few for single weights from whatever start; whole runs of weights can share less than a bit each.",
        "resnet-20", "stage3.1.conv2", (("bits", 1), ("start", "linear")), instead=("sharing.product", (("bits", 5), ("block", 8)))),
)
