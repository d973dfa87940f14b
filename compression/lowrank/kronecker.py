"""Write a weight as a sum of Kronecker products: a small pattern repeated on a small grid."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.svd import _LARGE, _by_gram, _directly, refuses
from compression.method import Failure, Knob, Layer, Method

BLOCKS = ("small", "even", "large")


@dataclass(frozen=True, eq=False)
class Kronecker(Encoded):
    """The sum over terms of A ⊗ B: grids (terms, m1, n1) and blocks (terms, m2, n2), n2 with the whole kernel."""

    shape: tuple[int, ...]
    left: Encoded
    right: Encoded

    def decode(self) -> Tensor:
        left, right = self.left.decode(), self.right.decode()
        sides = torch.tensordot(left.flatten(1), right.flatten(1), dims=([0], [0]))  # (m1 n1, m2 n2)
        (m1, n1), (m2, n2) = left.shape[1:], right.shape[1:]
        return sides.reshape(m1, n1, m2, n2).transpose(1, 2).reshape(self.shape)


class Split(NamedTuple):
    """The weight with each block as a row, and its SVD: the squares of singular values left out are the squared error."""

    grid: tuple[int, int]
    block: tuple[int, int]
    left: Tensor  # (m1 n1, full) float64
    singular: Tensor  # (full,) float64, descending
    right: Tensor  # (full, m2 n2) float64


class Splits(NamedTuple):
    """The weight split for each size of block."""

    shape: tuple[int, ...]
    by: dict[str, Split]


def prepare(weight: Tensor, layer: Layer) -> Splits:
    """The best sum for every number of terms at once: the SVD of the rearranged weight (Van Loan and Pitsianis 1993)."""
    matrix = weight.double().reshape(len(weight), -1)
    return Splits(tuple(weight.shape), {size: _split(matrix, blocks(tuple(weight.shape), size)) for size in BLOCKS})


def answer(splits: Splits, rank: float, block: str) -> Encoded:
    known = splits.by[block]
    terms = max(1, round(rank * len(known.singular)))
    root = known.singular[:terms].sqrt()[:, None]
    left, right = root * known.left[:, :terms].T, root * known.right[:terms]
    return Kronecker(splits.shape, Dense(left.float().reshape(-1, *known.grid)), Dense(right.float().reshape(-1, *known.block)))


def blocks(shape: tuple[int, ...], size: str) -> tuple[int, int]:
    """(m2, n2): rows and columns of a block, near to a quarter, a half or three quarters of the digits of out and of in.

    A convolution's block holds whole kernels: it is itself a small convolution.

    >>> blocks((500, 800), "even"), blocks((64, 64, 3, 3), "small")
    ((20, 25), (2, 18))
    """
    power = {"small": 1, "even": 2, "large": 3}[size] / 4
    kernel = torch.Size(shape[2:]).numel()
    m2, n2 = (min(_divisors(n), key=lambda d: abs(d / n**power - 1) + abs(n**power / d - 1)) for n in shape[:2])
    return m2, n2 * kernel


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def _split(matrix: Tensor, block: tuple[int, int]) -> Split:
    (m2, n2), (m1, n1) = block, (matrix.shape[0] // block[0], matrix.shape[1] // block[1])
    rows = matrix.reshape(m1, m2, n1, n2).transpose(1, 2).reshape(m1 * n1, m2 * n2)
    return Split((m1, n1), block, *(_by_gram(rows) if min(rows.shape) > _LARGE else _directly(rows)))


METHOD = Method(
    title="Kronecker products",
    summary="Write a weight as a few grids of numbers, each telling how strongly its own block is repeated at each place.",
    reference="Van Loan and Pitsianis 1993; Zhou et al. 2015, arXiv:1507.05775; Thakker et al. 2019, arXiv:1906.02876",
    survey="4.1",
    knobs=(
        Knob("rank", "Rank", (0.02, *(i / 20 for i in range(1, 21))), 0.3,
             "Number of terms, as a share of those with which nothing is lost.", "rise", off=1.0),
        Knob("block", "Blocks", BLOCKS, "even", "Whether the block, or the grid it is repeated on, is the larger of the two."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("Kronecker product", "A grid of numbers with each replaced by that multiple of one block."),),
    fails=Failure(
        "Large blocks repeated on a small grid: the weights of this layer do not repeat, so even two fifths of all terms miss much.",
        "resnet-20", "stage3.1.conv2", (("rank", 0.4), ("block", "large")), instead=("lowrank.jaderberg2", (("rank", 0.25),))),
)
