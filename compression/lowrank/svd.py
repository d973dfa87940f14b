"""Replace a weight by the product of two thin matrices."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded, Factored
from compression.method import Failure, Knob, Layer, Method

_LARGE = 1500  # shorter side above which singular values are taken from the smaller of the two products with itself


class Spectrum(NamedTuple):
    """A weight as a sum of rank-one matrices, strongest first; the squares of those left out are the squared error."""

    shape: tuple[int, ...]
    left: Tensor  # (out, full) float64
    singular: Tensor  # (full,) float64, descending
    right: Tensor  # (full, in * kernel) float64


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 2:
        return "This tensor has a single dimension, and a rank needs a matrix."
    if layer.groups > 1:
        return f"This convolution works in {layer.groups} groups that share no inputs, so its weight is not one matrix."
    return None


def prepare(weight: Tensor, layer: Layer) -> Spectrum:
    matrix = weight.reshape(len(weight), -1).double()
    return Spectrum(tuple(weight.shape), *(_by_gram(matrix) if min(matrix.shape) > _LARGE else _directly(matrix)))


def answer(spectrum: Spectrum, rank: float) -> Encoded:
    r = max(1, round(rank * len(spectrum.singular)))
    root = spectrum.singular[:r].sqrt()
    left, right = spectrum.left[:, :r] * root, root[:, None] * spectrum.right[:r]
    return Factored(spectrum.shape, Dense(left.float()), Dense(right.float()))


def _directly(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    left, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    return left, singular, right


def _by_gram(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same from the eigenvectors of matrix @ matrix.T, several times quicker.

    Squaring loses what is below 1e-8 of the largest singular value, less than float32 weights hold: it is set to zero.
    """
    if len(matrix) > matrix.shape[1]:
        right, singular, left = _by_gram(matrix.T)
        return left.T, singular, right.T
    values, vectors = torch.linalg.eigh(matrix @ matrix.T)
    left, singular = vectors.flip(1), values.flip(0).clamp(min=0).sqrt()
    singular = torch.where(singular > 1e-7 * singular[0], singular, 0)
    right = (left.T @ matrix) / torch.where(singular > 0, singular, torch.inf)[:, None]
    return left, singular, right


METHOD = Method(
    title="Truncated SVD",
    summary="Keep only the strongest directions of a weight matrix, and store it as two thin ones.",
    reference="Eckart and Young 1936; Denton et al. 2014, Exploiting Linear Structure, arXiv:1404.0736",
    survey="4",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.5, "Share of the full rank that is kept.",
             "rise", off=1.0),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(
        ("rank", "The number of independent directions in a matrix."),
        ("singular value", "How strongly a matrix acts along one of its directions."),
    ),
    fails=Failure(
        "As one matrix this convolution needs many directions, though it mixes few of its channels: a mix before and one after it see that.",
        "resnet-20", "stage3.1.conv2", (("rank", 0.1),), instead=("lowrank.tucker2", (("rank", 0.2),))),
)
