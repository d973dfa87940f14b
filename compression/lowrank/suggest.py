"""Ranks that a spectrum itself suggests, by telling signal from noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

Array = NDArray[np.float64]


def evbmf(singular: Array, shape: tuple[int, int]) -> int:
    """How many components empirical variational Bayesian matrix factorization keeps of a matrix with these singular values.

    The global analytic solution with noise of unknown size (Nakajima, Sugiyama, Babacan and Tomioka 2013, Journal of
    Machine Learning Research 14). Kim et al. 2016 (arXiv:1511.06530) apply it to both channel modes of a convolution for
    the ranks of Tucker-2. It may be 0: nothing but noise.
    """
    short, long = sorted(shape)
    values = np.sort(np.asarray(singular, np.float64))[::-1][:short]
    if not values.any():
        return 0
    ratio = short / long
    tau = threshold(ratio)
    edge = (1 + tau) * (1 + ratio / tau)  # of the scaled squared singular value, above which a component is kept
    noise = _noise(values, short, long, ratio, edge)
    return int((values**2 > long * noise * edge).sum())


def threshold(ratio: float) -> float:
    """The zero of Φ(τ) + Φ(τ / ratio), Φ(z) = log(z + 1) / z − 1/2, for a ratio of sides from above 0 to 1; near 2.5129 √ratio."""
    def phi(z: float) -> float:
        return float(np.log1p(z) / z - 0.5)

    return float(brentq(lambda t: phi(t) + phi(t / ratio), 1e-6 * ratio, 10))


def _noise(values: Array, short: int, long: int, ratio: float, edge: float) -> float:
    """The variance of the noise with the least free energy, within the bounds that the paper proves."""
    squares = values**2
    most = min(int(np.ceil(short / (1 + ratio))) - 1, len(values) - 1)
    upper = float(squares.sum() / (short * long))
    lower = max(float(squares[most] / (long * edge)), float(squares[most:].mean() / long), 1e-12 * upper)
    if lower >= upper:
        return upper

    def energy(log_noise: float) -> float:
        x = np.maximum(squares / (long * np.exp(log_noise)), 1e-300)
        signal = x > edge
        over = x[signal] - (1 + ratio)
        tau = (over + np.sqrt(np.maximum(over**2 - 4 * ratio, 0))) / 2
        return float((x - np.log(x)).sum() + (np.log1p(tau) + ratio * np.log1p(tau / ratio) - tau).sum())

    # The energy has a kink where a component falls under the edge: the best of a grid, then refined within its cell.
    grid = np.linspace(np.log(lower), np.log(upper), 200)
    best = int(np.argmin([energy(g) for g in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(energy, bounds=(low, high), method="bounded").x))


def gavish_donoho(singular: Array, shape: tuple[int, int]) -> int:
    """How many singular values are above the optimal hard threshold for noise of unknown size (Gavish and Donoho 2014, arXiv:1305.5870)."""
    short, long = sorted(shape)
    values = np.asarray(singular, np.float64)[:short]
    beta = short / long
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((values > omega * np.median(values)).sum())
