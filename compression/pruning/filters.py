"""Forget whole outputs: rows of a matrix, filters of a convolution."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import cheapest_places

LADDER = tuple(i / 20 for i in range(20))
SPARSITY = Knob("sparsity", "Sparsity", LADDER, 0.5, "Share of outputs set to zero, weakest first.", "fall", off=0.0)


@dataclass(frozen=True, eq=False)
class Rows(Encoded):
    """The outputs that were kept, whole, and which ones they are. The others are zero."""

    shape: tuple[int, ...]
    places: Encoded  # Bitmap or Gaps over outputs
    values: Encoded  # (kept outputs, in, *kernel)

    def decode(self) -> Tensor:
        whole = torch.zeros(self.shape)
        whole[self.places.decode()] = self.values.decode().float()
        return whole


class Ranked(NamedTuple):
    """A weight, and for each norm those of its outputs, and the outputs from the weakest to the strongest."""

    weight: Tensor
    norms: dict[str, Tensor]  # (out,)
    order: dict[str, Tensor]  # (out,)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 2:
        return "This tensor has a single dimension, and a filter is a row of a matrix."
    return None


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    rows = weight.flatten(1)
    norms = {"l1": rows.abs().sum(1), "l2": rows.norm(dim=1)}
    return Ranked(weight, norms, {name: norm.argsort(stable=True) for name, norm in norms.items()})


def answer(ranked: Ranked, sparsity: float, norm: str) -> Encoded:
    return without(ranked.weight, ranked.order[norm][: round(sparsity * len(ranked.weight))])


def without(weight: Tensor, going: Tensor) -> Encoded:
    """The weight without some of its outputs, whose numbers are going, (count,)."""
    kept = torch.ones(len(weight), dtype=torch.bool)
    kept[going] = False
    if kept.all():
        return Dense(weight)
    return Rows(tuple(weight.shape), cheapest_places(kept), Dense(weight[kept]))


METHOD = Method(
    title="Filter pruning",
    summary="Forget the outputs whose weights are smallest altogether; the others stay whole, so what is left is a plain smaller matrix.",
    reference="Li et al. 2017, Pruning Filters for Efficient ConvNets, arXiv:1608.08710",
    survey="3.4",
    knobs=(
        SPARSITY,
        Knob("norm", "Strength is", ("l1", "l2"), "l1", "The sum of an output's magnitudes (l1), or the root of the sum of squares (l2)."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("filter", "The weights of one output: a row of a matrix, or all kernels that lead to one channel."),),
    fails=Failure(
        "Half of the outputs are gone for whatever comes after; single weights can go in far greater number before as much is lost.",
        "lenet-5", "fc1", (("sparsity", 0.5),), ("pruning.magnitude", (("sparsity", 0.75),))),
)
