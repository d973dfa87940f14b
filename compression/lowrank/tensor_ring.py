"""Store a weight as a ring of small cores, in which the last is joined to the first."""

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.svd import refuses
from compression.lowrank.trains import Modes, cut, fold, full_ranks, join, modes, share, train, unfold
from compression.method import Failure, Knob, Layer, Method

RANKS = (0.02, 0.05, *(i / 10 for i in range(1, 11)))
CORES = (3, 4)


@dataclass(frozen=True, eq=False)
class Ring(Encoded):
    """W[i, j] = trace(G1[i1, j1] G2[i2, j2] ...), with the digits of i and j as in a tensor train."""

    shape: tuple[int, ...]
    kernel: int
    out: tuple[int, ...]
    into: tuple[int, ...]
    left: Encoded  # the first core, (ring rank, size, rank)
    core: Encoded  # those between, joined: (rank, sizes..., rank)
    right: Encoded  # the last, (rank, size, ring rank)

    def decode(self) -> Tensor:
        tail = torch.tensordot(self.core.decode(), self.right.decode(), dims=1).flatten(1, -2)  # (rank, all but first, ring rank)
        whole = torch.tensordot(self.left.decode(), tail, dims=([2, 0], [0, 2]))  # (first, all but first)
        return unfold(whole, Modes(self.kernel, self.out, self.into), self.shape)


class Rings(NamedTuple):
    """For each number of cores how the weight is read, and for each rung the cores and the squared error."""

    shape: tuple[int, ...]
    how: dict[int, Modes]
    cores: dict[int, dict[float, list[Tensor]]]
    errors: dict[int, dict[float, float]]


def prepare(weight: Tensor, layer: Layer) -> Rings:
    how = {count: modes(tuple(weight.shape), count) for count in CORES}
    cores: dict[int, dict[float, list[Tensor]]] = {count: {} for count in CORES}
    errors: dict[int, dict[float, float]] = {count: {} for count in CORES}
    for count in CORES:
        tensor = fold(weight.double(), how[count])
        for rung in RANKS:
            found, errors[count][rung] = ring(tensor, rung)
            cores[count][rung] = [core.float().contiguous() for core in found]
    return Rings(tuple(weight.shape), how, cores, errors)


def ring(tensor: Tensor, rank: float) -> tuple[list[Tensor], float]:
    """Cores (rank, size, rank) of a ring, and its squared error (TR-SVD, Zhao et al. 2016, algorithm 1).

    The rank of the first cut is shared between its two ends, in equal parts; what does not fill a square is lost.
    """
    first, *others = tensor.shape
    end = max(1, isqrt(share((min(first, tensor.numel() // first),), rank)[0]))
    left, rest, lost = cut(tensor.reshape(first, -1), end * end)
    end = isqrt(left.shape[1])
    rest = rest[: end * end].reshape(end, end, -1).permute(1, 2, 0)  # (rank, sizes after the first, ring rank)
    line = rest.reshape(end * others[0], *others[1:-1], others[-1] * end)
    cores, error = train(line, share(full_ranks(tuple(line.shape)), rank))
    cores[0] = cores[0].reshape(end, others[0], -1)
    cores[-1] = cores[-1].reshape(-1, others[-1], end)
    return [left[:, : end * end].reshape(first, end, end).transpose(0, 1), *cores], lost + error


def answer(rings: Rings, rank: float, cores: int) -> Encoded:
    first, *between, last = rings.cores[cores][rank]
    return Ring(rings.shape, *rings.how[cores], Dense(first), join(between), Dense(last))


METHOD = Method(
    title="Tensor ring",
    summary="A tensor train whose last core is joined to its first, so that no end has a rank of one.",
    reference="Zhao et al. 2016, Tensor Ring Decomposition, arXiv:1606.05535; Wang et al. 2018, Wide Compression, arXiv:1802.09052",
    survey="4.1",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.4, "Ranks between the cores, as a share of the largest of use.", "rise", off=1.0),
        Knob("cores", "Cores", CORES, 3, "How many digits a row or column number has: one core for each."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("ring rank", "How many numbers pass from the last core of a tensor ring back to the first."),),
    fails=Failure(
        "Reading rows and columns digit by digit puts together units that have nothing in common, so even nine tenths of the ranks lose more.",
        "lenet-300-100", "fc2", (("rank", 0.9), ("cores", 3)), instead=("lowrank.svd", (("rank", 0.75),))),
)
