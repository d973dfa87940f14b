"""Write a convolution as a sum of terms, each one mix of inputs, one kernel and one mix of outputs."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.lowrank.separable import Outer, refuses
from compression.lowrank.stages import Stage
from compression.method import Failure, Knob, Layer, Method, Piecewise, mapped

RANKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
_SWEEPS = 30
_RIDGE = 1e-3  # where the diagonal is one: keeps terms from growing against one another, at little error


@dataclass(frozen=True, eq=False)
class CP(Encoded):
    """A mix of the inputs (rank, in), a kernel for each mix (rank, height, width), and a mix of their answers (out, rank)."""

    out: Encoded
    core: Encoded  # Dense, or Outer where the kernels are columns times rows
    into: Encoded

    def decode(self) -> Tensor:
        kernels = self.core.decode()
        terms = self.into.decode()[:, :, None] * kernels.flatten(1)[:, None]  # (rank, in, height * width)
        return torch.tensordot(self.out.decode(), terms, dims=1).unflatten(2, kernels.shape[1:])

    def stages(self) -> tuple[Stage, ...]:
        out, into = self.out.decode(), self.into.decode()
        first, last = Stage("into", into[:, :, None, None]), Stage("out", out[:, :, None, None])
        if not isinstance(self.core, Outer):
            return first, Stage("core", self.core.decode()[:, None], (0, 1), len(into)), last
        columns, rows = self.core.left.decode(), self.core.right.decode()
        return (first, Stage("columns", columns[:, None, :, None], (0,), len(into)),
                Stage("rows", rows[:, None, None, :], (1,), len(into)), last)


class Terms(NamedTuple):
    """One decomposition: factors with a column for each term, and how it went."""

    factors: tuple[Tensor, ...]  # (out, rank), (in, rank), then (height * width, rank) or (height, rank) and (width, rank)
    error: float  # squared
    largest: float  # norm of the largest term beside the weight's: above 1, terms cancel one another (degeneracy)


class Fits(NamedTuple):
    """For kernels of either kind and each number of terms the factors, the squared error, and how far terms grew against one another."""

    shape: tuple[int, ...]
    kernels: dict[str, dict[int, Terms]]  # kind of kernel -> terms -> decomposition
    errors: dict[str, dict[int, float]]  # term -> squared error
    growth: dict[str, dict[int, float]]  # term -> norm of the largest beside the weight's: above 1, terms cancel one another


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Fits]:
    """Alternating least squares for each rung, which starts from the terms of the rung below and new ones at random."""
    wide = weight.double()
    whole, separable = wide.flatten(2), wide
    ladder = dict.fromkeys(terms(tuple(weight.shape), rung) for rung in RANKS if rung < 1)
    as_it_is = yield from mapped(_climb(whole, ladder), lambda share: share / 2)
    apart = yield from mapped(_climb(separable, ladder), lambda share: (1 + share) / 2)
    kernels = {"whole": as_it_is, "separable": apart}
    errors = {kind: {n: each.error for n, each in found.items()} for kind, found in kernels.items()}
    growth = {kind: {n: each.largest for n, each in found.items()} for kind, found in kernels.items()}
    return Fits(tuple(weight.shape), kernels, errors, growth)


def answer(fits: Fits, rank: float, kernel: str) -> Encoded:
    known = fits.kernels[kernel]
    out, into, *core = known[min(terms(fits.shape, rank), max(known))].factors
    if kernel == "separable":
        return CP(Dense(out), Outer(*(Dense(part.T.contiguous()) for part in core)), Dense(into.T.contiguous()))
    return CP(Dense(out), Dense(core[0].T.reshape(-1, *fits.shape[2:])), Dense(into.T.contiguous()))


def terms(shape: tuple[int, ...], rank: float) -> int:
    """How many terms a rung has: that share of those at which they take as many numbers as the weight.

    >>> terms((64, 64, 3, 3), 0.5)
    135
    """
    return max(1, round(rank * torch.Size(shape).numel() / (shape[0] + shape[1] + shape[2] * shape[3])))


def _climb(tensor: Tensor, ladder: dict[int, None]) -> Generator[float, None, dict[int, Terms]]:
    """The decomposition at each number of terms, in rising order. tensor: (out, in, kernel modes...)."""
    source = torch.Generator().manual_seed(0)
    factors = [tensor.new_empty(n, 0) for n in tensor.shape]
    found = {}
    for rank in ladder:
        fresh = [torch.randn(n, rank - factors[0].shape[1], generator=source, dtype=torch.float64) for n in tensor.shape]
        factors = [_unit(torch.cat(pair, 1))[0] for pair in zip(factors, fresh)]
        for sweep in range(_SWEEPS):
            yield (sum(found) + rank * sweep / _SWEEPS) / sum(ladder)  # a sweep takes as long as it has terms
            factors, weights = als(tensor, factors, 1)
        spread = [part.float().contiguous() for part in _spread(factors, weights)]
        size = float(tensor.norm().clamp(min=1e-30))
        found[rank] = Terms(tuple(spread), _error(tensor, factors, weights), float(weights.max()) / size)
    return found


def als(tensor: Tensor, factors: list[Tensor], sweeps: int, ridge: float = _RIDGE) -> tuple[list[Tensor], Tensor]:
    """Each factor in turn as least squares with the others held (Kolda and Bader 2009, figure 3.3): unit columns, and their weights.

    The kernel modes, which are small, are merged wherever they are held: one product with the large tensor serves them all.
    """
    out, into, *kernel = tensor.shape
    by_out = tensor.reshape(out, -1)  # (out, in * kernel)
    by_into = tensor.transpose(0, 1).reshape(into, -1)  # (in, out * kernel)
    by_kernel = tensor.reshape(out, into, -1).permute(2, 0, 1).contiguous()  # (kernel, out, in)
    a, b, *rest = factors
    weights = a.new_ones(a.shape[1])
    for _ in range(sweeps):
        merged = _khatri_rao(rest)
        a, _ = _unit(_solve(by_out @ _khatri_rao([b, merged]), (b, *rest), ridge))
        b, _ = _unit(_solve(by_into @ _khatri_rao([a, merged]), (a, *rest), ridge))
        seen = ((by_kernel @ b) * a).sum(1).reshape(*kernel, -1)  # (*kernel modes, rank), without all products of a and b at once
        for i in range(len(rest)):
            wanted = seen
            for j in reversed(range(len(rest))):
                if j != i:
                    wanted = (wanted.movedim(j, -2) * rest[j]).sum(-2)
            rest[i], weights = _unit(_solve(wanted, (a, b, *rest[:i], *rest[i + 1 :]), ridge))
    return [a, b, *rest], weights


def _khatri_rao(parts: list[Tensor]) -> Tensor:
    """Column by column, all products of the entries of parts (n, rank): (product of n, rank), the last part varying fastest."""
    result = parts[0]
    for part in parts[1:]:
        result = (result[:, None] * part).flatten(0, 1)
    return result


def _solve(wanted: Tensor, held: tuple[Tensor, ...], ridge: float) -> Tensor:
    gram = _gram(held)
    gram.diagonal().add_(ridge)
    return torch.cholesky_solve(wanted.T, torch.linalg.cholesky(gram)).T


def _gram(parts: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """The products of the terms with each other, (rank, rank), from those of their factors."""
    gram = parts[0].T @ parts[0]
    for part in parts[1:]:
        gram = gram * (part.T @ part)
    return gram


def _unit(factor: Tensor) -> tuple[Tensor, Tensor]:
    norm = factor.norm(dim=0)
    return factor / norm.clamp(min=1e-30), norm


def _spread(factors: list[Tensor], weights: Tensor) -> list[Tensor]:
    """The weights given to all factors alike."""
    return [part * weights ** (1 / len(factors)) for part in factors]


def _error(tensor: Tensor, factors: list[Tensor], weights: Tensor) -> float:
    """Squared error, from products alone."""
    inner = (tensor.reshape(len(tensor), -1) @ _khatri_rao(factors[1:]) * factors[0]).sum(0) @ weights
    return float((tensor.square().sum() - 2 * inner + weights @ _gram(factors) @ weights).clamp(min=0))


METHOD = Method(
    title="CP decomposition",
    summary="Write a convolution as a sum of terms: a mix of its inputs, one small kernel, and a share for each output.",
    reference="Lebedev et al. 2015, Speeding-up CNNs Using Fine-tuned CP-Decomposition, arXiv:1412.6553; Kolda and Bader 2009",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.3, "Number of terms, as a share of that at which nothing is saved.", "rise", off=1.0),
        Knob("kernel", "Kernels", ("whole", "separable"), "whole",
             "Each term's kernel as it is (the terms fit better), or as a column times a row (as in the paper)."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    terms=(("degeneracy", "Terms that grow without end and cancel one another, with which some tensors are best approached."),),
    fails=Failure(
        "So few terms that each kernel serves many channels: the kernels of this layer are too different for that.",
        "lenet-5", "conv2", (("rank", 0.1), ("kernel", "whole")), instead=("sharing.kmeans", (("bits", 3),))),
)
