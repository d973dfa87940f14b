"""What tensor trains and rings share: a weight read as a tensor of a few modes, and cores joined one to the next."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded


class Modes(NamedTuple):
    """How a weight (out, in, *kernel) is read as a tensor: factors of out and of in, in pairs, and the whole kernel first."""

    kernel: int  # 1 for a matrix
    out: tuple[int, ...]
    into: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Length of each mode of the tensor. The kernel goes with the first pair."""
        first, *rest = (m * n for m, n in zip(self.out, self.into))
        return first * self.kernel, *rest


def modes(shape: tuple[int, ...], count: int) -> Modes:
    """The prime factors of out and in spread over so many pairs whose products are as even as can be.

    >>> modes((500, 800), 3).sizes
    (80, 75, 64)
    >>> modes((64, 64, 3, 3), 3)
    Modes(kernel=9, out=(1, 8, 8), into=(4, 4, 4))
    """
    kernel = torch.Size(shape[2:]).numel()
    pairs = [[1, 1] for _ in range(count)]
    primes = [(p, side) for side, n in enumerate(shape[:2]) for p in _primes(n)]
    for p, side in sorted(primes, reverse=True):
        least = min(range(count), key=lambda i: pairs[i][0] * pairs[i][1] * (kernel if i == 0 else 1))
        pairs[least][side] *= p
    return Modes(kernel, tuple(m for m, _ in pairs), tuple(n for _, n in pairs))


def fold(weight: Tensor, how: Modes) -> Tensor:
    """The weight as a tensor (m1 n1 kernel, m2 n2, ...) whose mode k runs over the k-th factor of out and of in."""
    count = len(how.out)
    parts = weight.reshape(*how.out, *how.into, how.kernel)
    order = [0, count, 2 * count, *(i for k in range(1, count) for i in (k, count + k))]
    return parts.permute(order).reshape(how.sizes)


def unfold(tensor: Tensor, how: Modes, shape: tuple[int, ...]) -> Tensor:
    """The inverse of fold."""
    count = len(how.out)
    lengths = [how.out[0], how.into[0], how.kernel, *(n for pair in zip(how.out[1:], how.into[1:]) for n in pair)]
    place = [0, *(2 * k + 1 for k in range(1, count))]  # where the factors of out stand; those of in follow them
    order = [*place, *(p + 1 for p in place), 2]
    return tensor.reshape(lengths).permute(order).reshape(shape)


def _primes(n: int) -> list[int]:
    found, p = [], 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


@dataclass(frozen=True, eq=False)
class Joined(Encoded):
    """Two tensors summed over the last mode of the one and the first of the other: a train is cores joined one by one."""

    left: Encoded  # (..., rank)
    right: Encoded  # (rank, ...)

    def decode(self) -> Tensor:
        return torch.tensordot(self.left.decode(), self.right.decode(), dims=1)


def join(cores: list[Tensor] | tuple[Tensor, ...]) -> Encoded:
    """Cores (rank before, size, rank after), of which the first and the last may lack a rank."""
    first, *rest = cores
    return Joined(Dense(first), join(rest)) if rest else Dense(first)


def cut(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """The nearest product of a matrix with orthonormal columns (m, rank) and one of (rank, n), and the squared error it leaves.

    By the eigenvectors of the smaller of the two products of the matrix with itself. The rank returned is at most the matrix's.
    """
    tall = len(matrix) > matrix.shape[1]
    values, vectors = torch.linalg.eigh(matrix.T @ matrix if tall else matrix @ matrix.T)  # rising
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)[:, :rank]
    lost = float(values[rank:].sum())
    if not tall:
        return vectors, vectors.T @ matrix, lost
    left, remainder = torch.linalg.qr(matrix @ vectors)  # columns of no length get any direction that is free
    return left, remainder @ vectors.T, lost


def train(tensor: Tensor, ranks: tuple[int, ...]) -> tuple[list[Tensor], float]:
    """Cores of the tensor train with these ranks at most, and its squared error (TT-SVD, Oseledets 2011, algorithm 1).

    Cores are (size, rank), (rank, size, rank), ..., (rank, size); all but the last have orthonormal columns.
    """
    sizes, cores, error = tensor.shape, [], 0.0
    rest = tensor.reshape(sizes[0], -1)
    for k, rank in enumerate(ranks):
        left, rest, lost = cut(rest.reshape(-1, torch.Size(sizes[k + 1 :]).numel()), rank)
        cores.append(left if k == 0 else left.reshape(-1, sizes[k], left.shape[1]))
        error += lost
    return [*cores, rest], error


def full_ranks(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The most that each rank of a train can be of use.

    >>> full_ranks((80, 75, 64))
    (80, 64)
    """
    ends = (torch.Size(sizes[:k]).numel() for k in range(1, len(sizes)))
    count = torch.Size(sizes).numel()
    return tuple(min(n, count // n) for n in ends)


def share(full: tuple[int, ...], rank: float) -> tuple[int, ...]:
    """That share of each rank, at least 1."""
    return tuple(max(1, round(rank * r)) for r in full)
