"""Let short runs of neighbouring weights share a few codewords."""

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method, Piecewise
from compression.sharing.vectors import Vectors, codebooks, means, nearest, runs

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
BLOCKS = (2, 4, 8, 16)


class Coded(NamedTuple):
    """For one length of run: codes and codewords for every width, and the squared error."""

    codes: dict[int, Tensor]  # width -> (runs,) uint8
    words: dict[int, Tensor]  # width -> (1, codewords, block)
    errors: dict[int, float]


class Products(NamedTuple):
    """A weight, and its codes for each length of run."""

    weight: Tensor
    by: dict[int, Coded]  # block -> its codes


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Products]:
    by: dict[int, Coded] = {}
    for block in BLOCKS if weight.numel() else ():
        yield len(by) / len(BLOCKS)
        by[block] = coded(weight, block)
    return Products(weight, by)


def answer(products: Products, bits: int, block: int) -> Encoded:
    weight = products.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    known = products.by[block]
    words = known.words[bits]
    return Vectors(tuple(weight.shape), Codes(known.codes[bits], needed(words.shape[1] - 1)), words)


def coded(weight: Tensor, block: int) -> Coded:
    """One codebook for the runs of all columns (Stock et al. 2020).

    Jégou et al. and Gong et al. learn one for each column of runs; of a layer of this size those codebooks are most of the bytes.
    """
    vectors = runs(weight, block)
    codes, kept, errors = {}, {}, {}
    for width, words in codebooks(vectors, WIDTHS[-1]).items():
        words = means(vectors, nearest(vectors, words), words)  # over all vectors: they were learned from a sample
        found = nearest(vectors, words)
        error = float((words[found] - vectors).double().square().sum())
        if width > 1 and error > errors[width - 1]:  # a longer codebook is never allowed to be worse
            codes[width], kept[width], errors[width] = codes[width - 1], kept[width - 1], errors[width - 1]
        else:
            codes[width], kept[width], errors[width] = found.to(torch.uint8), words[None], error
    return Coded(codes, kept, errors)


METHOD = Method(
    title="Product quantization",
    summary="Cut the weights into short runs, and store for each run only the number of the most similar codeword.",
    reference="Jégou et al. 2011; Gong et al. 2014, arXiv:1412.6115; Stock et al. 2020, And the Bit Goes Down, arXiv:1907.05686",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per run", (*WIDTHS, 32), 6, "Two to this power is the most codewords in a codebook.", "rise", off=32),
        Knob("block", "Weights in a run", BLOCKS, 4, "How many neighbouring weights share one code."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("codeword", "One of the few short runs of weights that all runs must choose from."),),
    fails=Failure(
        "A codebook of 256 runs of 16 weights is itself most of the bytes, and runs so long are seldom alike in a small layer.",
        "lenet-300-100", "fc2", (("bits", 8), ("block", 16)), instead=("sharing.kmeans", (("bits", 4),))),
)
