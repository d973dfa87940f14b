"""Keep the largest weights and forget the rest."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import sparse


class Ranked(NamedTuple):
    """A weight, and its magnitudes from the smallest to the largest."""

    weight: Tensor
    magnitude: Tensor  # (n,)


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    return Ranked(weight, torch.from_numpy(np.sort(weight.abs().flatten().numpy())))  # three times as quick as torch's sort


def kept(ranked: Ranked, sparsity: float) -> Tensor:
    """Which places are kept, (n,) bool: all above a threshold, and of those that equal it the last."""
    size, gone = ranked.weight.abs().flatten(), round(sparsity * len(ranked.magnitude))
    if not gone:
        return torch.ones(len(size), dtype=torch.bool)
    cut = ranked.magnitude[gone - 1]
    stay = size > cut
    ties = gone - int(torch.searchsorted(ranked.magnitude, cut))  # how many of those that equal the threshold go: the first
    if len(size) - int(stay.sum()) > gone:
        stay[(size == cut).nonzero().flatten()[ties:]] = True
    return stay


def answer(ranked: Ranked, sparsity: float) -> Encoded:
    return sparse(ranked.weight, kept(ranked, sparsity))


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
    fails=Failure(
        "Nothing makes up for what goes: at nine weights in ten the sums that went with them are missing, and the others could have taken them over.",
        "lenet-300-100", "fc1", (("sparsity", 0.9),), ("pruning.sparse_gpt", (("sparsity", 0.9),))),
)
