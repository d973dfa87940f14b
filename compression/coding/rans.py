"""Spend on each code just as many bits as its frequency is worth, fractions of bits included. Lossless."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Encoded, Layout, replace_leaves
from compression.method import Failure, Layer, Method
from compression.places import sparse

_FINEST = 16  # bits of a frequency in the table


@dataclass(frozen=True, eq=False)
class Ans(Encoded):
    """Whole numbers (count,) as the state of an ANS coder, and the frequencies by which it was driven. Held decoded for speed."""

    values: Tensor  # uint8 (count,) where the largest is below 256, int32 above
    table: Encoded  # Codes or Sparse: the frequency of each number from 0 to the largest, 0 where it does not occur
    stream: bytes

    def decode(self) -> Tensor:
        return self.values

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Nothing in here can be stored another way by a later step."""
        return iter(())

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + len(self.stream)

    def items(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        yield from self.table.items(f"{prefix}table.")
        yield f"{prefix}stream", len(self.stream)

    def to_bytes(self) -> bytes:
        return self.table.to_bytes() + self.stream

    def layout(self) -> Layout:
        return {"form": "Ans", "table": self.table.layout(), "count": self.values.numel(), "length": len(self.stream)}

    @classmethod
    def read(cls, layout: Layout, take: Callable[[int], bytes]) -> "Ans":
        if layout["table"]["form"] not in ("Codes", "Sparse"):
            raise ValueError(f"a table of frequencies is stored as Codes or Sparse, not as {layout['table']['form']}")
        table = Encoded.forms[layout["table"]["form"]].read(layout["table"], take)
        stream = take(layout["length"])
        return cls(read(stream, table.decode().numpy(), layout["count"]), table, stream)


class Counted(NamedTuple):
    """Codes, and how often each number occurs among them."""

    codes: Tensor  # (n,)
    counts: Tensor  # (largest + 1,)


def prepare(codes: Tensor, layer: Layer) -> Counted:
    counts = torch.bincount(codes.flatten())
    return Counted(codes.flatten().to(torch.uint8 if len(counts) <= 256 else torch.int32), counts)


def answer(counted: Counted) -> Encoded:
    """Coded with the table, of 2 to 16 bits a frequency, that makes table and stream together shortest."""
    codes, counts = counted
    plain = Codes(codes, needed(max(0, len(counts) - 1)))
    if not len(codes):
        return plain
    tables = {width: frequencies(counts, width) for width in range(2, _FINEST + 1)}
    stored = {width: _stored(table, width) for width, table in tables.items()}
    best = min(tables, key=lambda width: 8 * stored[width].nbytes + cost(counts, tables[width]))
    if 8 * stored[best].nbytes + cost(counts, tables[best]) > 8 * plain.nbytes:
        return plain  # not worth trying
    coded = Ans(codes, stored[best], write(codes.numpy(), tables[best].numpy()))
    return coded if coded.nbytes < plain.nbytes else plain


def frequencies(counts: Tensor, width: int) -> Tensor:
    """Counts in proportion, the largest 2**width - 1, those that occur at least 1: (symbols,) int32."""
    scaled = (counts.double() * ((2**width - 1) / int(counts.max()))).round().clamp(min=1)
    return torch.where(counts > 0, scaled, 0).to(torch.int32)


def cost(counts: Tensor, table: Tensor) -> float:
    """Bits that codes with these counts take when driven by that table: their cross entropy."""
    here = counts > 0
    share = table[here].double() / table.sum()
    return float(-(counts[here] * share.log2()).sum())


def write(values: NDArray[Any], table: NDArray[Any]) -> bytes:
    """The coder's state after the values, in words of 32 bits, little endian."""
    coder = constriction.stream.stack.AnsCoder()
    if np.count_nonzero(table) > 1:
        place = np.cumsum(table > 0, dtype=np.int32) - 1  # the number of a symbol among those that occur
        coder.encode_reverse(place[values], _model(table))
    return coder.get_compressed().astype("<u4").tobytes()


def read(stream: bytes, table: NDArray[Any], count: int) -> Tensor:
    """The inverse of write: the first count values. Raises ValueError where the table or the stream cannot be right."""
    present = np.flatnonzero(table)
    if (count and not len(present)) or len(stream) % 4:
        raise ValueError("this ANS stream is damaged: its table is empty, or its length is no multiple of four bytes")
    places = np.zeros(count, np.int32)
    if len(present) > 1:
        coder = constriction.stream.stack.AnsCoder(np.frombuffer(stream, "<u4").astype(np.uint32))
        places = coder.decode(_model(table), count)
        if not coder.is_empty():
            raise ValueError(f"this ANS stream holds more than the {count} values that were asked for")
    return torch.from_numpy(present[places].astype(np.uint8 if len(table) <= 256 else np.int32))


def _model(table: NDArray[Any]) -> Any:
    """Shares as float64 of whole numbers, and no search for a perfect fit: the same on every machine."""
    present = table[table > 0].astype(np.float64)
    return constriction.stream.model.Categorical(present / present.sum(), perfect=False)


def _stored(table: Tensor, width: int) -> Encoded:
    small = table.to(torch.uint8) if width <= 8 else table
    listed = replace_leaves(sparse(small, small > 0), "values", lambda present: Codes(present, width))
    return min(Codes(small, width), listed, key=lambda form: form.nbytes)


METHOD = Method(
    title="Range coding by ANS",
    summary="Write codes in as many bits as their entropy says, fractions included, losing nothing; what would not get shorter stays.",
    reference="Duda 2009, Asymmetric Numeral Systems, arXiv:0902.0271; the coder is constriction, Bamler 2022, arXiv:2201.01741",
    survey="6.4",
    knobs=(),
    prepare=prepare,
    answer=answer,
    consumes="codes",
    lossless=True,
    terms=(("asymmetric numeral systems", "Writing symbols into one long number that grows by the inverse of each symbol's frequency."),),
    fails=Failure(
        "A small layer with many different codes: a table of frequencies takes more than one of word lengths, and eats up what was saved.",
        "vgg-small", "conv2", (), instead=("coding.huffman", ()),
        after=(("quantization.uniform", (("bits", 8),)),)),
)
