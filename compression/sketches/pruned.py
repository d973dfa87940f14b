"""What magnitude pruning does at any sparsity: the threshold, the zeros there really are, and the energy lost."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compression.sketches.moments import Moments
from compression.sketches.ordered import Array, Ordered


class Pruned(NamedTuple):
    """One number for each sparsity asked for, (p,)."""

    threshold: Array  # the largest magnitude set to zero
    sparsity: Array  # share of zeros afterwards: more than asked for where there were zeros before
    lost: Array  # sum of squares of what was set to zero, which is the squared error
    share: Array  # of the sum of all squares


def pruned(source: Ordered | Moments, sparsity: ArrayLike) -> Pruned:
    """The effect of pruning.magnitude at one sparsity, or at a whole curve of them. sparsity: a number or (p,).

    From Ordered exact, also where magnitudes are tied: as many are cut as torch.nn.utils.prune would, round(sparsity * n).
    """
    asked = np.atleast_1d(np.asarray(sparsity, np.float64))
    if not ((asked >= 0) & (asked <= 1)).all():
        raise ValueError(f"sparsity is a share from 0 to 1, not {sparsity!r}")
    count = np.rint(asked * source.size)
    run = source.smallest(count)
    lost = np.maximum(run.end.second - run.start.second, 0.0)
    total = source.all.second
    share = np.divide(lost, total, out=np.zeros_like(lost), where=total > 0)
    return Pruned(run.threshold, np.maximum(count, source.zeros) / source.size, lost, share)
