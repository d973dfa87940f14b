"""The error of a low-rank approximation at every rank, from one look at the weight."""

import numpy as np
from numpy.typing import ArrayLike

from compression.sketches.ordered import Array

_LARGE = 256  # shorter side from which the spectrum is taken from the smaller of the two products with itself
_ROWS = 4096  # of the longer side widened to float64 at a time


def errors_by_rank(weight: ArrayLike) -> Array:
    """Relative error ‖W - W_r‖ / ‖W‖ for r = 0 .. full rank: (full + 1,), falling. weight: (out, in, *kernel).

    The squares of the singular values that are left out add up to the squared error (Eckart and Young 1936). Those of a large
    weight are eigenvalues of its product with itself, which is much quicker and off by about 1e-8 of the largest: an error
    below 1e-6 may be anything below 1e-6.
    """
    matrix = np.asarray(weight)
    matrix = matrix.reshape(len(matrix), -1)
    if min(matrix.shape) < _LARGE:
        squares = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
    else:
        tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
        parts = (tall[i : i + _ROWS].astype(np.float64) for i in range(0, len(tall), _ROWS))
        squares = np.linalg.eigvalsh(sum(part.T @ part for part in parts))[::-1].clip(min=0)
    left = np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])
    return np.sqrt(left / left[0]) if left[0] > 0 else np.zeros(len(left))


def errors_by_ranks(energy: ArrayLike) -> Array:
    """Relative error of Tucker-2 for every pair of ranks from the energy its core keeps: (out, in), entry [i, j] for i + 1, j + 1.

    energy: (out, in) as lowrank.tucker2.prepare gives it, the squared norm of the core's first i + 1 by j + 1 mixes. Equal to
    the truncation that is stored; alternating refinement (HOOI) would lower it by a few per cent.
    """
    kept = np.asarray(energy, np.float64)
    total = kept[-1, -1]
    return np.sqrt(np.maximum(total - kept, 0.0) / total) if total > 0 else np.zeros_like(kept)
