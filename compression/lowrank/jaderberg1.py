"""Give every input channel a few separable filters, and make each output a mix of their answers."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.separable import Outer, rank_one, refuses
from compression.lowrank.stages import Stage
from compression.method import Failure, Knob, Layer, Method, Piecewise

_SWEEPS = 20
_RIDGE = 1e-6  # of the largest diagonal entry: keeps the terms from growing against one another


@dataclass(frozen=True, eq=False)
class Basis(Encoded):
    """Separable filters of each input channel (in * filters, height, width), and the mix that makes each output of their answers."""

    shape: tuple[int, ...]
    out: Encoded  # (out, in * filters)
    core: Encoded  # Outer: (in * filters, height, width)

    def decode(self) -> Tensor:
        out, into, height, width = self.shape
        filters = self.core.decode().reshape(into, -1, height * width)  # (in, filters, height * width)
        mix = self.out.decode().reshape(out, into, -1).transpose(0, 1)  # (in, out, filters)
        return (mix @ filters).transpose(0, 1).reshape(self.shape)

    def stages(self) -> tuple[Stage, ...]:
        columns, rows, mix = self.core.left.decode(), self.core.right.decode(), self.out.decode()
        into = self.shape[1]
        return (Stage("columns", columns[:, None, :, None], (0,), into), Stage("rows", rows[:, None, None, :], (1,), len(rows)),
                Stage("out", mix[:, :, None, None]))


class Bases(NamedTuple):
    """For each number of filters per input channel: how to mix them, their columns, their rows, and the squared error."""

    shape: tuple[int, ...]
    fits: dict[int, tuple[Tensor, Tensor, Tensor]]  # (in, out, m), (in, m, height), (in, m, width)
    errors: dict[int, float]  # filters per input channel -> squared error


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Bases]:
    """For each input channel a CP decomposition of its (out, height, width) slice by alternating least squares, all channels together.

    One filter is added at a time, the best for what is left, so the error cannot rise with their number.
    """
    _, into, height, width = weight.shape
    slices = weight.double().transpose(0, 1)  # (in, out, height, width)
    most = height * width
    columns, rows = slices.new_zeros(into, 0, height), slices.new_zeros(into, 0, width)
    left_over, fits, errors = slices, {}, {}
    for m in range(1, most + 1):
        yield ((m - 1) / most) ** 2  # each takes longer than the one before
        if m == most:  # one filter for each place of the kernel: nothing is lost
            columns = torch.eye(height).double().repeat_interleave(width, 0).expand(into, -1, -1)
            rows = torch.eye(width).double().repeat(height, 1).expand(into, -1, -1)
            mix = slices.flatten(2)
        else:
            strongest = torch.linalg.svd(left_over.flatten(2), full_matrices=False)[2][:, 0]
            column, row = rank_one(strongest.reshape(into, height, width))
            columns, rows = torch.cat([columns, column[:, None]], 1), torch.cat([rows, row[:, None]], 1)
            mix, columns, rows = _sweep(slices, columns, rows)
        left_over = slices - torch.einsum("iom,imy,imx->ioyx", mix, columns, rows)
        fits[m], errors[m] = tuple(part.float() for part in (mix, columns, rows)), float(left_over.square().sum())
    return Bases(tuple(weight.shape), fits, errors)


def answer(bases: Bases, rank: float) -> Encoded:
    mix, columns, rows = bases.fits[filters(bases.shape, rank)]
    out_mix = mix.transpose(0, 1).flatten(1).contiguous()  # (out, in * m)
    return Basis(bases.shape, Dense(out_mix), Outer(Dense(columns.flatten(0, 1)), Dense(rows.flatten(0, 1))))


def filters(shape: tuple[int, ...], rank: float) -> int:
    """How many filters each input channel gets.

    >>> filters((64, 32, 3, 3), 0.3)
    3
    """
    return max(1, round(rank * shape[2] * shape[3]))


def _sweep(slices: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each of mix, columns and rows in turn as least squares with the other two held (Kolda and Bader 2009, section 3.4)."""
    for _ in range(_SWEEPS):
        columns, rows = (part / part.norm(dim=2, keepdim=True).clamp(min=1e-30) for part in (columns, rows))
        mix = _solve(columns, rows, torch.einsum("ioyx,imy,imx->iom", slices, columns, rows))
        seen = torch.einsum("ioyx,iom->imyx", slices, mix)
        columns = _solve(mix.transpose(1, 2), rows, torch.einsum("imyx,imx->iym", seen, rows)).transpose(1, 2)
        rows = _solve(mix.transpose(1, 2), columns, torch.einsum("imyx,imy->ixm", seen, columns)).transpose(1, 2)
    return _solve(columns, rows, torch.einsum("ioyx,imy,imx->iom", slices, columns, rows)), columns, rows


def _solve(one: Tensor, other: Tensor, wanted: Tensor) -> Tensor:
    """wanted (in, n, m) times the inverse of the terms' products with each other; one, other: (in, m, any)."""
    gram = (one @ one.transpose(1, 2)) * (other @ other.transpose(1, 2))  # (in, m, m)
    ridge = _RIDGE * gram.diagonal(dim1=1, dim2=2).amax(1).clamp(min=1e-30)
    gram = gram + ridge[:, None, None] * torch.eye(gram.shape[1]).double()
    return torch.cholesky_solve(wanted.transpose(1, 2), torch.linalg.cholesky(gram)).transpose(1, 2)


METHOD = Method(
    title="Separable basis (Jaderberg's scheme 1)",
    summary="Run a few separable filters over each input channel, and make every output a mix of their answers.",
    reference="Jaderberg et al. 2014, Speeding up CNNs with Low Rank Expansions, arXiv:1405.3866; Rigamonti et al. 2013",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.3,
             "Filters for each input channel, as a share of the places in a kernel, with which nothing is lost.", "rise", off=1.0),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("basis filter", "One of a few filters of which all others are mixes."),),
    fails=Failure(
        "Two filters for each input channel, and 50 outputs that want kernels of their own from them.",
        "lenet-5", "conv2", (("rank", 0.1),), instead=("sharing.kmeans", (("bits", 3),))),
)
