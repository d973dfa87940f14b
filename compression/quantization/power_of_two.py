"""Round every weight to a power of two, so that a product is a shift."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import blocks, joined, powers, scaled, table, to_power
from compression.quantization.uniform import sizes


class Powers(NamedTuple):
    """A weight, and for each way of sharing it the largest power of two in use, as 2 ** (code - 127)."""

    weight: Tensor
    size: dict[str, int]
    top: dict[str, Tensor]  # (groups,) int32


def prepare(weight: Tensor, layer: Layer) -> Powers:
    """The largest power is that next to the largest weight s: 2 ** floor(log2(4 s / 3)) (INQ, equation 3)."""
    size = {per: n for per, n in sizes(tuple(weight.shape)).items() if per != "group"}
    top = {per: to_power(weight.abs().reshape(-1, n).amax(1) * (4 / 3)) for per, n in size.items() if weight.numel()}
    return Powers(weight, size, top)


def answer(ready: Powers, bits: int, per: str) -> Encoded:
    weight = ready.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    size, top = ready.size[per], ready.top[per]
    values = blocks(weight, size, size)
    count = 2 ** (bits - 1) - 1  # powers of two
    reach = table("e8m0")[top]  # (groups,)
    least = reach * 2.0 ** (1 - count)
    rank = to_power(values.abs() * (4 / 3)).sub_(top[:, None]).add_(count).clamp_(1, count)  # 1 is the smallest power
    codes = torch.where(values.abs() < (least / 2)[:, None], 0, rank) + (values < 0).int() * 2 ** (bits - 1)
    return scaled(tuple(weight.shape), joined(codes, size), f"pow2-{bits}", powers(top), size, size)


METHOD = Method(
    title="Powers of two",
    summary="Round each weight to zero or to plus or minus a power of two: multiplying becomes shifting.",
    reference="Miyashita et al. 2016, arXiv:1603.01025; Zhou et al. 2017, Incremental Network Quantization, arXiv:1702.03044",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5, 32), 4, "A sign, and a number that says which power of two, or zero.",
             "rise", off=32),
        Knob("per", "One largest power per", ("tensor", "channel"), "tensor",
             "Whose largest weight decides where the powers start."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("shift", "Moving the binary digits of a number, which multiplies it by a power of two without a multiplier."),),
    fails=Failure(
        "More bits only add ever smaller powers; between the largest two there is still no other level.",
        "vit", "blocks.0.mlp.up", (("bits", 5),), ("quantization.uniform", (("bits", 5), ("per", "tensor"), ("clip", "mse")))),
)
