"""Whole numbers with a binary point that each layer puts where it needs it."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import scaled

BITS = (2, 3, 4, 5, 6, 7, 8, 16)
_FINER = 4  # places of the point that are tried beyond that which holds every weight


class Points(NamedTuple):
    """A weight, and for every number of bits the power of two that the last bit stands for, by either rule."""

    weight: Tensor
    whole: dict[int, int]  # bits -> power that lets no weight overflow
    best: dict[int, int]  # bits -> power with the least squared error


def prepare(weight: Tensor, layer: Layer) -> Points:
    """Bits before the point, the sign among them: ceil(log2(largest) + 1) (Ristretto, equation 5.2)."""
    if not weight.numel():
        return Points(weight, {}, {})
    largest = weight.abs().amax()
    # Far above any weight where all are zero, and far from the ends of float32 in any case.
    before = int(largest.log2().ceil().clamp(-100, 100)) if largest > 0 else 0
    whole = {bits: before + 1 - bits for bits in BITS}
    flat = weight.flatten()
    return Points(weight, whole, {bits: min(range(p, p - _FINER, -1), key=lambda q, b=bits: _error(flat, q, b))
                                  for bits, p in whole.items()})


def answer(points: Points, bits: int, point: str) -> Encoded:
    weight = points.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    power = (points.whole if point == "minmax" else points.best)[bits]
    codes = _rounded(weight.flatten(), power, bits).add_(2 ** (bits - 1))
    unit = scaled((1,), torch.tensor([power + 127]), "e8m0")
    return scaled(tuple(weight.shape), codes, f"int{bits}", unit, weight.numel(), weight.numel())


def _rounded(flat: Tensor, power: int, bits: int) -> Tensor:
    return (flat * 2.0**-power).round_().clamp_(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _error(flat: Tensor, power: int, bits: int) -> float:
    return float((_rounded(flat, power, bits).mul_(2.0**power) - flat).norm())


METHOD = Method(
    title="Dynamic fixed point",
    summary="Write weights as whole numbers times a power of two; each layer has its own place for the binary point.",
    reference="Gysel et al. 2018, Ristretto, arXiv:1604.03168; Courbariaux et al. 2014, arXiv:1412.7024; Lin et al. 2016, arXiv:1511.06393",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (*BITS, 32), 8, "Bits of each number, the sign among them.", "rise", off=32),
        Knob("point", "Binary point", ("minmax", "mse"), "minmax",
             "Put it so that no weight overflows, or where the squared error is least and the largest are clipped."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("Qm.n", "A fixed point number with m bits before the binary point and n after it."),),
    fails=Failure(
        "Steps can only be powers of two: a layer whose weights reach a little beyond one wastes nearly half of its few levels.",
        "vit", "blocks.0.mlp.up", (("bits", 4),), ("quantization.uniform", (("bits", 4), ("per", "tensor"), ("clip", "mse")))),
)
