"""Round every weight to the nearest of a few evenly spaced levels."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from compression.encoded import Codes, Dense, Encoded, Levels
from compression.method import Failure, Knob, Layer, Method
from compression.quantization import clipping

_GROUP = 64
_HALF = torch.finfo(torch.float16)


class Ranges(NamedTuple):
    """A weight, and for each way of sharing a scale how many neighbours share one, how far they reach, and how far most do."""

    weight: Tensor
    size: dict[str, int]
    low: dict[str, Tensor]  # (groups,) the least value, 0 at most
    high: dict[str, Tensor]  # (groups,) the largest value, 0 at least
    tails: dict[str, dict[str, tuple[Tensor, Tensor]]]  # clip rule -> two of (groups,)


def prepare(weight: Tensor, layer: Layer) -> Ranges:
    size = sizes(tuple(weight.shape))
    groups = {per: _grouped(weight, count) for per, count in size.items()} if weight.numel() else {}
    low = {per: values.amin(1).clamp(max=0) for per, values in groups.items()}
    high = {per: values.amax(1).clamp(min=0) for per, values in groups.items()}
    return Ranges(weight, size, low, high, {per: clipping.tails(values) for per, values in groups.items()})


def answer(ranges: Ranges, bits: int, symmetric: bool, per: str, clip: str = "minmax", rounding: str = "nearest",
           narrow: bool = False) -> Encoded:
    weight = ranges.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    beside = symmetric and bits == 1  # of two levels none is at zero: one lies on either side of it
    bottom, top, middle = int(narrow and bits > 1), 2**bits - 1, 0.5 if beside else 2 ** (bits - 1)
    groups = _grouped(weight, ranges.size[per])
    low, high = _ends(ranges, groups, bits, per, clip)
    scale = torch.maximum(-low, high) / max(middle - 1, 1) if symmetric else (high - low) / (top - bottom)
    if clip in ("mse", "kl"):
        share = _alike(groups, low, high, 2 ** (bits - 1)) if clip == "kl" else _share(groups, scale, None if symmetric else low, bits, bottom)
        low, scale = low * share, scale * share
    empty = scale < torch.finfo(scale.dtype).tiny
    scale = _storable(scale, bits, per)
    step = scale.float()
    codes = groups * (1 / step)[:, None]  # (groups, size); times 1 / step, as torch does
    chance = torch.rand(codes.shape, generator=torch.Generator().manual_seed(0)) if rounding == "stochastic" else None
    if beside:
        codes = (codes if chance is None else codes.add_(chance - 0.5)).floor_().add_(0.5)
        scale = scale.masked_fill(empty, 0)  # zeros stay zeros
    else:
        codes = codes.round_() if chance is None else codes.add_(chance).floor_()
    zero = None if symmetric else (bottom - low / step).round().clamp(bottom, top)
    codes = (codes.add_(middle) if zero is None else codes.add_(zero[:, None])).clamp_(bottom, top)
    small = torch.uint8 if bits <= 8 else torch.int32
    stored = Codes(codes.flatten()[: weight.numel()].to(small), bits)
    return Levels(tuple(weight.shape), stored, scale, None if zero is None else zero.to(small), middle, ranges.size[per])


def _ends(ranges: Ranges, groups: Tensor, bits: int, per: str, clip: str) -> tuple[Tensor, Tensor]:
    """The values on the outermost levels, 0 between them, both (groups,): never beyond the least and the largest weight."""
    low, high = ranges.low[per], ranges.high[per]
    if clip in ("minmax", "mse", "kl"):
        return low, high
    least, largest = clipping.bell(groups, clip, bits) if clip in ("laplace", "gauss") else ranges.tails[per][clip]
    return torch.maximum(low, least.clamp(max=0)), torch.minimum(high, largest.clamp(min=0))


def _share(groups: Tensor, scale: Tensor, low: Tensor | None, bits: int, bottom: int) -> Tensor:
    """The share of each group's range, (groups,), over which levels err least. low: where not symmetric."""
    scale = torch.where(scale < torch.finfo(scale.dtype).tiny, torch.ones_like(scale), scale)
    middle = 2 ** (bits - 1) if bits > 1 else 0.5
    zero = torch.full_like(scale, middle) if low is None else (bottom - low / scale).round().clamp(bottom, 2**bits - 1)
    return clipping.least_error(groups, scale, bottom - zero, 2**bits - 1 - zero)


def _alike(groups: Tensor, low: Tensor, high: Tensor, levels: int) -> float:
    """The share of its range that TensorRT's rule leaves each group, one for all: a group alone is too small for a histogram."""
    reach = torch.maximum(-low, high).clamp(min=1e-30)
    counts = torch.histc(groups.abs() / reach[:, None], clipping.BINS, 0, 1)
    return clipping.most_alike(counts.double().numpy(), levels)


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
    reference="Jacob et al. 2018, arXiv:1712.05877; clip rules: Banner et al. 2018 (ACIQ), arXiv:1810.05723, Migacz 2017 (KL); "
              "stochastic rounding: Gupta et al. 2015, arXiv:1502.02551",
    survey="6.1",
    knobs=(
        Knob("bits", "Bits per weight", (1, 2, 3, 4, 5, 6, 7, 8, 16, 32), 8,
             "How many levels there are: two to this power. With one bit, symmetric levels lie on either side of zero.", "rise", off=32),
        Knob("symmetric", "Symmetric", (True, False), True,
             "Whether the levels reach as far below zero as above; if not, they cover just the range of the weights."),
        Knob("per", "One scale per", ("tensor", "channel", "group"), "channel",
             "Which weights share a scale: all, those of one output channel, or about 64 neighbours."),
        Knob("clip", "Clip rule", clipping.RULES, "minmax",
             "How far levels reach: to the last weight, to a percentile, to where the squared error is least or would be for a bell curve "
             "(ACIQ), or to where the histogram changes least (KL, TensorRT's)."),
        Knob("rounding", "Rounding", ("nearest", "stochastic"), "nearest",
             "Stochastic goes up as often as a weight is near to the level above: wrong more often, but right on average."),
        Knob("narrow", "Narrow range", (False, True), False,
             "Leave the lowest code unused, so that symmetric levels are the same on either side; seen where levels are clipped."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("scale", "The distance from one level to the next."),
        ("zero point", "The whole number that stands for the weight zero where levels are not symmetric."),
        ("group", "Neighbouring weights that share one scale."),
        ("clipping", "Writing what lies beyond the outermost level as that level."),
        ("stochastic rounding", "Rounding up with a chance equal to the distance from the level below, in steps."),
    ),
    fails=Failure(
        "Of four levels that must reach the largest weight nearly all weights get the one at zero; four values put where they are do better.",
        "vit", "blocks.0.mlp.up", (("bits", 2),), ("sharing.kmeans", (("bits", 2),))),
)
