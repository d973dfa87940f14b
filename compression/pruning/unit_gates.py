"""What the loss would do without a whole output, from the slope along a gate on it that is now fully open.

The gate multiplies what the weights of an output make, before the bias, so its slope for one example is the sum of the output's
weights times their gradients. Three criteria read it differently: skeletonization takes the mean with its sign (an output that
does harm goes first), Taylor the mean magnitude, Fisher half the mean square.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Context, Failure, Knob, Layer, Method
from compression.pruning.filters import LADDER, refuses, without
from compression.pruning.ranking import removed, which

SCORES = ("skeletonization", "taylor", "fisher")


class Gated(NamedTuple):
    """What each output of the layer is worth by three readings of the slope along its gate."""

    weight: Tensor
    skeletonization: Tensor  # (out,) nats: what the loss would rise by when the gate is shut, to first order
    taylor: Tensor  # (out,) nats: the same without its sign
    fisher: Tensor  # (out,) nats: to second order
    order: dict[str, Tensor]  # by score: (out,) least first
    going: dict[str, Tensor]  # by score: (rungs,) how many of this layer's are among the least of the network


def slopes(about: Context) -> dict[str, Tensor]:
    """The three scores of every output, (3, out) by layer name, in the order of SCORES."""
    found = {layer.name: torch.zeros(3, len(layer.weight)) for layer in about.layers}
    for gradients in about.each():
        for layer in about.layers:
            slope = (gradients[layer.name] * layer.weight).flatten(1).sum(1)  # along a gate at 1
            found[layer.name] += torch.stack([-slope, slope.abs(), slope.square() / 2]) / about.alone
    return found


def network_wide(about: Context) -> dict[str, Tensor]:
    """By score, how many outputs of each layer are among the least of the network: (layers, rungs).

    Taylor's scores are first divided by their root sum of squares in each layer (Molchanov et al. 2016, section 2.2).
    """
    known = [about.once("gates", lambda: slopes(about))[layer.name] for layer in about.layers]
    scaled = [s / s.norm(dim=1, keepdim=True).clamp(min=1e-30) for s in known]
    return {name: removed([each[i] for each in (scaled if name == "taylor" else known)], LADDER) for i, name in enumerate(SCORES)}


def prepare(weight: Tensor, layer: Layer) -> Gated:
    about = layer.context
    going = about.once("gates going", lambda: network_wide(about))
    scores = about.once("gates", lambda: slopes(about))[layer.name]
    order = {name: score.argsort(stable=True) for name, score in zip(SCORES, scores)}
    return Gated(weight, *scores, order, {name: counts[which(layer)] for name, counts in going.items()})


def answer(found: Gated, sparsity: float, score: str, scope: str) -> Encoded:
    count = int(found.going[score][LADDER.index(sparsity)]) if scope == "network" else round(sparsity * len(found.weight))
    return without(found.weight, found.order[score][:count])


METHOD = Method(
    title="Unit pruning by gates",
    summary="Put a gate on each output, see how the loss leans on it, and forget the outputs whose gates can be shut at the least cost.",
    reference="Mozer and Smolensky 1989, Skeletonization, NIPS 1; Molchanov et al. 2017, arXiv:1611.06440; Theis et al. 2018, arXiv:1801.05787",
    survey="3.3",
    knobs=(
        Knob("sparsity", "Sparsity", LADDER, 0.5, "Share of outputs set to zero, least worth first.", off=0.0),
        Knob("score", "An output is worth", SCORES, "taylor",
             "The mean slope along its gate with its sign (skeletonization), its mean magnitude (taylor), or half its mean square (fisher)."),
        Knob("scope", "Threshold for", ("layer", "network"), "layer", "Each layer alone, so that all lose the same share, or the whole network."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("gradients",),
    terms=(("gate", "A number that multiplies what a unit gives; at 1 nothing changes, at 0 the unit is gone."),),
    fails=Failure(
        "The slope is that of an open gate, and shutting it is a long way: the batch normalisation behind then gives what it never gave before.",
        "resnet-20", "stage3.2.conv1", (("sparsity", 0.5), ("score", "taylor"), ("scope", "layer")),
        ("pruning.filters", (("sparsity", 0.5), ("norm", "l1"))),
    ),
)
