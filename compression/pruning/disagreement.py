"""Where two ways of pruning one layer disagree: which weights one of them keeps and the other removes."""

from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Encoded

NEITHER, SECOND, FIRST, BOTH = 0, 1, 2, 3  # who keeps a weight


class Disagreement(NamedTuple):
    """Who keeps which weight of a layer, and how often the two are not of one mind. Shares are of all weights of the layer."""

    keeps: Tensor  # (out, in * kernel) uint8: NEITHER, SECOND, FIRST or BOTH
    share: float  # kept by exactly one of the two
    by_chance: float  # what that share would be if each chose as many weights by lot
    rows: Tensor  # (out,) the share among each output's weights
    columns: Tensor  # (in * kernel,) the share among each input's weights

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Weights kept by neither, by the second alone, by the first alone, by both."""
        neither, second, first, both = torch.bincount(self.keeps.flatten().long(), minlength=4).tolist()
        return neither, second, first, both


def disagreement(first: Encoded, second: Encoded) -> Disagreement:
    """Compare two pruned forms of one weight; what decodes to exactly zero counts as removed.

    Raises ValueError where the two do not have one shape.

    >>> from compression.encoded import Dense
    >>> disagreement(Dense(torch.tensor([[1.0, 0.0, 3.0, 0.0]])), Dense(torch.tensor([[1.0, 2.0, 0.0, 0.0]]))).counts
    (1, 1, 1, 1)
    """
    a, b = first.decode(), second.decode()
    if a.shape != b.shape:
        raise ValueError(f"the two forms are {tuple(a.shape)} and {tuple(b.shape)}; compare two prunings of one layer")
    if not a.numel():
        raise ValueError("a weight without entries has none to disagree about; compare layers that have weights")
    one, other = ((x != 0).reshape(len(x), -1) for x in (a, b))
    differ = (one != other).double()
    p, q = float(one.double().mean()), float(other.double().mean())
    keeps = one.to(torch.uint8) * FIRST + other.to(torch.uint8) * SECOND
    return Disagreement(keeps, float(differ.mean()), p * (1 - q) + q * (1 - p), differ.mean(1), differ.mean(0))
