"""Round every weight to a sum of few powers of two."""

import torch

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Method
from compression.quantization.formats import blocks, joined, nearest, scaled, table
from compression.quantization.minifloat import Reach, prepare


def answer(reach: Reach, bits: int, per: str, clip: float) -> Encoded:
    weight = reach.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    size, scale = reach.size[per], reach.largest[per] * clip
    scale = torch.where(scale < torch.finfo(scale.dtype).tiny, torch.ones_like(scale), scale)
    name, half = f"apot-{bits}", 2 ** (bits - 1)
    values = blocks(weight, size, size)
    codes = nearest(values.abs() / scale[:, None], table(name)[:half]) + (values < 0).int() * half
    return scaled(tuple(weight.shape), joined(codes, size), name, scale, size, size)


METHOD = Method(
    title="Additive powers of two (APoT)",
    summary="Round each weight to a sum of one to three powers of two: cheap products, and levels less far apart at the ends.",
    reference="Li et al. 2020, Additive Powers-of-Two Quantization, arXiv:1909.13144",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (3, 4, 5, 7, 32), 4, "A sign, and two bits for each power of two that is added.",
             "rise", off=32),
        Knob("per", "One scale per", ("tensor", "channel"), "channel", "Whose largest weight is put on the largest level."),
        Knob("clip", "Reach", (0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 1.0,
             "How far the levels go, as a share of the largest weight; the paper learns it in training."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("clipping", "Writing what lies beyond the outermost level as that level."),),
    fails=Failure(
        "Its levels lie close near zero and far apart at the ends; even levels, cut where the error is least, serve more weights well.",
        "vit", "blocks.0.mlp.up", (("bits", 5), ("per", "tensor")), ("quantization.uniform", (("bits", 5), ("per", "tensor"), ("clip", "mse")))),
)
