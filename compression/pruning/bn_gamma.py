"""Channels whose batch normalisation scales them down to little are forgotten.

Only the channel's weights become zero here: what its normalisation then gives is a constant, as its shift is kept.
"""

from typing import NamedTuple

from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Layer, Method
from compression.pruning import filters
from compression.pruning.following import following


class Scaled(NamedTuple):
    """By how much the batch normalisation after the layer scales each channel, and the channels from the least scaled up."""

    weight: Tensor
    gamma: Tensor  # (out,) magnitudes
    order: Tensor  # (out,)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    about = layer.context
    if about.example is None:
        return "It looks for the batch normalisation after the layer, which takes one run; give the network an example."
    known = about.once("following", lambda: following(about)).get(layer.name)
    if known is None or known.norm is None or about.module.get_submodule(known.norm).weight is None:
        return f"It reads the scales of a batch normalisation, and none follows {layer.name} directly."
    return filters.refuses(weight, layer)


def prepare(weight: Tensor, layer: Layer) -> Scaled:
    norm = layer.context.once("following", lambda: following(layer.context))[layer.name].norm
    gamma = layer.context.module.get_submodule(norm).weight.detach().abs()
    return Scaled(weight, gamma, gamma.argsort(stable=True))


def answer(found: Scaled, sparsity: float) -> Encoded:
    return filters.without(found.weight, found.order[: round(sparsity * len(found.weight))])


METHOD = Method(
    title="Batch-norm scale",
    summary="A channel that its batch normalisation scales down to little says little, so the least scaled channels are forgotten.",
    reference="Liu et al. 2017, Learning Efficient Convolutional Networks through Network Slimming, arXiv:1708.06519, section 3",
    survey="3.4.1",
    knobs=(filters.SPARSITY,),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("network",),
    terms=(("batch normalisation", "A layer that shifts and scales each channel so that over the training images it has a set mean and spread."),),
    fails=Failure(
        "The scales tell something where training pressed them towards zero; here it did not, and the size of the filters tells more.",
        "depthwise", "block3.pointwise", (("sparsity", 0.5),), ("pruning.filters", (("sparsity", 0.5), ("norm", "l2"))),
    ),
)
