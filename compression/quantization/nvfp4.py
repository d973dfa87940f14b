"""Four-bit floats, with an eight-bit float as scale for each 16 of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import LARGEST, blocks, joined, scaled, table, to_float
from compression.quantization.uniform import sizes

BLOCK = 16


class Blocks(NamedTuple):
    """A weight in blocks along its inputs, the scale of the whole, and the E4M3 code of each block's own."""

    shape: tuple[int, ...]
    row: int  # weights of one output channel
    values: Tensor  # (blocks, 16); what a row lacks at its end is zero
    whole: Tensor  # (1,)
    codes: Tensor  # (blocks,)


def prepare(weight: Tensor, layer: Layer) -> Blocks:
    row = sizes(tuple(weight.shape))["channel"]
    values = blocks(weight, row, BLOCK)
    largest = values.abs().amax(1)
    whole = (largest.max() if len(largest) else torch.tensor(0.0)) / (LARGEST["e4m3"] * LARGEST["e2m1"])
    whole = torch.where(whole < torch.finfo(whole.dtype).tiny, torch.ones_like(whole), whole)
    return Blocks(tuple(weight.shape), row, values, whole.reshape(1), to_float(largest / LARGEST["e2m1"] / whole, "e4m3"))


def answer(ready: Blocks, bits: int) -> Encoded:
    if bits == 32 or not ready.values.numel():
        return Dense(joined(ready.values, ready.row).reshape(ready.shape))
    count = len(ready.codes)
    scale = scaled((count,), ready.codes, "e4m3", ready.whole, count, count)
    step = (table("e4m3")[ready.codes] * ready.whole)[:, None]
    codes = to_float(torch.where(step > 0, ready.values / step, 0), "e2m1")
    return scaled(ready.shape, joined(codes, ready.row), "e2m1", scale, ready.row, BLOCK)


METHOD = Method(
    title="NVFP4",
    summary="Write weights as 4-bit floats; each 16 neighbours share an 8-bit float, and all of them a 32-bit one.",
    reference="NVIDIA 2025, Pretraining Large Language Models with NVFP4, arXiv:2509.25149",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (4, 32), 4, "Bits of each float; the scale of each 16 adds half a bit.", off=32),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("E2M1", "A float of 4 bits: sign, two exponent bits, one mantissa bit; its values are 0, ½, 1, 1½, 2, 3, 4, 6 and minus those."),),
    fails=Failure(
        "Rows of nine weights are blocks of nine with a scale each; those bytes buy every weight two bits more.",
        "resnet-20", "stem.conv", (("bits", 4),), ("quantization.uniform", (("bits", 6), ("per", "tensor")))),
)
