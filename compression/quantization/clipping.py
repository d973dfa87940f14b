"""How far evenly spaced levels should reach: less far makes finer steps, but cuts off the largest weights."""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import erfc, lambertw
from torch import Tensor

RULES = ("minmax", "99.9th", "99th", "mse", "laplace", "gauss", "kl")
SHARES = tuple(i / 20 for i in range(20, 2, -1))  # of the whole range, tried by the rule "mse"
_BEYOND = {"99.9th": 0.001, "99th": 0.01}  # share of weights that may lie beyond either end
BINS = 2048  # of the histogram that the rule "kl" looks at
_CHUNK = 1 << 15  # values at a time, so that they stay in the processor's cache


def tails(groups: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """For each percentile rule the values at it and at its mirror image: two of (groups,). groups: (groups, size)."""
    size = groups.shape[1]
    places = {rule: (int(share * size), size - 1 - int(share * size)) for rule, share in _BEYOND.items()}
    parted = np.partition(groups.numpy(), sorted({p for pair in places.values() for p in pair}), axis=1)
    return {rule: (torch.from_numpy(parted[:, a].copy()), torch.from_numpy(parted[:, b].copy())) for rule, (a, b) in places.items()}


def bell(groups: Tensor, rule: str, bits: int) -> tuple[Tensor, Tensor]:
    """The ends that ACIQ finds for groups (groups, size) that follow Laplace's or Gauss's curve: two of (groups,)."""
    middle = groups.mean(1)
    away = groups - middle[:, None]
    width = away.abs().mean(1) if rule == "laplace" else away.square().mean(1).sqrt()
    reach = width * (laplace(bits) if rule == "laplace" else gauss(bits))
    return middle - reach, middle + reach


@cache
def laplace(bits: int) -> float:
    """The best reach for Laplace's distribution, in mean distances from its middle b (Banner et al. 2018, section 3).

    The squared error 2 b² exp(-α/b) + α² / (3 · 4**bits) is least where (α/b) exp(α/b) = 3 · 4**bits.

    >>> [round(laplace(b), 2) for b in (2, 3, 4)]
    [2.83, 3.89, 5.03]
    """
    return float(lambertw(3 * 4.0**bits).real)


@cache
def gauss(bits: int) -> float:
    """The best reach for the normal distribution, in standard deviations.

    It is the zero of the derivative of (α² + 1) erfc(α/√2) - √(2/π) α exp(-α²/2) + α² / (3 · 4**bits).

    >>> [round(gauss(b), 2) for b in (2, 3, 4)]
    [1.71, 2.15, 2.55]
    """
    def slope(a: float) -> float:
        return float(a * erfc(a / math.sqrt(2)) - math.sqrt(2 / math.pi) * math.exp(-a * a / 2) + a / (3 * 4**bits))

    return float(brentq(slope, 0.01, 20.0))


def most_alike(counts: NDArray[np.float64], levels: int) -> float:
    """The share of the range at which a histogram and the same with few levels differ least, as TensorRT finds it.

    counts: (bins,) of magnitudes from 0 to the largest. In the first histogram what lies beyond the cut is counted in the last bin
    left; in the second it is missing, and each level spreads its count evenly over those of its bins that are not empty. The least
    Kullback-Leibler divergence of the second from the first wins (Migacz 2017, 8-bit Inference with TensorRT). TensorRT scales the
    second up to the first's sum: with few levels a cut through nearly all values then wins, so here it is left as it is. 1 where there are no
    fewer levels than bins.
    """
    bins, best = len(counts), (math.inf, 1.0)
    beyond = counts.sum() - np.cumsum(counts)
    for kept in range(levels, bins + 1, max(1, bins // 128)):
        first = counts[:kept].copy()
        first[-1] += beyond[kept - 1]
        starts = np.arange(levels) * kept // levels
        filled = np.add.reduceat(first > 0, starts, dtype=np.float64)
        each = np.add.reduceat(counts[:kept], starts) / np.maximum(filled, 1)
        second = np.repeat(each, np.diff(np.append(starts, kept)))
        on = first > 0
        p, q = first[on] / first.sum(), np.maximum(second[on], 1e-4) / first.sum()
        best = min(best, (float((p * np.log(p / q)).sum()), kept / bins))
    return best[1]


def least_error(groups: Tensor, step: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """The share of the whole range, (groups,), at which levels leave the least squared error, of those in SHARES.

    groups: (groups, size). step: the distance of levels over the whole range, lowest and highest: the numbers of the
    outermost levels counted from zero, each (groups,): whole numbers, or halves where no level is at zero.
    """
    rows = max(1, _CHUNK // groups.shape[1])
    found = []
    for chunk, s, a, b in zip(*(t.split(rows) for t in (groups, step, lowest, highest))):
        total = torch.zeros(len(SHARES), len(chunk))
        a, b = (a[:1, None], b[:1, None]) if len(groups) == 1 else (a[:, None], b[:, None])
        halves = bool(a[0, 0] % 1)
        for part in chunk.split(_CHUNK, dim=1):
            x = part / s[:, None]
            for i, share in enumerate(SHARES):
                near = x * (1 / share)
                levels = torch.minimum(torch.maximum(near.floor_().add_(0.5) if halves else near.round_(), a), b)
                total[i] += levels.mul_(share).sub_(x).square_().sum(1)
        found.append(total.argmin(0))
    return torch.tensor(SHARES)[torch.cat(found)]
