"""Mix the weights of a row before rounding them, so that no single one stands out, and unmix them after."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization import uniform


@dataclass(frozen=True, eq=False)
class Rotated(Encoded):
    """A weight each row of which was turned: signs flipped, then multiplied by Hadamard matrices."""

    shape: tuple[int, ...]
    body: Encoded  # the turned weight
    signs: Encoded  # Codes (row,): 1 where the sign was flipped

    def decode(self) -> Tensor:
        rows = self.body.decode().reshape(-1, self.signs.decode().numel())
        return (mixed(rows) * _flips(self.signs.decode())).reshape(self.shape)


class Turned(NamedTuple):
    """A weight and the same turned, both ready to be quantized, and the signs that were drawn."""

    plain: uniform.Ranges
    turned: uniform.Ranges
    signs: Tensor  # (row,) uint8


def prepare(weight: Tensor, layer: Layer) -> Turned:
    row = uniform.sizes(tuple(weight.shape))["channel"]
    signs = torch.randint(2, (row,), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    turned = mixed(weight.reshape(-1, row) * _flips(signs)).reshape(weight.shape)
    return Turned(uniform.prepare(weight, layer), uniform.prepare(turned, layer), signs)


def answer(ready: Turned, bits: int, rotate: bool, per: str) -> Encoded:
    weight = ready.plain.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    if not rotate:
        return uniform.answer(ready.plain, bits, True, per)
    return Rotated(tuple(weight.shape), uniform.answer(ready.turned, bits, True, per), Codes(ready.signs, 1))


def mixed(rows: Tensor) -> Tensor:
    """Each row times orthonormal Hadamard matrices, one for each power of two that its length is made of; its own inverse.

    A row of 784 is mixed in pieces of 512, 256 and 16. A matrix of 2**k is the Kronecker product of two smaller ones.
    """
    powers = [1 << k for k in reversed(range(rows.shape[1].bit_length())) if rows.shape[1] >> k & 1]
    pieces = []
    for piece, size in zip(rows.split(powers, dim=1), powers):
        left = 1 << size.bit_length() // 2
        square = piece.reshape(-1, left, size // left) if size > 1 else piece.reshape(-1, 1, 1)
        pieces.append((_matrix(square.shape[1]) @ square @ _matrix(square.shape[2])).reshape(piece.shape))
    return torch.cat(pieces, 1)


@cache
def _matrix(size: int) -> Tensor:
    """Sylvester's Hadamard matrix over the root of its size, (size, size): +1 and -1, rows at right angles."""
    one = torch.ones(1, 1)
    while len(one) < size:
        one = torch.cat([torch.cat([one, one], 1), torch.cat([one, -one], 1)])
    return one / math.sqrt(size)


def _flips(signs: Tensor) -> Tensor:
    return 1 - 2 * signs.float()


METHOD = Method(
    title="Hadamard rotation",
    summary="Mix each row by a fixed rotation, so that outliers are spread out, quantize that, and turn it back when it is read.",
    reference="Ashkboos et al. 2024, QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, arXiv:2404.00456",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5, 6, 7, 8, 32), 4, "How many levels there are: two to this power.", "rise", off=32),
        Knob("rotate", "Rotate", (False, True), True, "If not, weights are quantized as they are: what the rotation gains is the difference."),
        Knob("per", "One scale per", ("tensor", "channel", "group"), "channel", "Which of the turned weights share a scale."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("rotation", "A change of directions that keeps lengths and angles, so that turning back loses nothing."),),
    fails=Failure(
        "A small network has no outliers to spread; mixing only makes a bell curve of the weights, and its tails take levels that few use.",
        "vit", "blocks.0.mlp.up", (("bits", 4),), ("sharing.kmeans", (("bits", 4),))),
)
