"""A picture with a dial of its own that answers without training again: where to cut, or which moment to look at."""

from typing import NamedTuple

from torch import Tensor


class Dial(NamedTuple):
    """How something lies along an axis, at each setting of a dial."""

    question: str  # the title
    name: str  # of the dial: "log α below"
    settings: tuple[str, ...]  # as they are written on it
    begins: int  # number of the setting that is shown first
    told: tuple[str, ...]  # by setting, what comes of it: "2.1 % of the weights left, 97.2 % right"
    axes: tuple[str, str]
    x: Tensor  # (bins,)
    bars: Tensor  # (settings, bins), or (1, bins) where they are the same at every setting
    lines: Tensor | None = None  # (settings, bins) drawn over the bars
    marks: tuple[float, ...] = ()  # by setting, a place along the axis
    logarithmic: bool = False  # the height of the bars
