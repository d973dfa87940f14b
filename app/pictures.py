"""What the charts need of one layer: its weights before and after as counts, its bytes, its error. Pure."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression import measure
from compression.encoded import Encoded
from compression.method import Layer
from compression.recipe import Step

BINS = 100


class Picture(NamedTuple):
    """What the charts need of one layer."""

    name: str
    kind: str
    count: int
    chain: tuple[Step, ...]
    edges: np.ndarray  # (bins + 1,)
    before: np.ndarray  # (bins,)
    after: np.ndarray  # (bins,), entries that are zero left out
    threshold: float | None  # the magnitude that separates what was removed from what was kept, where one does
    bytes_before: int
    bytes_after: int
    error: measure.Error
    items: dict[str, int]
    refused: tuple[str, ...]

    @property
    def zeros(self) -> float:
        """The share of weights that are zero."""
        return self.error.zeros

    @property
    def sqnr(self) -> float:
        """Signal to quantisation noise, in decibels; infinite where nothing changed."""
        return self.error.sqnr


class Outline(NamedTuple):
    """A layer's weights as they were trained, as counts; the same for every recipe."""

    edges: np.ndarray  # (bins + 1,)
    before: np.ndarray  # (bins,)


def outline(layer: Layer) -> Outline:
    """The histogram of a layer's weights, over bins from minus the largest magnitude to plus it."""
    most = float(layer.weight.abs().max()) or 1.0
    return Outline(np.linspace(-most, most, BINS + 1), _counts(layer.weight, most))


def picture(layer: Layer, chain: tuple[Step, ...], form: Encoded, refused: tuple[str, ...], drawn: Outline) -> Picture:
    """What the charts need of a layer that is stored in some form. drawn: the layer's outline."""
    weight, decoded = layer.weight, form.decode()
    cut = _cut(weight, decoded) if any(s.method.startswith("pruning") for s in chain) else None
    wrong, most = measure.error(weight, decoded), float(drawn.edges[-1])
    after = _counts(decoded.clamp(-most, most), most)
    zero = int(_counts(torch.zeros(1), most).argmax())  # an edge between two bins: rounding decides to which it counts
    after[zero] -= wrong.zeroed
    return Picture(layer.name, layer.kind, weight.numel(), chain, *drawn, after, cut, 4 * weight.numel(), form.nbytes, wrong,
                   measure.itemised(form), refused)


def _counts(values: Tensor, most: float) -> np.ndarray:
    return torch.histc(values, BINS, -most, most).numpy().astype(np.int64)


def _cut(before: Tensor, after: Tensor) -> float | None:
    """The magnitude up to which all weights were removed and above which all were kept; None where there is none."""
    size, there = before.abs(), after != 0
    largest = float((size * ~there).max())
    return largest if largest and not bool(((size < largest) & there).any()) else None
