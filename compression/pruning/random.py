"""Forget weights by lot: the control that every criterion must beat."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import sparse


class Lots(NamedTuple):
    """A weight, and its places in the order in which they are drawn."""

    weight: Tensor
    order: Tensor  # (n,)


def prepare(weight: Tensor, layer: Layer) -> Lots:
    seed = layer.context.seed if layer.context else 0
    return Lots(weight, torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(seed)))


def answer(lots: Lots, sparsity: float) -> Encoded:
    kept = torch.ones(lots.weight.numel(), dtype=torch.bool)
    kept[lots.order[: round(sparsity * len(kept))]] = False
    return sparse(lots.weight, kept)


METHOD = Method(
    title="Random pruning",
    summary="Set weights to zero by lot, whatever they are: what a cleverer choice gains is measured against this.",
    reference="Blalock et al. 2020, What is the State of Neural Network Pruning?, arXiv:2003.03033",
    survey="3.1",
    knobs=(
        Knob("sparsity", "Sparsity", tuple(i / 100 for i in range(100)), 0.5, "Share of weights set to zero, by lot.",
             "fall", off=0.0),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("control", "A treatment that is known to be poor, so that others can be compared with it."),),
    fails=Failure(
        "It removes what matters as readily as what does not.",
        "lenet-5", "fc1", (("sparsity", 0.8),), ("pruning.magnitude", (("sparsity", 0.8),))),
)
