"""Tiny floats, with one power of two for each 32 of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import LARGEST, blocks, joined, powers, scaled, table, to_float, to_power
from compression.quantization.uniform import sizes

BLOCK = 32
FORMATS = {(4, False): "e2m1", (4, True): "e2m1", (6, False): "e2m3", (6, True): "e3m2", (8, False): "e4m3", (8, True): "e5m2"}


class Blocks(NamedTuple):
    """A weight in blocks along its inputs, and the largest magnitude of each."""

    shape: tuple[int, ...]
    row: int  # weights of one output channel
    values: Tensor  # (blocks, 32); what a row lacks at its end is zero
    largest: Tensor  # (blocks,)


def prepare(weight: Tensor, layer: Layer) -> Blocks:
    row = sizes(tuple(weight.shape))["channel"]
    values = blocks(weight, row, BLOCK)
    return Blocks(tuple(weight.shape), row, values, values.abs().amax(1))


def answer(ready: Blocks, bits: int, wide: bool) -> Encoded:
    if bits == 32 or not ready.values.numel():
        return Dense(joined(ready.values, ready.row).reshape(ready.shape))
    name = FORMATS[bits, wide]
    top = to_power(torch.tensor(LARGEST[name])) - 127  # power of two of the format's largest number
    shared = torch.where(ready.largest > 0, (to_power(ready.largest) - top).clamp(0, 254), 0)
    codes = to_float(ready.values / table("e8m0")[shared][:, None], name)
    return scaled(ready.shape, joined(codes, ready.row), name, powers(shared), ready.row, BLOCK)


METHOD = Method(
    title="Microscaling: MXFP8, MXFP6, MXFP4",
    summary="Write weights as floats of 4 to 8 bits; each 32 neighbours share a power of two that costs them one byte.",
    reference="Rouhani et al. 2023, Microscaling Data Formats for Deep Learning, arXiv:2310.10537; OCP MX specification v1.0",
    survey="6.2",
    knobs=(
        Knob("bits", "Bits per weight", (4, 6, 8, 32), 6, "Bits of each float; the shared power of two adds a quarter of a bit.",
             "rise", off=32),
        Knob("wide", "More exponent bits", (False, True), False,
             "E5M2 in place of E4M3, or E3M2 in place of E2M3; FP4 is E2M1 either way."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("shared exponent", "A power of two by which all numbers of a block are multiplied."),),
    fails=Failure(
        "Sixteen levels of a float, most of them near zero, and scales that are powers of two: sixteen levels put where the weights are do better.",
        "vit", "blocks.0.mlp.up", (("bits", 4),), ("sharing.kmeans", (("bits", 4),))),
)
