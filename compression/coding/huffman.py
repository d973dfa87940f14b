"""Give the codes that come often few bits, and the rare ones many."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Encoded, Layout, replace_leaves
from compression.method import Failure, Layer, Method
from compression.places import sparse

LONGEST = 32  # bits of a code word
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Huffman(Encoded):
    """Whole numbers (count,) in code words of different lengths. Held decoded for speed; to_bytes writes them.

    The words are canonical: those of one length count up in the order of their numbers, so the lengths tell them all.
    """

    values: Tensor  # uint8 (count,) where the largest is below 256, int32 above
    table: Encoded  # Codes or Sparse: bits of the word for each number from 0 to the largest, 0 where it does not occur
    length: int  # bits of all words together

    def decode(self) -> Tensor:
        return self.values

    def parts(self) -> Iterator[tuple[str, Any]]:
        """Nothing in here can be stored another way by a later step."""
        return iter(())

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + -(-self.length // 8)

    def items(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        yield from self.table.items(f"{prefix}table.")
        yield f"{prefix}stream", -(-self.length // 8)

    def to_bytes(self) -> bytes:
        return self.table.to_bytes() + write(self.values.numpy(), self.lengths())

    def lengths(self) -> NDArray[np.int64]:
        return self.table.decode().numpy().astype(np.int64)

    def layout(self) -> Layout:
        return {"form": "Huffman", "table": self.table.layout(), "count": self.values.numel(), "length": self.length}

    @classmethod
    def read(cls, layout: Layout, take: Callable[[int], bytes]) -> "Huffman":
        if layout["table"]["form"] not in ("Codes", "Sparse"):
            raise ValueError(f"a Huffman table is stored as Codes or Sparse, not as {layout['table']['form']}")
        table = Encoded.forms[layout["table"]["form"]].read(layout["table"], take)
        lengths = table.decode().numpy().astype(np.int64)
        values = read(take(-(-layout["length"] // 8)), lengths, layout["count"])
        small = np.uint8 if len(lengths) <= 256 else np.int32
        return cls(torch.from_numpy(values.astype(small)), table, layout["length"])


class Counted(NamedTuple):
    """Codes, how often each number occurs among them, and how many bits its word has."""

    codes: Tensor  # (n,)
    counts: Tensor  # (largest + 1,)
    lengths: Tensor  # (largest + 1,) uint8, 0 where the number does not occur


def prepare(codes: Tensor, layer: Layer) -> Counted:
    counts = torch.bincount(codes.flatten())
    small = torch.uint8 if len(counts) <= 256 else torch.int32
    return Counted(codes.flatten().to(small), counts, torch.from_numpy(word_lengths(counts.numpy())))


def answer(counted: Counted) -> Encoded:
    codes, counts, lengths = counted
    plain = Codes(codes, needed(max(0, len(counts) - 1)))
    if not len(codes):
        return plain
    width = needed(int(lengths.max()))
    listed = replace_leaves(sparse(lengths, lengths > 0), "values", lambda present: Codes(present, width))
    table = min(Codes(lengths, width), listed, key=lambda form: form.nbytes)
    coded = Huffman(codes, table, int((counts * lengths).sum()))
    return coded if coded.nbytes < plain.nbytes else plain


def entropy(counts: Tensor) -> float:
    """Bits per symbol that no code for single symbols can beat (Shannon 1948). counts: (symbols,)."""
    share = counts[counts > 0].double() / counts.sum()
    return float(-(share * share.log2()).sum())


def word_lengths(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits of each symbol's word, (symbols,); 0 for those that never occur, 1 where only one does.

    The two rarest are joined until one is left. Joined counts come out in ascending order, so two queues do instead of
    a heap (van Leeuwen 1976). A word over 32 bits, possible from 9.2 million codes on, is avoided by halving counts,
    which makes the code a little longer than the best.
    """
    lengths = np.zeros(len(counts), np.uint8)
    present = np.flatnonzero(counts)
    order = present[np.argsort(counts[present], kind="stable")]
    weight = counts[order].tolist()
    n = len(weight)
    if n < 2:
        lengths[order] = 1
        return lengths
    parent = [0] * (2 * n - 1)
    leaf, joined = 0, n  # the next in each queue
    for new in range(n, 2 * n - 1):
        total = 0
        for _ in range(2):
            if leaf < n and (joined >= new or weight[leaf] <= weight[joined]):
                pick, leaf = leaf, leaf + 1
            else:
                pick, joined = joined, joined + 1
            parent[pick] = new
            total += weight[pick]
        weight.append(total)
    depth = [0] * (2 * n - 1)
    for node in range(2 * n - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    if max(depth) > LONGEST:
        return word_lengths((counts + 1) // 2)
    lengths[order] = depth[:n]
    return lengths


def words(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Symbols in the order of their words, and those words moved up to fill 32 bits: both (present,), ascending.

    >>> words(np.array([2, 1, 0, 2]))[0].tolist(), [f"{w >> 30:02b}" for w in words(np.array([2, 1, 0, 2]))[1]]
    ([1, 0, 3], ['00', '10', '11'])
    """
    order = np.lexsort((np.arange(len(lengths)), lengths))
    order = order[lengths[order] > 0]
    room = 1 << (LONGEST - lengths[order])  # each word takes this share of all 2**32 numbers
    if room.sum() > 1 << LONGEST:
        raise ValueError("these lengths belong to no code: there are too many short words")
    return order, np.cumsum(room) - room


def write(values: NDArray[Any], lengths: NDArray[np.int64]) -> bytes:
    """The words of the values one after the other, first bit first, filled up with zeros to a whole byte."""
    order, word = words(lengths)
    table = np.zeros(len(lengths), np.int64)
    table[order] = word
    planes = np.arange(int(lengths.max(initial=0)))
    bit = (table[:, None] >> (LONGEST - 1 - planes) & 1).astype(np.uint8)  # (symbols, longest)
    used = planes < lengths[:, None]
    chunks = (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))
    return np.packbits(np.concatenate([np.zeros(0, np.uint8), *(bit[v][used[v]] for v in chunks)])).tobytes()


def read(stream: bytes, lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The inverse of write: the first count values. Raises ValueError where the stream holds fewer.

    What word would start at each bit is found for all bits together; then one walks from word to word.
    """
    order, word = words(lengths)
    sizes = lengths[order]
    raw = np.frombuffer(stream + bytes(8), np.uint8).astype(np.int64)
    found: list[NDArray[np.int64]] = []
    place = done = 0  # bits, values
    for start in range(0, len(stream), _CHUNK):
        end = min(start + _CHUNK, len(stream))
        five = sum(raw[start + i : end + i] << (32 - 8 * i) for i in range(5))  # 40 bits from each byte on
        window = (five[:, None] >> (8 - np.arange(8)) & 0xFFFFFFFF).ravel()  # 32 bits from each bit on
        which = _which(window, word, sizes)
        ahead = sizes[which].tolist()
        here, last, visited = place - 8 * start, 8 * (end - start), []
        while here < last and done + len(visited) < count:
            visited.append(here)
            here += ahead[here]
        found.append(order[which[visited]])
        done, place = done + len(visited), here + 8 * start
    if done < count or place > 8 * len(stream):
        raise ValueError(f"the Huffman stream ends after {done} values, but {count} are needed")
    return np.concatenate([np.zeros(0, np.int64), *found])


def _which(window: NDArray[np.int64], word: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which word each window starts with. Words of 16 bits or fewer are told by a table of the upper half."""
    table = np.searchsorted(word, np.arange(1 << 16, dtype=np.int64) << 16, side="right") - 1
    which = table[window >> 16]
    if sizes.max(initial=0) > 16:
        longer = np.flatnonzero(window >= word[np.argmax(sizes > 16)])
        which[longer] = np.searchsorted(word, window[longer], side="right") - 1
    return which


METHOD = Method(
    title="Huffman coding",
    summary="Write frequent codes in few bits and rare ones in many, losing nothing; what would not get shorter stays.",
    reference="Huffman 1952, A Method for the Construction of Minimum-Redundancy Codes; Han et al., arXiv:1510.00149",
    survey="6.4",
    knobs=(),
    prepare=prepare,
    answer=answer,
    consumes="codes",
    lossless=True,
    terms=(
        ("entropy", "The average number of bits that a code for single symbols needs at the least."),
        ("prefix code", "Words of which none begins with another, so that they can be read without gaps between them."),
    ),
    fails=Failure(
        "Nearly all codes are one of two, worth much less than a bit, but no word is shorter than a bit.",
        "lenet-300-100", "fc1", (), instead=("coding.rans", ()),
        after=(("quantization.uniform", (("bits", 2),)),)),
)
