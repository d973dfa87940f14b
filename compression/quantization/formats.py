"""Number formats of a few bits: what each code stands for, and codes stored with a scale for each block of neighbours."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import pad

from compression.encoded import Codes, Encoded

# Floats of sign, exponent and mantissa: the largest number each can hold. E4M3 spends its last code on "not a number" and has
# no infinity (Micikevicius et al. 2022, arXiv:2209.05433); FP6 and FP4 have neither (OCP Microscaling Formats v1.0, table 1).
LARGEST = {"e2m1": 6.0, "e2m3": 7.5, "e3m2": 28.0, "e4m3": 448.0, "e5m2": 57344.0, "e5m10": 65504.0,
           "e8m7": (2 - 2**-7) * 2.0**127}
_CASTS = {"e5m10": torch.float16, "e8m7": torch.bfloat16}
# Dettmers et al. 2023 (QLoRA), arXiv:2305.14314, appendix E: quantiles of the normal distribution, scaled to [-1, 1].
NF4 = (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0)


@dataclass(frozen=True, eq=False)
class Scaled(Encoded):
    """Codes of a number format, with a scale for each block of neighbours: value = table(format)[code] * scale + offset."""

    shape: tuple[int, ...]
    codes: Encoded  # (values,)
    format: str
    scale: Encoded | Tensor | None  # (blocks,), row by row; None: 1
    offset: Tensor | None  # (1,); None: 0
    row: int  # values after which a new block starts in any case
    block: int  # neighbours that share a scale; the last block of a row may be short

    def decode(self) -> Tensor:
        codes = self.codes.decode().flatten()
        values = table(self.format).index_select(0, codes.int())
        if self.scale is not None:
            scale = self.scale.decode() if isinstance(self.scale, Encoded) else self.scale
            values = joined(blocks(values, self.row, self.block) * scale.float()[:, None], self.row)
        return (values if self.offset is None else values + self.offset).reshape(self.shape)


def scaled(shape: tuple[int, ...], codes: Tensor, name: str, scale: Encoded | Tensor | None = None, row: int = 1,
           block: int = 1, offset: Tensor | None = None) -> Scaled:
    """Store codes (values,) of the format of that name."""
    width = (len(table(name)) - 1).bit_length()
    return Scaled(shape, Codes(codes.to(torch.uint8 if width <= 8 else torch.int32), width), name, scale, offset, row, block)


def blocks(values: Tensor, row: int, block: int) -> Tensor:
    """Values of any shape -> (blocks, block). Blocks do not reach over the end of a row; short ones are filled with zeros."""
    return pad(values.reshape(-1, row), (0, -row % block)).reshape(-1, block)


def joined(blocked: Tensor, row: int) -> Tensor:
    """The inverse of blocks: (values,)."""
    return blocked.reshape(-1, row + -row % blocked.shape[1])[:, :row].flatten()


@cache
def table(name: str) -> Tensor:
    """What the codes 0, 1, 2… of a format stand for, (codes,) float32. Raises ValueError for an unknown name.

    >>> table("e2m1").tolist()[:8], table("pow2-3").tolist(), table("int2").tolist()
    ([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0], [0.0, 0.25, 0.5, 1.0, -0.0, -0.25, -0.5, -1.0], [-2.0, -1.0, 0.0, 1.0])
    """
    if name not in _TABLES:
        raise ValueError(f"unknown number format {name!r}; known are {', '.join(sorted(_TABLES))}")
    return _TABLES[name]()


def nearest(values: Tensor, levels: Tensor) -> Tensor:
    """For each value the number of the level next to it, int32 of the same shape. levels: (levels,) ascending."""
    return torch.bucketize(values, levels[:-1] + (levels[1:] - levels[:-1]) / 2, out_int32=True)


def to_float(values: Tensor, name: str) -> Tensor:
    """Codes of the short floats next to values (float32), ties to even; what is too large becomes the largest. int32."""
    if name in _CASTS:
        short = values.clamp(-LARGEST[name], LARGEST[name]).to(_CASTS[name])
        return short.view(torch.int16).int() & 0xFFFF
    exponent, mantissa = _digits(name)
    magnitude = values.abs().clamp_(max=LARGEST[name])
    least = 2 - 2 ** (exponent - 1)  # power of two of the smallest normal number
    power = ((magnitude.view(torch.int32) >> 23) - 127).clamp_(min=least)
    step = ((127 + mantissa - power) << 23).view(torch.float32)  # one over the distance between neighbours: exact
    codes = (magnitude * step).round_().int() + (power - least << mantissa)
    return codes + (torch.signbit(values).int() << exponent + mantissa)


def to_power(largest: Tensor) -> Tensor:
    """Codes of the powers of two not above positive numbers, in the format "e8m0": 2 ** (code - 127). int32; 0 gives 0."""
    power = torch.frexp(largest).exponent.int() - 1
    return torch.where(largest > 0, power.clamp(-127, 127) + 127, 0)


def powers(codes: Tensor) -> Scaled:
    """Scales that are powers of two, a byte each. codes: (blocks,)."""
    return scaled((len(codes),), codes, "e8m0")


def _digits(name: str) -> tuple[int, int]:
    exponent, mantissa = name[1:].split("m")
    return int(exponent), int(mantissa)


def _floats(name: str) -> Tensor:
    exponent, mantissa = _digits(name)
    code = torch.arange(2 ** (exponent + mantissa))
    field, fraction = code >> mantissa, code % 2**mantissa
    whole = torch.where(field == 0, fraction, fraction + 2**mantissa).double()  # 0.fraction below the smallest normal, else 1.fraction
    values = torch.ldexp(whole, field.clamp(min=1) - (2 ** (exponent - 1) - 1) - mantissa)
    values = torch.where(values > LARGEST[name], torch.nan, values)
    return torch.cat([values, -values]).float()


def _signed(magnitudes: list[float]) -> Tensor:
    positive = torch.tensor(magnitudes)
    return torch.cat([positive, -positive])


def _power_levels(bits: int) -> list[float]:
    """0, and the powers of two from 1 down: as many as bits - 1 bits can tell apart."""
    return [0.0, *sorted(2.0**-k for k in range(2 ** (bits - 1) - 1))]


def _additive_levels(bits: int) -> list[float]:
    """Sums of powers of two, one from each term, scaled so that the largest is 1 (Li et al. 2020, equation 5, with k = 2).

    Each term has 2 bits, and where bits - 1 is odd the last has one, as in the authors' code.
    """
    terms = {3: [(1, 2, 3)], 4: [(1, 2, 4), (3,)], 5: [(1, 3, 5), (2, 4, 6)], 7: [(1, 4, 7), (2, 5, 8), (3, 6, 9)]}[bits]
    sums = [0.0]
    for term in terms:
        sums = [s + p for s in sums for p in (0.0, *(2.0**-k for k in term))]
    return [s / max(sums) for s in sorted(sums)]


_TABLES = {name: lambda name=name: _floats(name) for name in LARGEST}
_TABLES |= {f"int{b}": lambda b=b: torch.arange(2.0**b) - 2 ** (b - 1) for b in range(2, 17)}
_TABLES |= {f"pow2-{b}": lambda b=b: _signed(_power_levels(b)) for b in range(2, 6)}
_TABLES |= {f"apot-{b}": lambda b=b: _signed(_additive_levels(b)) for b in (3, 4, 5, 7)}
_TABLES |= {
    "e8m0": lambda: torch.cat([(2.0 ** (torch.arange(255.0, dtype=torch.float64) - 127)).float(), torch.tensor([torch.nan])]),
    "nf4": lambda: torch.tensor(NF4),
    "binary": lambda: torch.tensor([-1.0, 1.0]),
    "ternary": lambda: torch.tensor([0.0, 1.0, -1.0, torch.nan]),
}
