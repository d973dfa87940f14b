"""What rounding does where every channel, or group of neighbours, has a scale of its own.

Divided by the largest magnitude of its group, every group fills the range from -1 to 1, and one symmetric grid serves them all:
they share one set of bins, in which each weight counts as much as its group's scale, squared. So it costs the same for one
channel and for a thousand. Asymmetric levels start at another fraction of a step in every channel and cannot be joined so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from compression.sketches.ordered import Array, Sums
from compression.sketches.quantized import Quantized

BINS = 65_536
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Scaled:
    """Running sums over bins of equal width from -1 to 1."""

    size: int
    count: Array  # (bins + 1,) weights in the bins before
    sums: Sums  # (bins + 1,) squares of the scales, times the weights in units of them, times their squares


def scaled(weight: ArrayLike, group: int) -> Scaled:
    """Bins of a weight of any shape whose neighbours, group by group in row order, share a scale."""
    flat = np.asarray(weight, np.float32).reshape(-1)
    if not len(flat) or group < 1:
        raise ValueError(f"expected values and groups of at least one, not {len(flat)} values in groups of {group}")
    bins = np.zeros((4, BINS))
    whole = max(1, _CHUNK // group) * group
    for start in range(0, len(flat), whole):
        part = flat[start : start + whole]
        rows = np.pad(part, (0, -len(part) % group)).reshape(-1, group)
        reach = np.abs(rows).max(1)
        empty = reach < np.finfo(np.float32).tiny
        reach[empty] = 1
        unit = (rows / reach[:, None]).reshape(-1)[: len(part)]
        squared = np.repeat(np.where(empty, 0, reach.astype(np.float64) ** 2), group)[: len(part)]
        place = np.minimum(((unit + 1) * np.float32(BINS / 2)).astype(np.int32), BINS - 1)
        bins[0] += np.bincount(place, minlength=BINS)
        for i, each in enumerate((squared, squared * unit, squared * unit * unit), start=1):
            bins[i] += np.bincount(place, each, BINS)
    running = np.concatenate([np.zeros((4, 1)), np.cumsum(bins, 1)], 1)
    return Scaled(len(flat), running[0], Sums(*running[1:]))


def quantized_by_group(source: Scaled, bits: int, clip: float = 1.0) -> Quantized:
    """Symmetric rounding, each group's range reaching to clip times its largest magnitude.

    Up to 8 bits the squared error is within 1e-3 of that of quantization.uniform on weights that are spread out, as trained
    ones are, and no more than one weight in a hundred is counted at a code beside its own: a group's scale, which is stored as
    float16, is taken for exact here.
    """
    middle = 2 ** (bits - 1) if bits > 1 else 0.5
    codes = np.arange(2**bits) - middle
    step = clip / max(middle - 1, 1)
    place = np.clip(((codes[1:] - 0.5) * step + 1) * BINS / 2, 0, BINS)
    edge = np.minimum(place.astype(np.int64), BINS - 1)
    share = place - edge

    def cells(running: Array) -> Array:
        inner = running[edge] + share * (running[edge + 1] - running[edge])
        return np.diff(np.concatenate([running[:1], inner, running[-1:]]))

    energy, first, second = map(cells, source.sums)
    levels = codes * step
    error = float((second - 2 * levels * first + levels**2 * energy).sum())
    return Quantized(max(error, 0.0), np.rint(cells(source.count)).astype(np.int64))
