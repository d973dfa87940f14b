"""Weights to be sketched: those that trained layers have, and those they should never have."""

import numpy as np
import torch

from compression.method import Layer


def about(weight):
    return Layer("w", weight)


def weight(name, n=5000):
    """Weights that trained layers have, and those they should never have."""
    rng = np.random.default_rng(len(name))
    heavy = (rng.standard_t(6, n) * 0.03).astype(np.float32)
    match name:
        case "heavy":
            values = heavy
        case "outlier":
            values = np.append(heavy, np.float32(100 * np.abs(heavy).max()))
        case "ties":
            values = np.round(heavy * 100) / 100
        case "pruned":
            values = np.where(np.abs(heavy) < 0.03, np.float32(-0.0), heavy)
        case "zeros":
            values = np.zeros(n)
        case "constant":
            values = np.full(n, 0.37)
        case "one":
            values = np.array([-0.5])
        case "positive":
            values = np.abs(heavy) + 0.01
        case "negative":
            values = -np.abs(heavy)
        case "tiny":
            values = heavy * 1e-30
        case "halves":
            values = rng.integers(-14, 15, n) / 2  # half-way between levels of a 4-bit symmetric grid
            values[0] = 7
    return torch.from_numpy(np.asarray(values, np.float32))


NAMES = ("heavy", "outlier", "ties", "pruned", "zeros", "constant", "one", "positive", "negative", "tiny", "halves")


def energy(x):
    return float(x.double().square().sum())
