"""Write every weight as a floating point number of 8 or 16 bits."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import LARGEST, blocks, joined, scaled, to_float
from compression.quantization.uniform import sizes

FORMATS = {(8, False): "e4m3", (8, True): "e5m2", (16, False): "e5m10", (16, True): "e8m7"}


class Reach(NamedTuple):
    """A weight, and for each way of sharing a scale how many neighbours share one, and their largest magnitude."""

    weight: Tensor
    size: dict[str, int]
    largest: dict[str, Tensor]  # (groups,)


def prepare(weight: Tensor, layer: Layer) -> Reach:
    size = {per: n for per, n in sizes(tuple(weight.shape)).items() if per != "group"}
    return Reach(weight, size, {per: weight.abs().reshape(-1, n).amax(1) for per, n in size.items() if weight.numel()})


def answer(reach: Reach, bits: int, wide: bool, scale: str) -> Encoded:
    weight, shape = reach.weight, tuple(reach.weight.shape)
    if bits == 32 or not weight.numel():
        return Dense(weight)
    name = FORMATS[bits, wide]
    if bits == 16 or scale == "none":
        return scaled(shape, to_float(weight.flatten(), name), name)
    size = reach.size[scale]
    unit = reach.largest[scale] / LARGEST[name]
    unit = torch.where(unit < torch.finfo(unit.dtype).tiny, torch.ones_like(unit), unit)
    codes = to_float(blocks(weight, size, size) / unit[:, None], name)
    return scaled(shape, joined(codes, size), name, unit, size, size)


METHOD = Method(
    title="Short floats: FP8, float16, bfloat16",
    summary="Write each weight with fewer exponent and mantissa bits: fine steps near zero, coarse ones far out.",
    reference="Micikevicius et al. 2022, FP8 Formats for Deep Learning, arXiv:2209.05433; Kalamkar et al. 2019, arXiv:1905.12322",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (8, 16, 32), 8, "8 is FP8, 16 is half precision.", "rise", off=32),
        Knob("wide", "More exponent bits", (False, True), False,
             "Reach further with coarser steps: E5M2 in place of E4M3, bfloat16 in place of float16."),
        Knob("scale", "Scale of FP8 for each", ("none", "tensor", "channel"), "tensor",
             "Whose largest weight is put on the largest FP8 number; none writes the weights as they are. 16 bits need no scale."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("mantissa", "The digits of a floating point number; its exponent says where the point stands."),
        ("subnormal", "A number below the smallest exponent, written with fewer digits."),
    ),
    fails=Failure(
        "Two bits of mantissa are all that E5M2 has; its wide range is of no use to weights of like size.",
        "depthwise", "block1.depthwise", (("bits", 8), ("wide", True)), ("quantization.uniform", (("bits", 8), ("per", "tensor")))),
)
