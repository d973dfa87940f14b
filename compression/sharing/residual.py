"""Write short runs of weights as a sum of codewords, each correcting what those before left over."""

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method, Piecewise
from compression.sharing.vectors import Vectors, codebooks, means, nearest, runs

WIDTHS = (2, 4, 6, 8)
STAGES = (1, 2, 3, 4)
_BLOCK = 8


class Stages(NamedTuple):
    """A weight, and for every width the codes and codewords of each stage, and the squared error after it."""

    weight: Tensor
    codes: dict[int, list[Tensor]]  # width -> for each stage (runs,) uint8
    words: dict[int, list[Tensor]]  # width -> for each stage (codewords, block)
    errors: dict[int, list[float]]


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Stages]:
    """Each stage quantizes what the one before left over, so the first stages of four are the answer with fewer (Juang and Gray 1982).

    Codewords are means of the vectors they stand for, so no stage can raise the error.
    """
    codes: dict[int, list[Tensor]] = {width: [] for width in WIDTHS}
    words: dict[int, list[Tensor]] = {width: [] for width in WIDTHS}
    errors: dict[int, list[float]] = {width: [] for width in WIDTHS}
    for i, width in enumerate(WIDTHS) if weight.numel() else ():
        yield (i / len(WIDTHS)) ** 2  # the wider, the longer
        left_over = runs(weight, min(_BLOCK, weight.numel()))  # (runs, block)
        for _ in STAGES:
            book = codebooks(left_over, width)[width]
            book = means(left_over, nearest(left_over, book), book)
            found = nearest(left_over, book)
            left_over = left_over - book[found]
            codes[width].append(found.to(torch.uint8))
            words[width].append(book)
            errors[width].append(float(left_over.double().square().sum()))
    return Stages(weight, codes, words, errors)


def answer(found: Stages, bits: int, stages: int) -> Encoded:
    weight = found.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    codes, words = torch.stack(found.codes[bits][:stages], 1), torch.stack(found.words[bits][:stages])
    return Vectors(tuple(weight.shape), Codes(codes.flatten(), needed(words.shape[1] - 1)), words)


METHOD = Method(
    title="Residual vector quantization",
    summary="Store for each run of eight weights a codeword, then one for what that misses, and so on; they are added.",
    reference="Juang and Gray 1982; Gong et al. 2014, arXiv:1412.6115; Chen et al. 2010",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per stage", (*WIDTHS, 32), 6, "Two to this power is the most codewords in the codebook of a stage.",
             "rise", off=32),
        Knob("stages", "Stages", STAGES, 2, "How many codewords are added to make a run.", "rise"),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("residual", "What is left of a weight once its approximation is taken away."),),
    fails=Failure(
        "A single stage with runs of eight: its codebook is large for a small layer, and nothing corrects what it misses.",
        "lenet-300-100", "fc2", (("bits", 8), ("stages", 1)), instead=("sharing.product", (("bits", 6), ("block", 2)))),
)
