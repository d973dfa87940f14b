"""Which weights of a tensor were kept: a bit for each place, or the distances between those kept, whichever is shorter."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compression import bits
from compression.encoded import Codes, Dense, Encoded


@dataclass(frozen=True, eq=False)
class Bitmap(Encoded):
    """Which places of a tensor are kept: one bit each."""

    kept: Codes  # 1 bit, (places,)

    def decode(self) -> Tensor:
        """Places kept, (kept count,) int64 ascending."""
        return places(self.kept.decode().bool())


@dataclass(frozen=True, eq=False)
class Gaps(Encoded):
    """Which places are kept, as distances from one to the next; the largest code means "go on by that much, nothing here".

    The relative index of Han et al. 2016 (arXiv:1510.00149, figure 2) without filler values.
    """

    codes: Encoded  # (gaps and skips,)
    skip: int  # the code that only moves on

    def decode(self) -> Tensor:
        """Places kept, (kept count,) int64 ascending."""
        codes = self.codes.decode().long()
        stops = codes < self.skip
        return (codes + stops).cumsum(0)[stops] - 1  # a gap of 0 is the next place


@dataclass(frozen=True, eq=False)
class Sparse(Encoded):
    """The weights that were kept, and where they belong, in whichever of the two ways takes fewer bytes."""

    shape: tuple[int, ...]
    places: Encoded  # Bitmap or Gaps
    values: Encoded  # (kept count,)

    def decode(self) -> Tensor:
        values = self.values.decode().float().flatten()
        dense = torch.zeros(torch.Size(self.shape).numel())
        return dense.scatter_(0, self.places.decode(), values).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class TiedInputs(Encoded):
    """What leads away from each input, some inputs having the same and some nothing."""

    shape: tuple[int, ...]
    codes: Encoded  # (in,): 0 is nothing, 1 the first of the values
    values: Encoded  # (groups, out, *kernel)

    def decode(self) -> Tensor:
        values = self.values.decode().float()
        whole = torch.cat([values.new_zeros(1, *values.shape[1:]), values])[self.codes.decode().long()]  # (in, out, *kernel)
        return whole.transpose(0, 1).contiguous()


def places(kept: Tensor) -> Tensor:
    """Where kept (places,) bool is true, (kept count,) int64 ascending; seven times as quick as torch's nonzero."""
    return torch.from_numpy(np.flatnonzero(kept.numpy()))


def sparse(weight: Tensor, kept: Tensor) -> Encoded:
    """Store the entries of weight where kept (places,) bool is true. With all of them kept, the weight as it is."""
    if bool(kept.all()):
        return Dense(weight)
    values = weight.flatten().index_select(0, places(kept))
    return Sparse(tuple(weight.shape), cheapest_places(kept), Dense(values))


def cheapest_places(kept: Tensor) -> Encoded:
    """Which places (places,) bool are kept, in whichever way takes fewer bytes: a bitmap, or distances from one to the next."""
    if 3 * int(kept.sum()) < len(kept):  # a distance takes 2 bits at the least, so with more kept than that a bitmap is shorter
        gaps = _gaps(kept)
        total, width = _narrowest(gaps)
        if total < len(kept):
            return _distances(gaps, width)
    return Bitmap(Codes(kept.to(torch.uint8), 1))


def place_sizes(kept: Tensor, columns: int) -> dict[str, int]:
    """Bytes of each way to store which places (places,) bool are kept, by its name; rows of `columns` places make up the tensor.

    Compressed sparse rows hold the column of each kept place and where each row begins, coordinates the place itself, each number as
    narrow as the largest of its kind allows. Both are here to compare: distances at their best width take less than either in practice.
    """
    if len(kept) % columns:
        raise ValueError(f"{len(kept)} places do not make rows of {columns}")
    gaps, count = _gaps(kept), int(kept.sum())
    total, width = _narrowest(gaps)
    rows = _packed(len(kept) // columns + 1, bits.needed(count))
    return {
        "bitmap": _packed(len(kept), 1),
        f"relative index, {width} bits": _packed(total // width, width),
        "compressed sparse rows (CSR)": _packed(count, bits.needed(columns - 1)) + rows,
        "coordinates (COO)": _packed(count, bits.needed(len(kept) - 1)),
    }


def _packed(count: int, width: int) -> int:
    return -(-count * width // 8)


def _gaps(kept: Tensor) -> Tensor:
    """How many places lie between one that is kept and the one before it, (kept count,) int64."""
    where = places(kept)
    return torch.diff(where, prepend=where.new_tensor([-1])) - 1


def _narrowest(gaps: Tensor) -> tuple[int, int]:
    """The fewest bits that distances take, and the width of a code that does it."""
    return min(((len(gaps) + int((gaps // (2**width - 1)).sum())) * width, width) for width in range(2, bits.WIDEST + 1))


def _distances(gaps: Tensor, width: int) -> Gaps:
    skip = 2**width - 1
    skips = gaps // skip
    ends = (skips + 1).cumsum(0) - 1  # where each gap's last code stands
    codes = torch.full((int(ends[-1]) + 1 if len(ends) else 0,), skip, dtype=torch.int32)
    codes[ends] = (gaps % skip).to(torch.int32)
    return Gaps(Codes(codes.to(torch.uint8) if width <= 8 else codes, width), skip)
