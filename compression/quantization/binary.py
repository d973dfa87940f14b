"""Keep only the sign of each weight, and one size for all of a channel."""

from typing import NamedTuple

from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.formats import scaled
from compression.quantization.uniform import sizes


class Signs(NamedTuple):
    """A weight, which of its entries are not negative, and the mean magnitude for each way of sharing it."""

    weight: Tensor
    positive: Tensor  # (n,) bool
    size: dict[str, int]
    mean: dict[str, Tensor]  # (groups,)


def prepare(weight: Tensor, layer: Layer) -> Signs:
    size = sizes(tuple(weight.shape))
    size = {per: size[per] for per in ("tensor", "channel")}
    return Signs(weight, weight.flatten() >= 0, size, {per: weight.abs().reshape(-1, n).mean(1) for per, n in size.items()})


def answer(signs: Signs, bits: int, per: str) -> Encoded:
    weight, size = signs.weight, signs.size[per]
    if bits == 32 or not weight.numel():
        return Dense(weight)
    return scaled(tuple(weight.shape), signs.positive, "binary", signs.mean[per], size, size)


METHOD = Method(
    title="Binary weights (XNOR-Net)",
    summary="Write each weight as its sign, one bit, times the mean magnitude of its channel: the least squared error there is.",
    reference="Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per weight", (1, 32), 1, "One bit, the sign.", off=32),
        Knob("per", "One size per", ("tensor", "channel"), "channel", "Which weights share a size: all, or those of one output channel."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("XNOR", "Whether two bits are equal: the product of two signs."),),
    fails=Failure(
        "A channel of nine weights stores nine signs and a size in 32 bits: four bits for each weight take no more.",
        "resnet-20", "stem.conv", (("per", "channel"),), ("quantization.uniform", (("bits", 4), ("per", "tensor")))),
)
