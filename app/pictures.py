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
    zeros: float
    threshold: float | None  # the magnitude that separates what was removed from what was kept, where one does
    bytes_before: int
    bytes_after: int
    sqnr: float
    items: dict[str, int]
    refused: tuple[str, ...]


def picture(layer: Layer, chain: tuple[Step, ...], form: Encoded, refused: tuple[str, ...]) -> Picture:
    """What the charts need of a layer that is stored in some form."""
    weight, decoded = layer.weight, form.decode()
    values, new = weight.flatten(), decoded.flatten()
    most = float(values.abs().max()) or 1.0
    kept = new[new != 0]
    cut = _cut(values, new) if any(s.method.startswith("pruning") for s in chain) else None
    edges = np.linspace(-most, most, BINS + 1)
    wrong = measure.error(weight, decoded)
    counts = [torch.histc(v, BINS, -most, most).numpy().astype(np.int64) for v in (values, kept.clamp(-most, most))]
    return Picture(layer.name, layer.kind, weight.numel(), chain, edges, *counts, 1 - len(kept) / max(len(new), 1),
                   cut, 4 * weight.numel(), form.nbytes, wrong.sqnr,
                   measure.itemised(form), refused)


def _cut(before: Tensor, after: Tensor) -> float | None:
    """The magnitude up to which all weights were removed and above which all were kept; None where there is none."""
    size, gone = before.abs(), (after == 0) & (before != 0)
    largest = float(size[gone].max()) if bool(gone.any()) else None
    return largest if largest is not None and bool((size[after != 0] >= largest).all()) else None
