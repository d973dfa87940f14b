"""Write a code that stands many times in a row once, with how often. Lossless."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from compression.bits import WIDEST, needed
from compression.encoded import Codes, Encoded
from compression.method import Failure, Layer, Method


@dataclass(frozen=True, eq=False)
class Runs(Encoded):
    """Codes, each with the number of times that it stands in a row, less one."""

    codes: Encoded  # (runs,)
    lengths: Encoded  # (runs,)

    def decode(self) -> Tensor:
        return self.codes.decode().repeat_interleave(self.lengths.decode().int() + 1)


class Found(NamedTuple):
    """Codes, where each run of equal ones starts, how long it is, and how often each length occurs."""

    codes: Tensor  # (n,)
    starts: Tensor  # (runs,)
    lengths: Tensor  # (runs,) int32
    often: Tensor  # (distinct lengths, 2): each length, and how many runs have it
    largest: int


def prepare(codes: Tensor, layer: Layer) -> Found:
    flat = codes.flatten()
    new = torch.ones(len(flat), dtype=torch.bool)
    new[1:] = flat[1:] != flat[:-1]
    starts = new.nonzero().flatten()
    lengths = torch.diff(starts, append=starts.new_tensor([len(flat)])).int()
    often = torch.stack(lengths.long().unique(return_counts=True), 1)
    return Found(flat, starts, lengths, often, int(flat.max()) if len(flat) else 0)


def answer(found: Found) -> Encoded:
    """Runs, with the width of lengths that takes fewest bytes; a longer run is written as several."""
    codes, starts, lengths, often, largest = found
    small, wide = codes.to(torch.uint8 if largest < 256 else torch.int32), needed(largest)
    plain = Codes(small, wide)
    if not len(codes):
        return plain
    pieces = {width: int((_parts(often[:, 0], width) * often[:, 1]).sum()) for width in range(1, WIDEST + 1)}
    width = min(pieces, key=lambda w: pieces[w] * (w + wide))
    parts = _parts(lengths, width)
    written = torch.full((int(parts.sum()),), 2**width - 1, dtype=torch.int32)
    written[parts.cumsum(0) - 1] = lengths - 1 & 2**width - 1
    runs = Runs(Codes(small[starts].repeat_interleave(parts), wide), Codes(written.to(torch.uint8) if width <= 8 else written, width))
    return runs if runs.nbytes < plain.nbytes else plain


def _parts(lengths: Tensor, width: int) -> Tensor:
    """How many entries each run takes."""
    return (lengths - 1 >> width) + 1


METHOD = Method(
    title="Run-length coding",
    summary="Write a code that stands many times in a row once, with how often, losing nothing; what would not get shorter stays.",
    reference="Golomb 1966, Run-Length Encodings, IEEE Transactions on Information Theory 12",
    survey="6.4",
    knobs=(),
    prepare=prepare,
    answer=answer,
    consumes="codes",
    lossless=True,
    terms=(("run", "The same symbol several times in a row."),),
    fails=Failure(
        "Codes of eight bits hardly ever stand twice in a row, however often some occur.",
        "lenet-300-100", "fc1", (), instead=("coding.huffman", ()),
        after=(("quantization.uniform", (("bits", 8),)),)),
)
