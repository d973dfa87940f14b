"""Round every weight to the nearest of a few evenly spaced levels."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Knob, Layer, Method

_GROUP = 64
_HALF = torch.finfo(torch.float16)


class Ranges(NamedTuple):
    """A weight, and for each way of sharing a scale how many neighbours share one, and how far they reach."""

    weight: Tensor
    size: dict[str, int]
    low: dict[str, Tensor]  # (groups,) the least value, 0 at most
    high: dict[str, Tensor]  # (groups,) the largest value, 0 at least


def prepare(weight: Tensor, layer: Layer) -> Ranges:
    size = sizes(tuple(weight.shape))
    groups = {per: _grouped(weight, count) for per, count in size.items()} if weight.numel() else {}
    low = {per: values.amin(1).clamp(max=0) for per, values in groups.items()}
    high = {per: values.amax(1).clamp(min=0) for per, values in groups.items()}
    return Ranges(weight, size, low, high)


def answer(ranges: Ranges, bits: int, symmetric: bool, per: str) -> Encoded:
    weight = ranges.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    top, middle = 2**bits - 1, 2 ** (bits - 1)
    low, high = ranges.low[per], ranges.high[per]
    scale = _storable(torch.maximum(-low, high) / (middle - 1) if symmetric else (high - low) / top, bits, per)
    step, size = scale.float(), ranges.size[per]
    codes = (_grouped(weight, size) * (1 / step)[:, None]).round_()  # (groups, size); times 1 / step, as torch does
    zero = None if symmetric else (-low / step).round().clamp(0, top)
    codes = (codes.add_(middle) if zero is None else codes.add_(zero[:, None])).clamp_(0, top)
    small = torch.uint8 if bits <= 8 else torch.int32
    stored = Codes(codes.flatten()[: weight.numel()].to(small), bits)
    return Levels(tuple(weight.shape), stored, scale, None if zero is None else zero.to(small), middle, size)


def sizes(shape: tuple[int, ...]) -> dict[str, int]:
    """How many neighbours share a scale, for each way of sharing it.

    A group never reaches over the end of a row (the in * kernel weights of one output channel): its size is the largest
    from 16 to 64 that divides the row, and the whole row where none does or the row is shorter than 64. A tensor of one
    dimension has no channels: "channel" is then the whole tensor, and groups are 64 neighbours, the last perhaps fewer.

    >>> sizes((500, 784))
    {'tensor': 392000, 'channel': 784, 'group': 56}
    """
    count = max(1, torch.Size(shape).numel())
    if len(shape) < 2:
        return {"tensor": count, "channel": count, "group": min(_GROUP, count)}
    row = max(1, count // max(1, shape[0]))
    divides = [size for size in range(16, _GROUP + 1) if row % size == 0]
    return {"tensor": count, "channel": row, "group": max(divides) if divides and row > _GROUP else row}


def _grouped(weight: Tensor, size: int) -> Tensor:
    """(groups, size); a last group that is short is filled up with zeros, which change no range."""
    return pad(weight.flatten(), (0, -weight.numel() % size)).reshape(-1, size)


def _storable(scale: Tensor, bits: int, per: str) -> Tensor:
    """Scales (groups,) as they are kept: float32, but float16 for groups, of which there are many.

    Only where float16 holds every one of them to its full precision, and is precise enough for the bits: an error of
    2**-11 in the scale moves the last of 2**8 levels by an eighth of a step, of 2**16 by 32. Zeros have the scale 1.
    """
    scale = torch.where(scale < torch.finfo(scale.dtype).tiny, torch.ones_like(scale), scale)
    fits = bool((scale >= _HALF.smallest_normal).all() and (scale <= _HALF.max).all())
    return scale.half() if per == "group" and bits <= 8 and fits else scale


METHOD = Method(
    title="Uniform quantization",
    summary="Write each weight as a small whole number times a scale that it shares with its neighbours.",
    reference="Jacob et al. 2018, Quantization and Training for Integer-Arithmetic Inference, arXiv:1712.05877",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5, 6, 7, 8, 16, 32), 8,
             "How many levels there are: two to this power.", "rise", off=32),
        Knob("symmetric", "Symmetric", (True, False), True,
             "Whether the levels reach as far below zero as above; if not, they cover just the range of the weights."),
        Knob("per", "One scale per", ("tensor", "channel", "group"), "channel",
             "Which weights share a scale: all, those of one output channel, or about 64 neighbours."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("scale", "The distance from one level to the next."),
        ("zero point", "The whole number that stands for the weight zero where levels are not symmetric."),
        ("group", "Neighbouring weights that share one scale."),
    ),
)
