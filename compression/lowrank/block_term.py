"""Write a weight as a sum of a few small Tucker decompositions side by side."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.stages import Stage
from compression.lowrank.svd import refuses
from compression.lowrank.trains import Modes, fold, modes, unfold
from compression.method import Failure, Knob, Layer, Method, Piecewise

RANKS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
BLOCKS = (2, 4)
_TURNS = 6


@dataclass(frozen=True, eq=False)
class BlockTerm(Encoded):
    """For each block a mix of outputs, a core, and a mix of inputs.

    Of a convolution the modes are its outputs, inputs and kernel, and the blocks run as one grouped convolution between two
    mixes. A matrix is read as a tensor of three modes first, as a tensor train does.
    """

    shape: tuple[int, ...]
    digits: tuple[tuple[int, ...], ...]  # factors of out and of in where the weight is a matrix, else ()
    out: Encoded  # (blocks, first mode, r)
    core: Encoded  # (blocks, r, s, third mode)
    into: Encoded  # (blocks, second mode, s)

    def decode(self) -> Tensor:
        tensor = combined(self.out.decode(), self.core.decode(), self.into.decode())
        return unfold(tensor, Modes(1, *map(tuple, self.digits)), self.shape) if self.digits else tensor.reshape(self.shape)

    def stages(self) -> tuple[Stage, ...]:
        if self.digits:
            return ()
        out, core, into = self.out.decode(), self.core.decode(), self.into.decode()
        kernel = self.shape[2:]
        ones = [1] * len(kernel)
        mix, spread = into.transpose(1, 2).flatten(0, 1), out.transpose(0, 1).flatten(1)  # (blocks * s, in), (out, blocks * r)
        return (Stage("into", mix.reshape(*mix.shape, *ones)),
                Stage("core", core.reshape(-1, core.shape[2], *kernel), tuple(range(len(kernel))), len(core)),
                Stage("out", spread.reshape(*spread.shape, *ones)))


def combined(out: Tensor, core: Tensor, into: Tensor) -> Tensor:
    """The sum of the blocks: (first mode, second mode, third mode)."""
    cores = (core.transpose(2, 3).flatten(1, 2) @ into.transpose(1, 2)).unflatten(1, (core.shape[1], -1))  # (blocks, r, third, second)
    tall = out.transpose(0, 1).flatten(1) @ cores.flatten(0, 1).flatten(1)  # (first, third * second)
    return tall.reshape(out.shape[1], core.shape[3], into.shape[1]).transpose(1, 2)


class Blocks(NamedTuple):
    """For each rung and number of blocks the factors, and the squared error after each turn."""

    shape: tuple[int, ...]
    digits: tuple[tuple[int, ...], ...]
    fits: dict[tuple[float, int], tuple[Tensor, Tensor, Tensor]]
    errors: dict[tuple[float, int], tuple[float, ...]]


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Blocks]:
    how = modes(tuple(weight.shape), 3) if weight.ndim < 3 else None
    tensor = weight.double().flatten(2) if how is None else fold(weight.double(), how)
    fits, errors = {}, {}
    searches = [(rung, count) for rung in RANKS if rung < 1 for count in BLOCKS]
    for i, (rung, count) in enumerate(searches):
        yield i / len(searches)
        parts, errors[rung, count] = fit(tensor, count, *ranks(tuple(tensor.shape), rung, count))
        fits[rung, count] = tuple(part.float().contiguous() for part in parts)
    return Blocks(tuple(weight.shape), (how.out, how.into) if how else (), fits, errors)


def answer(found: Blocks, rank: float, blocks: int) -> Encoded:
    return BlockTerm(found.shape, found.digits, *map(Dense, found.fits[min(rank, max(r for r, _ in found.fits)), blocks]))


def ranks(sizes: tuple[int, ...], rank: float, blocks: int) -> tuple[int, int]:
    """How many mixes each block has of the first and of the second mode: the share kept, dealt out to the blocks.

    >>> ranks((64, 32, 9), 0.5, 4)
    (8, 4)
    """
    first, second = (max(1, round(rank * n / blocks)) for n in sizes[:2])
    return first, second


def fit(tensor: Tensor, blocks: int, r: int, s: int) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[float, ...]]:
    """Each block in turn as the Tucker-2 decomposition of what the others leave (De Lathauwer and Nion 2008).

    A block is renewed by one sweep of orthogonal iteration from its own mixes, which cannot raise the error.
    """
    outs, intos, cores, left_over, errors = [], [], [], tensor, []
    for turn in range(_TURNS + 1):
        for b in range(blocks):
            if turn:
                left_over = left_over + _block(outs[b], cores[b], intos[b])
                into = intos[b]
            else:
                into = _strongest(left_over.transpose(0, 1).flatten(1), s)
            out = _strongest(torch.tensordot(left_over, into, dims=([1], [0])).flatten(1), r)
            seen = torch.tensordot(out, left_over, dims=([0], [0]))  # (r, second, third)
            into = _strongest(seen.transpose(0, 1).flatten(1), s)
            core = torch.tensordot(seen, into, dims=([1], [0])).transpose(1, 2)  # (r, s, third)
            for parts, part in ((outs, out), (intos, into), (cores, core)):
                parts[b : b + 1] = [part]
            left_over = left_over - _block(out, core, into)
        errors.append(float(left_over.square().sum()))
    return (torch.stack(outs), torch.stack(cores), torch.stack(intos)), tuple(errors)


def _block(out: Tensor, core: Tensor, into: Tensor) -> Tensor:
    return combined(out[None], core[None], into[None])


def _strongest(rows: Tensor, count: int) -> Tensor:
    """The strongest directions of the columns of a matrix (n, any): orthonormal, (n, count)."""
    return torch.linalg.eigh(rows @ rows.T).eigenvectors.flip(1)[:, :count]


METHOD = Method(
    title="Block-term decomposition",
    summary="Write a weight as a sum of small Tucker decompositions: of a convolution, a grouped one between two channel mixes.",
    reference="De Lathauwer 2008; Ye et al. 2018, Learning Compact Recurrent Neural Networks with Block-Term Tensor Decomposition, "
              "arXiv:1712.05134",
    survey="4.2",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.5, "Share of each mode that is kept by all blocks together.", "rise", off=1.0),
        Knob("blocks", "Blocks", BLOCKS, 2, "How many decompositions are added.", "fall"),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("block term", "One of several small Tucker decompositions that are added."),),
    fails=Failure(
        "This matrix has few strong directions and no blocks: read as a tensor it is cut where it has no structure.",
        "lenet-300-100", "fc2", (("rank", 0.75), ("blocks", 2)), instead=("lowrank.svd", (("rank", 0.2),))),
)
