"""Replace a convolution by one with upright filters and one with lying filters."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.separable import refuses
from compression.lowrank.stages import Stage
from compression.method import Failure, Knob, Layer, Method


@dataclass(frozen=True, eq=False)
class Separable(Encoded):
    """A convolution with upright filters (maps, in, height), then one with lying filters (out, maps, width)."""

    left: Encoded
    right: Encoded

    def decode(self) -> Tensor:
        return torch.einsum("kiy,okx->oiyx", self.left.decode(), self.right.decode())

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("left", self.left.decode()[:, :, :, None], (0,)), Stage("right", self.right.decode()[:, :, None, :], (1,)))


class Spectrum(NamedTuple):
    """A convolution as a sum of upright times lying filters, strongest first; the squares of those left out are the squared error."""

    shape: tuple[int, ...]
    left: Tensor  # (full, in, height) float64
    singular: Tensor  # (full,) float64, descending
    right: Tensor  # (full, out, width) float64


def prepare(weight: Tensor, layer: Layer) -> Spectrum:
    """The best for every number of maps at once: the SVD of the weight as (in * height, out * width) (Tai et al. 2016, theorem 1)."""
    out, into, height, width = weight.shape
    matrix = weight.double().permute(1, 2, 0, 3).reshape(into * height, out * width)
    left, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    return Spectrum(tuple(weight.shape), left.T.reshape(-1, into, height), singular, right.reshape(-1, out, width))


def answer(spectrum: Spectrum, rank: float) -> Encoded:
    k = max(1, round(rank * len(spectrum.singular)))
    root = spectrum.singular[:k].sqrt()[:, None, None]
    left, right = root * spectrum.left[:k], (root * spectrum.right[:k]).transpose(0, 1)
    return Separable(Dense(left.float()), Dense(right.float().contiguous()))


METHOD = Method(
    title="Separable filters (Jaderberg's scheme 2)",
    summary="Run upright filters to a few maps, then lying filters over those, in place of square filters.",
    reference="Jaderberg et al. 2014, Speeding up CNNs with Low Rank Expansions, arXiv:1405.3866; closed form: Tai et al. 2016, "
              "arXiv:1511.06067",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.3,
             "Maps between the two convolutions, as a share of those with which nothing is lost.", "rise", off=1.0),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("separable filter", "A two-dimensional filter that is a column times a row, so it can be run as two short ones."),),
    fails=Failure(
        "Every one of its maps takes an upright filter for all inputs and a lying one for all outputs: few maps for the numbers they cost.",
        "lenet-5", "conv2", (("rank", 0.1),), instead=("lowrank.cp", (("rank", 0.15), ("kernel", "separable")))),
)
