"""Keep of each weight whether it is far below zero, near it, or far above."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import blocks, joined, scaled
from compression.quantization.uniform import sizes


class Means(NamedTuple):
    """A weight, and its mean magnitude for each way of sharing it."""

    weight: Tensor
    size: dict[str, int]
    mean: dict[str, Tensor]  # (groups,)


def prepare(weight: Tensor, layer: Layer) -> Means:
    size = sizes(tuple(weight.shape))
    size = {per: size[per] for per in ("tensor", "channel")}
    return Means(weight, size, {per: weight.abs().reshape(-1, n).mean(1) for per, n in size.items()})


def answer(means: Means, bits: int, threshold: float, per: str) -> Encoded:
    """Those beyond the threshold get its sign and their mean magnitude, the least squared error for them (TWN, equation 4)."""
    weight, size = means.weight, means.size[per]
    if bits == 32 or not weight.numel():
        return Dense(weight)
    values = blocks(weight, size, size)
    magnitude = values.abs()
    far = magnitude > threshold * means.mean[per][:, None]  # (groups, size)
    scale = (magnitude * far).sum(1) / far.sum(1).clamp(min=1)
    codes = far.to(torch.uint8) + (far & (values < 0)).to(torch.uint8)
    return scaled(tuple(weight.shape), joined(codes, size), "ternary", scale, size, size)


METHOD = Method(
    title="Ternary weights (TWN)",
    summary="Write each weight as zero, plus or minus one size: near zero is zero, the rest their mean magnitude. Two bits each.",
    reference="Li et al. 2016, Ternary Weight Networks, arXiv:1605.04711",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per weight", (2, 32), 2, "Two bits for three values; a code for frequent ones takes fewer.", off=32),
        Knob("threshold", "Threshold", (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), 0.7,
             "Below this multiple of the mean magnitude a weight becomes zero; the paper takes 0.7."),
        Knob("per", "One size per", ("tensor", "channel"), "tensor", "Which weights share a threshold and a size."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("threshold", "The magnitude from which a weight is kept."),),
    fails=Failure(
        "Its two bits have a fourth code that stands for nothing; four values found by clustering take no more bytes.",
        "resnet-20", "fc", (("bits", 2),), ("sharing.kmeans", (("bits", 2),))),
)
