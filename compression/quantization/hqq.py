"""Move the zero point until large errors are few, without any data."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import blocks, joined
from compression.quantization.uniform import sizes

BITS = (2, 3, 4, 8)
NORM, _BETA, _KAPPA, _STEPS = 0.7, 10.0, 1.01, 20  # the authors' settings


class Fitted(NamedTuple):
    """A weight in groups, and for every number of bits each group's scale and zero point before and after."""

    shape: tuple[int, ...]
    row: int
    groups: Tensor  # (groups, size)
    scale: dict[int, Tensor]  # bits -> (groups,)
    zero: dict[int, Tensor]  # bits -> (groups,), any real number
    start: dict[int, Tensor]  # bits -> (groups,), the zero point that minimum and maximum suggest


def prepare(weight: Tensor, layer: Layer) -> Fitted:
    found = sizes(tuple(weight.shape))
    groups = blocks(weight, found["channel"], found["group"])
    scale, zero, start = {}, {}, {}
    for bits in BITS if weight.numel() else ():
        low, high = groups.amin(1), groups.amax(1)
        scale[bits] = (high - low) / (2**bits - 1)
        scale[bits] = torch.where(scale[bits] < 1e-30, 1.0, scale[bits])
        start[bits] = -low / scale[bits]
        zero[bits] = _optimised(groups, scale[bits], start[bits], 2**bits - 1)
    return Fitted(tuple(weight.shape), found["channel"], groups, scale, zero, start)


def answer(fitted: Fitted, bits: int, optimise: bool) -> Encoded:
    count = torch.Size(fitted.shape).numel()
    if bits == 32 or not count:
        return Dense(joined(fitted.groups, fitted.row).reshape(fitted.shape))
    scale, zero = fitted.scale[bits], (fitted.zero if optimise else fitted.start)[bits]
    if zero.abs().max() <= 64 and scale.min() > torch.finfo(torch.float16).smallest_normal and scale.max() < 6e4:
        scale, zero = scale.half(), zero.half()  # where half precision places levels well within a step
    codes = _codes(fitted.groups, scale.float(), zero.float(), 2**bits - 1).to(torch.uint8)
    return Levels(fitted.shape, Codes(joined(codes, fitted.row), bits), scale, zero, 0, fitted.groups.shape[1])


def objective(error: Tensor) -> Tensor:
    """What is made small for each group: the sum of |error| ** 0.7, (groups,). A few large errors cost less than in squares."""
    return error.abs().pow(NORM).sum(1)


def _codes(groups: Tensor, scale: Tensor, zero: Tensor, top: int) -> Tensor:
    return (groups / scale[:, None] + zero[:, None]).round_().clamp_(0, top)


def _optimised(groups: Tensor, scale: Tensor, zero: Tensor, top: int) -> Tensor:
    """Half-quadratic splitting: guess the error that should stay (a shrinkage), then move the zero point to the rest's mean.

    As the authors do, it stops as soon as the mean error falls no more; of the zero points met, each group keeps its best.
    """
    best, least, beta, mean = zero, None, _BETA, float("inf")
    for _ in range(_STEPS):
        codes = _codes(groups, scale, zero, top)
        error = groups - (codes - zero[:, None]) * scale[:, None]
        cost = objective(error)
        best = zero if least is None else torch.where(cost < least, zero, best)
        least = cost if least is None else torch.minimum(cost, least)
        if float(error.abs().mean()) >= mean:
            break
        mean = float(error.abs().mean())
        stays = error.sign() * (error.abs() - error.abs().pow(NORM - 1) / beta).relu_()
        zero = (codes - (groups - stays) / scale[:, None]).mean(1)
        beta *= _KAPPA
    return best


METHOD = Method(
    title="Half-quadratic quantization (HQQ)",
    summary="Fit the zero point of each group so that most errors are small and a few may be large; needs no data.",
    reference="Badri and Shaji 2023, Half-Quadratic Quantization of Large Machine Learning Models, mobiusml.github.io/hqq_blog",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (*BITS, 32), 4, "Bits of each code; scale and zero point come on top.", "rise", off=32),
        Knob("optimise", "Fit the zero point", (False, True), True, "If not, levels span each group from its least to its largest weight."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("shrinkage", "Moving numbers towards zero, and small ones to zero altogether."),),
    fails=Failure(
        "Kernels of nine weights leave it groups of nine: scale and zero point of each take more bytes than the codes.",
        "depthwise", "block1.depthwise", (("bits", 2),), ("quantization.uniform", (("bits", 5), ("per", "tensor"), ("clip", "mse")))),
)
