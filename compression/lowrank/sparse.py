"""Write a weight as a matrix of low rank, and the few weights that it misses most."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression import places
from compression.encoded import Dense, Encoded, Factored
from compression.lowrank.svd import refuses
from compression.method import Failure, Knob, Layer, Method, Piecewise

RANKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
DENSITIES = (0.01, 0.03, 0.1)
_TURNS = 4


@dataclass(frozen=True, eq=False)
class Summed(Encoded):
    """Two stored tensors, added."""

    low: Encoded
    rest: Encoded

    def decode(self) -> Tensor:
        return self.low.decode() + self.rest.decode()


class Fit(NamedTuple):
    """One rung: two factors, and the places and values of the weights they miss most."""

    left: Tensor  # (out, rank)
    right: Tensor  # (rank, in * kernel)
    places: Tensor  # (kept,) int32
    values: Tensor  # (kept,)
    errors: tuple[float, ...]  # squared, after each turn


class Fits(NamedTuple):
    """What each rung found."""

    shape: tuple[int, ...]
    by: dict[tuple[float, float], Fit]  # (rank, density)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Fits]:
    """Every rung, as each is a search of its own."""
    matrix = weight.reshape(len(weight), -1)
    plain, fits, rungs = Start.of(matrix, 0), {}, [rank for rank in RANKS if rank < 1]
    for density in DENSITIES:
        without = Start.of(matrix, counts(matrix, 0, density)[1])
        for rank in rungs:
            yield len(fits) / (len(DENSITIES) * len(rungs))
            fits[rank, density] = fit(matrix, *counts(matrix, rank, density), (plain, without))
    return Fits(tuple(weight.shape), fits)


def answer(fits: Fits, rank: float, density: float) -> Encoded:
    known = fits.by[min(rank, max(r for r, _ in fits.by)), density]
    kept = torch.zeros(torch.Size(fits.shape).numel(), dtype=torch.bool)
    kept[known.places] = True
    values = torch.zeros(len(kept))
    values[known.places] = known.values
    low = Factored(fits.shape, Dense(known.left), Dense(known.right))
    return Summed(low, places.sparse(values.reshape(fits.shape), kept))


def counts(matrix: Tensor, rank: float, density: float) -> tuple[int, int]:
    """The rank, and how many weights are stored one by one."""
    return max(1, round(rank * min(matrix.shape))), max(1, round(density * matrix.numel()))


class Start(NamedTuple):
    """The entries that are stored one by one at first, and the directions of what they leave, from strong to weak."""

    sparse: Tensor  # as the weight
    directions: Tensor  # (in * kernel, full) orthonormal

    @classmethod
    def of(cls, matrix: Tensor, kept: int) -> "Start":
        """From the largest weights; with none of them, the low rank part is the truncated SVD at first."""
        sparse = _only(matrix, _largest(matrix, kept))
        wide = (matrix - sparse).double()
        if len(wide) >= wide.shape[1]:
            return cls(sparse, torch.linalg.eigh(wide.T @ wide).eigenvectors.flip(1).float())
        left = torch.linalg.eigh(wide @ wide.T).eigenvectors.flip(1)
        return cls(sparse, torch.linalg.qr(wide.T @ left).Q.float())


class Turn(NamedTuple):
    """Where the search stands."""

    left: Tensor  # (out, rank) orthonormal
    right: Tensor  # (in * kernel, rank)
    places: Tensor
    sparse: Tensor
    error: float


def fit(matrix: Tensor, rank: int, kept: int, starts: tuple[Start, ...]) -> Fit:
    """L, the nearest of that rank to W − S, and S, the largest entries of W − L, in turn (GoDec, Zhou and Tao 2011).

    From whichever start is better after one turn. L comes from one step of subspace iteration, which starts where the turn
    before ended; neither step can raise the error.
    """
    state = min((_turn(matrix, s.sparse, s.directions[:, :rank], kept) for s in starts), key=lambda t: t.error)
    errors = [state.error]
    for _ in range(_TURNS - 1):
        state = _turn(matrix, state.sparse, torch.linalg.qr(state.right).Q, kept)
        errors.append(state.error)
    root = state.right.norm(dim=0).clamp(min=1e-30).sqrt()
    left, right = (state.left * root).contiguous(), (state.right / root).T.contiguous()
    return Fit(left, right, state.places.int(), state.sparse.flatten()[state.places], tuple(errors))


def _turn(matrix: Tensor, sparse: Tensor, directions: Tensor, kept: int) -> Turn:
    wanted = matrix - sparse
    left = torch.linalg.qr(wanted @ directions).Q
    right = wanted.T @ left  # the best there is for these columns
    missed = matrix - left @ right.T
    places = _largest(missed, kept)
    sparse = _only(missed, places)
    return Turn(left, right, places, sparse, float((missed - sparse).square().sum(dtype=torch.float64)))


def _largest(matrix: Tensor, count: int) -> Tensor:
    """Places of the entries of largest magnitude, ascending."""
    return matrix.abs().flatten().topk(count).indices.sort().values


def _only(matrix: Tensor, places: Tensor) -> Tensor:
    kept = torch.zeros_like(matrix)
    kept.view(-1)[places] = matrix.flatten()[places]
    return kept


METHOD = Method(
    title="Low rank and sparse",
    summary="Store a matrix of low rank, and one by one the few weights that it misses most.",
    reference="Zhou and Tao 2011, GoDec; Yu et al. 2017, On Compressing Deep Models by Low Rank and Sparse Decomposition, CVPR",
    survey="4.1",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.2, "Share of the full rank that is kept.", "rise", off=1.0),
        Knob("density", "Stored one by one", DENSITIES, 0.03, "Share of the weights that are stored besides, each with its place.", "rise"),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("residual", "What a simpler description leaves over: the weight less what it says."),),
    fails=Failure(
        "A tenth of the weights with a place and 32 bits each cost more than three bits for every weight, and one direction adds little.",
        "lenet-5", "conv2", (("rank", 0.02), ("density", 0.1)), instead=("sharing.kmeans", (("bits", 3),))),
)
