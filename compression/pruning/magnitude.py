"""Keep the largest weights and forget the rest."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Knob, Layer, Method
from compression.places import sparse


class Ranked(NamedTuple):
    """A weight, and its places from the smallest magnitude to the largest."""

    weight: Tensor
    order: Tensor  # (n,)
    magnitude: Tensor  # (n,) in that order


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    magnitude, order = weight.abs().flatten().sort(stable=True)
    return Ranked(weight, order, magnitude)


def answer(ranked: Ranked, sparsity: float) -> Encoded:
    kept = torch.ones(ranked.weight.numel(), dtype=torch.bool)
    kept[ranked.order[: round(sparsity * len(kept))]] = False
    return sparse(ranked.weight, kept)


METHOD = Method(
    title="Magnitude pruning",
    summary="Small weights matter least, so set them to zero and store only the others.",
    reference="Han et al. 2015, Learning both Weights and Connections, arXiv:1506.02626",
    survey="3.1",
    knobs=(
        Knob("sparsity", "Sparsity", tuple(i / 100 for i in range(100)), 0.5, "Share of weights set to zero, smallest first.",
             "fall", off=0.0),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("sparsity", "The share of a tensor's entries that are zero."),),
)
