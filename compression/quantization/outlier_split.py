"""Give the few large weights many bits, so that the levels of all others can be narrow."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import cheapest_places
from compression.quantization import uniform

SHARES = (0.01, 0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True, eq=False)
class Outliers(Encoded):
    """A tensor, some entries of which are stored apart, in 16 bits."""

    shape: tuple[int, ...]
    body: Encoded  # decodes to all entries; what it says where one is stored apart does not matter
    places: Encoded  # Bitmap or Gaps
    values: Tensor  # (places,) float16, or bfloat16 where a value is beyond it

    def decode(self) -> Tensor:
        whole = self.body.decode().flatten().clone()
        whole[self.places.decode()] = self.values.float()
        return whole.reshape(self.shape)


class Split(NamedTuple):
    """A weight, and the places of its largest entries, largest first: as many as the highest share asks for."""

    weight: Tensor
    order: Tensor  # (share of n,)


def prepare(weight: Tensor, layer: Layer) -> Split:
    count = round(SHARES[-1] * weight.numel())
    return Split(weight, weight.abs().flatten().topk(count).indices)


def answer(split: Split, bits: int, outliers: float, per: str) -> Encoded:
    weight = split.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    apart = torch.zeros(weight.numel(), dtype=torch.bool)
    apart[split.order[: round(outliers * weight.numel())]] = True
    rest = weight.flatten().masked_fill(apart, 0).reshape(weight.shape)
    size = uniform.sizes(tuple(weight.shape))[per]
    groups = rest.reshape(-1, size)
    low, high = groups.amin(1).clamp(max=0), groups.amax(1).clamp(min=0)
    body = uniform.answer(uniform.Ranges(rest, {per: size}, {per: low}, {per: high}, {}), bits, True, per)
    large = weight.flatten()[apart]
    short = large.half()
    return Outliers(tuple(weight.shape), body, cheapest_places(apart), short if short.isfinite().all() else large.bfloat16())


METHOD = Method(
    title="Outlier splitting (value-aware)",
    summary="Store the few largest weights in 16 bits with their places, and the rest on levels that need not reach so far.",
    reference="Park et al. 2018, Value-aware Quantization for Training and Inference of Neural Networks, arXiv:1804.07802",
    survey="6.4.1",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5, 6, 7, 8, 32), 4, "Bits of the weights that are not outliers.", "rise", off=32),
        Knob("outliers", "Outliers", SHARES, 0.03, "Share of weights, largest first, that are stored apart.", "rise"),
        Knob("per", "One scale per", ("tensor", "channel"), "tensor", "Which of the other weights share a scale."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("outlier", "A value far larger than nearly all others."),),
    fails=Failure(
        "A tenth of the weights in 16 bits, with their places, take as many bytes as two more bits for all; and few are outliers here.",
        "vit", "blocks.0.mlp.up", (("bits", 2), ("outliers", 0.1)), ("quantization.uniform", (("bits", 4), ("per", "tensor"), ("clip", "mse")))),
)
