"""SparseGPT: go through the inputs in blocks, take from each block the weights missed least, and let the inputs to come make up.

One inverse Hessian is shared by all outputs, because at every input the same inputs are still free to change. The measure of a
weight is the surgeon's, w**2 over the inverse's diagonal among the inputs still to come.
"""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from compression.method import Failure, Knob, Layer, Method, Piecewise
from compression.pruning.updating import Updated, answer, updating
from compression.surgeon import factor, passed_on

LADDER = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BLOCK = 128  # inputs whose weights are compared with each other


def prune(weight: Tensor, products: Tensor, sparsities: Sequence[float], block: int = BLOCK,
          each: bool = False) -> Generator[float, None, list[Tensor]]:
    """The weight (out, d) at each sparsity: that share of the weights of every block of inputs, or of each row in every block, goes."""
    by, found = factor(products), []
    for s in sparsities:
        yield len(found) / len(sparsities)
        found.append(passed_on(weight, by, _chooser(by, s, block, each), block if not each else BLOCK))
    return found


def _chooser(by: Tensor, sparsity: float, block: int, each: bool):  # type: ignore[no-untyped-def]
    masks: dict[int, Tensor] = {}

    def choose(w: Tensor, j: int) -> Tensor:
        start = j // block * block
        if start not in masks:
            scores = (w[:, start : start + block] / by.diagonal()[start : start + block]).square()
            masks[start] = least(scores, sparsity) if each else least(scores.reshape(1, -1), sparsity).reshape(scores.shape)
        return w[:, j].masked_fill(masks[start][:, j - start], 0)

    return choose


def least(scores: Tensor, share: float) -> Tensor:
    """Which entries of each row are the least round(share * n) of it: the shape of scores, bool."""
    order = scores.argsort(dim=1, stable=True)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order[:, : round(share * scores.shape[1])], True)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Updated]:
    return (yield from updating(layer, LADDER, prune))


METHOD = Method(
    title="SparseGPT",
    summary="Inputs have their turn from first to last: the weights missed least go, and the inputs still to come make up for them.",
    reference="Frantar and Alistarh 2023, SparseGPT, arXiv:2301.00774, algorithm 1",
    survey="3.1",
    knobs=(Knob("sparsity", "Sparsity", LADDER, 0.5, "Share of the weights of every 128 inputs set to zero.", "fall", off=0.0),),
    prepare=prepare,
    answer=answer,
    needs=("inputs",),
    terms=(("weight update", "Changing the weights that are kept, so that they do part of the work of those that are gone."),),
    fails=Failure(
        "Inputs have their turn in a fixed order, so the last ones find nobody left to make up for them; a filter of 25 weights is short.",
        "lenet-5", "conv1", (("sparsity", 0.7),), ("pruning.obs", (("sparsity", 0.7),)),
    ),
)
