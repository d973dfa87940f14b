"""What criteria share: one order for the weights of a layer, and one threshold for those of the whole network."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.places import sparse

LADDER = tuple(i / 100 for i in range(100))

# As the network's sparsity rises a layer's bytes need not fall: with none of its weights gone it has no places to store.
SPARSITY = Knob("sparsity", "Sparsity", LADDER, 0.5, "Share of weights set to zero, least important first.", off=0.0)
SCOPE = Knob("scope", "Threshold for", ("network", "layer"), "network",
             "The whole network, so that layers that matter little lose more, or each layer alone, so that all lose the same share.")


class Ranked(NamedTuple):
    """The layer's scores from the least to the largest, and the share of each layer kept as the network's sparsity rises."""

    weight: Tensor
    order: Tensor  # (n,) places, least score first
    scores: Tensor  # (n,) in that order
    densities: Tensor  # (layers, 100): of each layer of the network, at 0 %, 1 %, ... of the network's weights set to zero
    going: Tensor  # (100,) how many of this layer's weights are among those


def ranked(layer: Layer, name: str, score: Callable[[Layer], Tensor]) -> Ranked:
    """A layer's weights in the order of score(layer), (out, in, *kernel), beside those of all layers of its network.

    What concerns the whole network is found once and kept under the name.
    """
    about = layer.context
    going = about.once(("removed", name), lambda: removed([score(each) for each in about.layers]))
    scores, order = score(layer).flatten().sort(stable=True)
    return Ranked(layer.weight, order, scores, densities(about.layers, going), going[which(layer)])


def which(layer: Layer) -> int:
    """The number of a layer among those of its network."""
    return [each.name for each in layer.context.layers].index(layer.name)


def densities(layers: Sequence[Layer], going: Tensor) -> Tensor:
    """Share of each layer kept, (layers, rungs), where so many weights of each (layers, rungs) go."""
    sizes = torch.tensor([max(each.weight.numel(), 1) for each in layers])
    return 1 - going / sizes[:, None]


def removed(scores: Sequence[Tensor], ladder: Sequence[float] = LADDER) -> Tensor:
    """How many entries of each tensor are among the least of them all: (tensors, rungs), for each share on the ladder.

    Of equal scores those of earlier tensors go first, so that the counts of a rung add up to round(share * all).
    """
    each = [np.sort(s.detach().flatten().numpy()) for s in scores]
    everything = np.sort(np.concatenate(each))
    wanted = np.rint(np.array(ladder) * len(everything)).astype(int)
    threshold = everything[np.maximum(wanted - 1, 0)]
    below, upto = (np.stack([np.searchsorted(e, threshold, side) for e in each]) for side in ("left", "right"))
    ties = upto - below
    before = ties.cumsum(0) - ties
    return torch.from_numpy(below + np.clip(wanted - below.sum(0) - before, 0, ties))


def forget(found: Ranked, sparsity: float, scope: str = "network") -> Encoded:
    """The layer without its least important weights."""
    kept = torch.ones(len(found.order), dtype=torch.bool)
    count = int(found.going[LADDER.index(sparsity)]) if scope == "network" else round(sparsity * len(kept))
    kept[found.order[:count]] = False
    return sparse(found.weight, kept)
