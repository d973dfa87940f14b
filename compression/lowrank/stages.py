"""How a decomposed weight runs: as a chain of small layers."""

from typing import NamedTuple

from torch import Tensor


class Stage(NamedTuple):
    """One small layer of a chain, without bias. A form that can run as a chain offers `stages()`, first layer first.

    Each spatial axis of a convolution is walked by one stage, which takes its stride, padding and dilation.
    """

    name: str  # of the factor, the same wherever that factor is used
    weight: Tensor  # (out, in / groups, *kernel), as torch keeps it
    axes: tuple[int, ...] = ()  # which spatial axes it walks
    groups: int = 1
