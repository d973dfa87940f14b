"""Forget weights by the block: rectangles, columns, or whole kernels."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method
from compression.places import Sparse, cheapest_places

SHAPES = {"1x4": (1, 4), "4x1": (4, 1), "4x4": (4, 4), "8x8": (8, 8), "16x16": (16, 16)}


@dataclass(frozen=True, eq=False)
class InBlocks(Encoded):
    """Which places are kept where they are kept by the block. Blocks at the end of a row or column may be smaller."""

    rows: int
    columns: int
    block: tuple[int, int]
    kept: Encoded  # Bitmap or Gaps over blocks, row by row

    def decode(self) -> Tensor:
        """Places kept, (kept count,) int64 ascending."""
        grid = torch.zeros(-(-self.rows // self.block[0]) * -(-self.columns // self.block[1]), dtype=torch.bool)
        grid[self.kept.decode()] = True
        return _spread(grid, self.rows, self.columns, self.block).flatten().nonzero().flatten()


class Ranked(NamedTuple):
    """A weight, and for every kind of block its size, the mean magnitude of each, and the blocks from the smallest mean up."""

    weight: Tensor
    block: dict[str, tuple[int, int]]
    mean: dict[str, Tensor]  # (blocks,)
    order: dict[str, Tensor]  # (blocks,)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if weight.ndim < 2:
        return "This tensor has a single dimension, and blocks are parts of a matrix."
    return None


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    matrix = weight.flatten(1).abs()
    block = SHAPES | {"column": (len(matrix), 1), "kernel": (1, weight[0, 0].numel())}
    mean = {name: _sums(matrix, size) / _sums(torch.ones_like(matrix), size) for name, size in block.items()}
    return Ranked(weight, block, mean, {name: m.argsort(stable=True) for name, m in mean.items()})


def answer(ranked: Ranked, sparsity: float, block: str) -> Encoded:
    weight, size, order = ranked.weight, ranked.block[block], ranked.order[block]
    kept = torch.ones(len(order), dtype=torch.bool)
    kept[order[: round(sparsity * len(order))]] = False
    if kept.all():
        return Dense(weight)
    rows, columns = len(weight), weight[0].numel()
    places = InBlocks(rows, columns, size, cheapest_places(kept))
    return Sparse(tuple(weight.shape), places, Dense(weight.flatten()[_spread(kept, rows, columns, size).flatten()]))


def _sums(matrix: Tensor, block: tuple[int, int]) -> Tensor:
    """The sum of each block, row by row: (blocks,)."""
    down, across = -len(matrix) % block[0], -matrix.shape[1] % block[1]
    whole = torch.nn.functional.pad(matrix, (0, across, 0, down))
    return whole.reshape(len(whole) // block[0], block[0], -1, block[1]).sum((1, 3)).flatten()


def _spread(grid: Tensor, rows: int, columns: int, block: tuple[int, int]) -> Tensor:
    """One entry for each block -> one for each weight, (rows, columns)."""
    grid = grid.reshape(-(-rows // block[0]), -(-columns // block[1]))
    return grid.repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)[:, :columns]


METHOD = Method(
    title="Block pruning",
    summary="Forget weights by rectangles, columns or kernels, smallest mean magnitude first: few places to store, and quick to skip.",
    reference="Narang et al. 2017, Block-Sparse Recurrent Neural Networks, arXiv:1711.02782; Mao et al. 2017, arXiv:1705.08922",
    survey="3.4",
    knobs=(
        Knob("sparsity", "Sparsity", tuple(i / 20 for i in range(20)), 0.5, "Share of blocks set to zero.", "fall", off=0.0),
        Knob("block", "Block", (*SHAPES, "column", "kernel"), "4x4",
             "Outputs times inputs; a column is one input of all outputs, a kernel all places of one input to one output."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("structured sparsity", "Zeros that come in pieces that a machine can leave out, in place of one here and one there."),),
    fails=Failure(
        "Large weights sit in blocks of small ones and go with them, and there is more room than the places save.",
        "lenet-5", "fc1", (("sparsity", 0.75),), ("pruning.magnitude", (("sparsity", 0.8),))),
)
