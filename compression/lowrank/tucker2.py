"""Replace a convolution by a smaller one between two mixes of channels."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded, Tucker2
from compression.method import Failure, Knob, Layer, Method


class Modes(NamedTuple):
    """A convolution's weight seen from its strongest mixes of output and of input channels.

    energy[i, j] is the squared norm of the core's first i + 1 output and j + 1 input mixes; the rest is squared error.
    """

    shape: tuple[int, ...]
    out: Tensor  # (out, out) float64, columns from strong to weak
    core: Tensor  # (out, in, *kernel) float64
    into: Tensor  # (in, in) float64, columns from strong to weak
    energy: Tensor  # (out, in) float64


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 3:
        return "Tucker-2 is for convolutions, and this weight has no kernel."
    if layer.groups > 1:
        return f"This convolution works in {layer.groups} groups, so its input channels cannot be mixed before it."
    return None


def prepare(weight: Tensor, layer: Layer) -> Modes:
    """Higher-order SVD of the two channel modes (Kim et al. 2016, section 3.1; De Lathauwer et al. 2000)."""
    wide = weight.double()
    out, into = _basis(wide), _basis(wide.transpose(0, 1))
    core = torch.tensordot(out.T, wide, dims=1)  # (r_out, in, *kernel)
    core = torch.tensordot(into.T, core, dims=([1], [1])).transpose(0, 1)  # (r_out, r_in, *kernel)
    energy = core.flatten(2).square().sum(2).cumsum(0).cumsum(1)
    return Modes(tuple(weight.shape), out, core, into, energy)


def answer(modes: Modes, rank: float) -> Encoded:
    r_out, r_in = ranks(modes.shape, rank)
    parts = modes.out[:, :r_out], modes.core[:r_out, :r_in], modes.into[:, :r_in]
    return Tucker2(modes.shape, *(Dense(part.float().contiguous()) for part in parts))


def ranks(shape: tuple[int, ...], rank: float) -> tuple[int, int]:
    """How many mixes of output and of input channels a share of each makes.

    >>> ranks((64, 32, 3, 3), 0.25)
    (16, 8)
    """
    return max(1, round(rank * shape[0])), max(1, round(rank * shape[1]))


def _basis(weight: Tensor) -> Tensor:
    """The directions of the first mode, (n, n), from strong to weak."""
    rows = weight.flatten(1)
    return torch.linalg.eigh(rows @ rows.T).eigenvectors.flip(1)


METHOD = Method(
    title="Tucker-2",
    summary="Mix the input channels into fewer, run a smaller convolution on those, and mix its outputs back.",
    reference="Kim et al. 2016, Compression of Deep CNNs for Fast and Low Power Mobile Applications, arXiv:1511.06530",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.5,
             "Share of the output and of the input channels that is kept.", "rise", off=1.0),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(
        ("core", "The small tensor in the middle of a Tucker decomposition."),
        ("mode", "One of the directions in which a tensor can be read, such as its output channels."),
    ),
    fails=Failure(
        "With 20 channels in and 50 out none can be spared: what is left out is lost, while a few bits for each weight keep them all.",
        "lenet-5", "conv2", (("rank", 0.3),), instead=("sharing.kmeans", (("bits", 3),))),
)
