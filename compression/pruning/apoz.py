"""Average percentage of zeros: outputs that the rectifier shuts for nearly all examples are forgotten."""

from typing import NamedTuple

from torch import Tensor

from compression.encoded import Encoded
from compression.method import Failure, Layer, Method
from compression.pruning import filters
from compression.pruning.following import following


class Silence(NamedTuple):
    """The share of zeros in each output of the layer after its rectifier, the mean of the output there, and their order."""

    weight: Tensor
    zeros: Tensor  # (out,)
    mean_output: Tensor  # (out,)
    order: Tensor  # (out,) most zeros first


def refuses(weight: Tensor, layer: Layer) -> str | None:
    known = layer.context.once("following", lambda: following(layer.context)).get(layer.name)
    if known is None or known.zeros is None:
        return f"It counts the zeros that a rectifier makes, and none follows {layer.name} directly."
    return filters.refuses(weight, layer)


def prepare(weight: Tensor, layer: Layer) -> Silence:
    known = layer.context.once("following", lambda: following(layer.context))[layer.name]
    return Silence(weight, known.zeros, known.mean, known.zeros.argsort(descending=True, stable=True))


def answer(found: Silence, sparsity: float) -> Encoded:
    return filters.without(found.weight, found.order[: round(sparsity * len(found.weight))])


METHOD = Method(
    title="APoZ",
    summary="An output that is zero after the rectifier for nearly all examples says little, so the most silent ones are forgotten.",
    reference="Hu et al. 2016, Network Trimming, arXiv:1607.03250, equation 1",
    survey="3.1",
    knobs=(filters.SPARSITY,),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("rectifier", "A unit that passes what is above zero and gives zero for the rest (ReLU)."),),
    fails=Failure(
        "A channel that is silent for most examples may be the one that tells a class apart, and what it then says is not weighed.",
        "vgg-small", "conv2", (("sparsity", 0.25),), ("pruning.nisp", (("sparsity", 0.25),)),
    ),
)
