"""Write a weight as a matrix of low rank, and the few weights that it misses most."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression import encoded
from compression.encoded import Dense, Encoded, Factored
from compression.lowrank.svd import refuses
from compression.method import Knob, Layer, Method

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
    shape: tuple[int, ...]
    by: dict[tuple[float, float], Fit]  # (rank, density)


def prepare(weight: Tensor, layer: Layer) -> Fits:
    """Every rung, as each is a search of its own: the two parts in turn, from the largest weights left out."""
    matrix = weight.reshape(len(weight), -1)
    rungs = {(rank, density): fit(matrix, *counts(matrix, rank, density)) for rank in RANKS if rank < 1 for density in DENSITIES}
    return Fits(tuple(weight.shape), rungs)


def answer(fits: Fits, rank: float, density: float) -> Encoded:
    known = fits.by[min(rank, max(r for r, _ in fits.by)), density]
    kept = torch.zeros(torch.Size(fits.shape).numel(), dtype=torch.bool)
    kept[known.places] = True
    values = torch.zeros(len(kept))
    values[known.places] = known.values
    low = Factored(fits.shape, Dense(known.left), Dense(known.right))
    return Summed(low, encoded.sparse(values.reshape(fits.shape), kept))


def counts(matrix: Tensor, rank: float, density: float) -> tuple[int, int]:
    """The rank, and how many weights are stored one by one."""
    return max(1, round(rank * min(matrix.shape))), max(1, round(density * matrix.numel()))


def fit(matrix: Tensor, rank: int, kept: int) -> Fit:
    """L, the nearest of that rank to W − S, and S, the largest entries of W − L, in turn (GoDec, Zhou and Tao 2011).

    L comes from one step of subspace iteration, which starts where the turn before ended; neither step can raise the error.
    """
    largest = _largest(matrix, kept)
    sparse = _only(matrix, largest)
    right = _directions(matrix - sparse, rank)  # (in * kernel, rank) orthonormal
    errors = []
    for _ in range(_TURNS):
        wanted = matrix - sparse
        left = torch.linalg.qr(wanted @ right).Q
        right = wanted.T @ left  # the best there is for these columns
        low = left @ right.T
        largest = _largest(matrix - low, kept)
        sparse = _only(matrix - low, largest)
        errors.append(float((matrix - low - sparse).square().sum(dtype=torch.float64)))
        basis = torch.linalg.qr(right)
        factors, right = (left, right.T), basis.Q
    left, across = factors
    root = across.norm(dim=1).clamp(min=1e-30).sqrt()
    return Fit((left * root).contiguous(), (across / root[:, None]).contiguous(), largest.int(), sparse.flatten()[largest], tuple(errors))


def _directions(matrix: Tensor, rank: int) -> Tensor:
    """The strongest directions of the rows, orthonormal (n, rank)."""
    wide = matrix.double()
    if len(wide) < wide.shape[1]:
        return torch.linalg.qr(wide.T @ torch.linalg.eigh(wide @ wide.T).eigenvectors.flip(1)[:, :rank]).Q.float()
    return torch.linalg.eigh(wide.T @ wide).eigenvectors.flip(1)[:, :rank].float()


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
)
