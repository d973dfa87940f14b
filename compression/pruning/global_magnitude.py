"""One threshold of magnitude for the whole network, so that layers with many small weights lose more of them."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import sparse
from compression.pruning.ranking import LADDER, SPARSITY, densities, removed, which


class Everywhere(NamedTuple):
    """The layer's magnitudes in order, and the share of each layer kept as the network's sparsity rises, by either measure."""

    weight: Tensor
    order: Tensor  # (n,) places, smallest magnitude first
    magnitude: Tensor  # (n,) in that order
    densities: Tensor  # (layers, 100): of each layer of the network, at 0 %, 1 %, ... of the network's weights set to zero
    lamp_densities: Tensor  # (layers, 100)
    going: dict[str, Tensor]  # by measure: (100,) how many of this layer's weights are among those


def lamp(weight: Tensor) -> Tensor:
    """Each weight's square over the sum of all squares in its layer that are no smaller: same shape, 1 for the largest."""
    squares, order = weight.double().square().flatten().sort(stable=True)
    rest = squares.flip(0).cumsum(0).flip(0)
    return torch.empty_like(squares).scatter_(0, order, squares / rest.clamp(min=1e-300)).reshape(weight.shape)


MEASURES = {"magnitude": torch.abs, "lamp": lamp}


def prepare(weight: Tensor, layer: Layer) -> Everywhere:
    about, known = layer.context, {}
    for name, measure in MEASURES.items():
        known[name] = about.once(("removed", name), lambda m=measure: removed([m(each.weight) for each in about.layers]))
    magnitude, order = weight.abs().flatten().sort(stable=True)
    kept = (densities(about.layers, going) for going in known.values())
    return Everywhere(weight, order, magnitude, *kept, {name: going[which(layer)] for name, going in known.items()})


def answer(found: Everywhere, sparsity: float, score: str) -> Encoded:
    kept = torch.ones(len(found.order), dtype=torch.bool)
    kept[found.order[: int(found.going[score][LADDER.index(sparsity)])]] = False
    return sparse(found.weight, kept)


METHOD = Method(
    title="Global magnitude pruning",
    summary="Set the smallest weights of the whole network to zero: a layer whose weights are small loses more of them than another.",
    reference="Han et al. 2015, arXiv:1506.02626; Blalock et al. 2020, arXiv:2003.03033; LAMP: Lee et al. 2021, arXiv:2010.07611",
    survey="3.1",
    knobs=(
        SPARSITY,
        Knob("score", "Weights are compared by", ("magnitude", "lamp"), "magnitude",
             "Their size alone, or (LAMP) its square's share of what is left of their layer, which lets no layer lose all it has."),
    ),
    prepare=prepare,
    answer=answer,
    needs=("network",),
    terms=(("layer collapse", "One layer losing all of its weights, which cuts the network in two, while others keep plenty."),),
    fails=Failure(
        "One threshold takes five in six weights of the last layer, which has few, and on which every answer rests.",
        "lenet-5", "fc2", (("sparsity", 0.8), ("score", "magnitude")), ("pruning.obs", (("sparsity", 0.85),)),
    ),
)
