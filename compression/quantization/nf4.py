"""Sixteen levels where weights of a bell curve are."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import LARGEST, blocks, joined, nearest, scaled, table, to_float

SECOND = 256  # scales of blocks that share a scale themselves


class Weight(NamedTuple):
    """A weight, and for each size of block the largest magnitude in each."""

    weight: Tensor
    largest: dict[int, Tensor]  # (blocks,)


def prepare(weight: Tensor, layer: Layer) -> Weight:
    count = max(1, weight.numel())
    return Weight(weight, {size: blocks(weight, count, size).abs().amax(1) for size in SIZES})


def answer(ready: Weight, bits: int, block: int, double: bool) -> Encoded:
    weight, largest = ready.weight, ready.largest[block]
    if bits == 32 or not weight.numel():
        return Dense(weight)
    unit = torch.where(largest > 0, largest, 1)[:, None]
    codes = nearest(blocks(weight, weight.numel(), block) / unit, table("nf4"))
    scale = twice(largest) if double else largest
    return scaled(tuple(weight.shape), joined(codes, weight.numel()), "nf4", scale, weight.numel(), block)


def twice(scales: Tensor) -> Encoded:
    """Scales (blocks,) less their mean as FP8 numbers, each 256 with a scale in 32 bits (QLoRA, section 3)."""
    count, mean = len(scales), scales.mean().reshape(1)
    centred = blocks(scales - mean, count, SECOND)
    unit = centred.abs().amax(1) / LARGEST["e4m3"]
    unit = torch.where(unit < torch.finfo(unit.dtype).tiny, torch.ones_like(unit), unit)
    codes = joined(to_float(centred / unit[:, None], "e4m3"), count)
    return scaled((count,), codes, "e4m3", unit, count, SECOND, mean)


SIZES = (32, 64, 128, 256)
METHOD = Method(
    title="NormalFloat (NF4)",
    summary="Round to sixteen levels placed so that each serves equally many weights of a bell curve, with a scale for each block.",
    reference="Dettmers et al. 2023, QLoRA: Efficient Finetuning of Quantized LLMs, arXiv:2305.14314",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (4, 32), 4, "Bits of each code; scales come on top.", off=32),
        Knob("block", "Block size", SIZES, 64, "How many neighbours share a scale, the largest magnitude among them.", "fall"),
        Knob("double", "Double quantization", (False, True), True,
             "Write the scales themselves as 8-bit floats, with a 32-bit scale for each 256 of them.", "fall"),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("quantile", "The value below which a given share of a distribution lies."),
        ("double quantization", "Quantizing the scales of quantized weights."),
    ),
    fails=Failure(
        "A block of 64 weights spans seven kernels of nine: the largest of them sets the scale for the others, and the bell curve is not theirs.",
        "depthwise", "block1.depthwise", (("bits", 4),), ("quantization.uniform", (("bits", 5), ("per", "tensor"), ("clip", "mse")))),
)
