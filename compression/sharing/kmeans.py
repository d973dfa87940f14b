"""Let the weights share a few values, placed where the weights are."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded, Shared
from compression.method import Failure, Knob, Layer, Method
from compression.sketches.codebooks import between, codebooks
from compression.sketches.ordered import ordered

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)


class Codebooks(NamedTuple):
    """A weight, and for every width the values to share and the squared error they leave."""

    weight: Tensor
    books: dict[int, Tensor]  # width -> (2**width or fewer,) float32, ascending
    errors: dict[int, float]  # width -> sum of squared errors


def prepare(weight: Tensor, layer: Layer) -> Codebooks:
    if not weight.numel():
        return Codebooks(weight, {}, {})
    found = codebooks(ordered(weight.numpy()), (2**width for width in WIDTHS))
    books = {width: torch.from_numpy(found[2**width][0].copy()) for width in WIDTHS}
    return Codebooks(weight, books, {width: found[2**width][1] for width in WIDTHS})


def answer(codebooks: Codebooks, bits: int) -> Encoded:
    weight = codebooks.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    book = codebooks.books[bits]
    codes = torch.bucketize(weight.flatten(), between(book))
    return Shared(tuple(weight.shape), Codes(codes.to(torch.uint8), needed(len(book) - 1)), book)


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
    fails=Failure(
        "Two values are too few for single weights, and one bit each cannot be undercut; whole runs of weights can share less than a bit each.",
        "resnet-20", "stage3.1.conv2", (("bits", 1),), instead=("sharing.product", (("bits", 5), ("block", 8)))),
)
