"""Write each weight as a sum of a few signs, each times a size of its own."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Codes, Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.quantization.uniform import sizes

BASES = (1, 2, 3, 4, 5)
WAYS = ("residual", "shifted")


@dataclass(frozen=True, eq=False)
class Bases(Encoded):
    """Bit i of a code says whether the size i of its group is added or taken away."""

    shape: tuple[int, ...]
    codes: Encoded  # (values,)
    scale: Tensor  # (groups, bases) float32
    size: int  # values of a group

    def decode(self) -> Tensor:
        codes = self.codes.decode().reshape(-1, self.size).int()
        total = torch.zeros(codes.shape)
        for i, one in enumerate(self.scale.T):
            total += ((codes >> i & 1) * 2 - 1) * one[:, None]
        return total.reshape(self.shape)


class Fitted(NamedTuple):
    """A weight, and for every way, sharing and number of bases the codes and the sizes."""

    weight: Tensor
    size: dict[str, int]
    codes: dict[tuple[str, str, int], Tensor]  # (way, per, bases) -> (n,) uint8
    scale: dict[tuple[str, str, int], Tensor]  # (way, per, bases) -> (groups, bases)


def prepare(weight: Tensor, layer: Layer) -> Fitted:
    size = {per: n for per, n in sizes(tuple(weight.shape)).items() if per != "group"}
    codes, scale = {}, {}
    for per, n in size.items() if weight.numel() else ():
        groups = weight.reshape(-1, n)
        residual = _residual(groups)
        for bases in BASES:
            for way in WAYS:
                planes = residual[:, :bases] if way == "residual" else _shifted(groups, bases)  # (groups, bases, size) of -1, 1
                scale[way, per, bases] = _least_squares(planes, groups)
                bit = 2 ** torch.arange(bases, dtype=torch.uint8)[:, None]
                codes[way, per, bases] = ((planes > 0) * bit).sum(1, dtype=torch.uint8).flatten()
    return Fitted(weight, size, codes, scale)


def answer(fitted: Fitted, bits: int, way: str, per: str) -> Encoded:
    if bits == 32 or not fitted.weight.numel():
        return Dense(fitted.weight)
    key = way, per, bits
    return Bases(tuple(fitted.weight.shape), Codes(fitted.codes[key], bits), fitted.scale[key], fitted.size[per])


def _residual(groups: Tensor) -> Tensor:
    """Signs of the weight, then of what one size leaves, and so on (network sketching, algorithm 1)."""
    left, planes = groups, []
    for _ in BASES:
        signs = torch.where(left >= 0, 1.0, -1.0)
        left = left - signs * left.abs().mean(1, keepdim=True)
        planes.append(signs)
    return torch.stack(planes, 1)


def _shifted(groups: Tensor, bases: int) -> Tensor:
    """Signs of the weight less its mean, moved by shares of its deviation spread from -1 to 1 (ABC-Net, equation 2)."""
    shifts = torch.linspace(-1, 1, bases) if bases > 1 else torch.zeros(1)
    centred = groups - groups.mean(1, keepdim=True)
    moved = centred[:, None] + shifts[:, None] * centred.square().mean(1).sqrt()[:, None, None]
    return torch.where(moved >= 0, 1.0, -1.0)


def _least_squares(planes: Tensor, groups: Tensor) -> Tensor:
    """The sizes, (groups, bases), with which the planes (groups, bases, size) come next to the weights (groups, size)."""
    products = (planes @ planes.mT).double()
    return (torch.linalg.pinv(products, hermitian=True) @ (planes @ groups[:, :, None]).double())[:, :, 0].float()


METHOD = Method(
    title="Several binary bases (ABC-Net)",
    summary="Write each weight as a sum of one to five signs with sizes that fit best: as many bits as there are signs.",
    reference="Lin et al. 2017, Towards Accurate Binary Convolutional Neural Network, arXiv:1711.11294; Guo et al. 2017, arXiv:1706.02021",
    survey="6.4",
    knobs=(
        Knob("bits", "Bases, bits per weight", (*BASES, 32), 2, "How many signs are added up for each weight, one bit each.", "rise", off=32),
        Knob("way", "How signs are found", WAYS, "residual",
             "From what the signs before leave over, or by moving the weights up and down as ABC-Net does."),
        Knob("per", "Sizes for each", ("tensor", "channel"), "channel", "Which weights share the sizes."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("binary basis", "A tensor of plus and minus ones."),),
    fails=Failure(
        "Five bits say which of 32 sums a weight is, but the sums lie where five sizes put them; and five sizes a channel take bytes.",
        "vit", "blocks.0.mlp.up", (("bits", 5),), ("quantization.uniform", (("bits", 6),))),
)
