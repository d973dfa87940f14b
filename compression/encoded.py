"""What is really stored. Size is measured from the buffers held, never claimed by a method.

A form is written as two things: its buffers, one after the other (to_bytes, exactly nbytes long), and its layout, plain data
that says how to read them back (from_bytes). A packed file holds both, and both count towards its size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from compression import bits

Layout = dict[str, Any]


class Encoded:
    """A stored tensor: decode() gives it back, nbytes is what its buffers weigh. Subclasses are final frozen dataclasses."""

    forms: ClassVar[dict[str, type["Encoded"]]] = {}  # every form by its name, so that a file can name it

    def __init_subclass__(cls) -> None:
        Encoded.forms[cls.__name__] = cls

    def decode(self) -> Tensor:
        raise NotImplementedError

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The fields by name."""
        for f in fields(self):  # type: ignore[arg-type]
            yield f.name, getattr(self, f.name)

    @property
    def nbytes(self) -> int:
        return sum(_weigh(part) for _, part in self.parts())

    def items(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(what, bytes) of every buffer, as in ("values.codes", 1024). They add up to nbytes."""
        for name, part in self.parts():
            if isinstance(part, Encoded):
                yield from part.items(f"{prefix}{name}.")
            elif _weigh(part):
                yield prefix + name, _weigh(part)

    def to_bytes(self) -> bytes:
        return b"".join(_pour(part) for _, part in self.parts())

    def layout(self) -> Layout:
        """How to read to_bytes() back: the form's name, and for each field its layout, dtype and shape, length, or plain value."""
        return {"form": type(self).__name__} | {name: _describe(part) for name, part in self.parts()}

    @classmethod
    def read(cls, layout: Layout, take: Callable[[int], bytes]) -> "Encoded":
        """Rebuild one form. take(n) gives the next n bytes."""
        return cls(**{name: _rebuild(part, take) for name, part in layout.items() if name != "form"})


def from_bytes(layout: Layout, data: bytes) -> Encoded:
    """The form that was written. Raises ValueError when the bytes are too few or too many, or a form is unknown."""
    return all_from_bytes([layout], data)[0]


def all_from_bytes(layouts: list[Layout], data: bytes) -> list[Encoded]:
    """Forms whose buffers stand one after the other."""
    place = 0

    def take(count: int) -> bytes:
        nonlocal place
        if count < 0 or place + count > len(data):
            raise ValueError(f"the stored form ends after {len(data):,} bytes, but {place + count:,} are needed")
        place += count
        return data[place - count : place]

    trees = [_rebuild(layout, take) for layout in layouts]
    if place != len(data):
        raise ValueError(f"the stored form takes {place:,} bytes, but {len(data):,} were given")
    return trees


def _weigh(part: object) -> int:
    match part:
        case Encoded():
            return part.nbytes
        case Tensor():
            return part.numel() * part.element_size()
        case bytes():
            return len(part)
        case _:
            return 0  # plain values are in the layout, which a file counts as its header


def _pour(part: object) -> bytes:
    match part:
        case Encoded():
            return part.to_bytes()
        case Tensor():
            return part.contiguous().numpy().tobytes()
        case bytes():
            return part
        case _:
            return b""


def _describe(part: object) -> Any:
    match part:
        case Encoded():
            return part.layout()
        case Tensor():
            return {"dtype": str(part.dtype).removeprefix("torch."), "shape": list(part.shape)}
        case bytes():
            return {"bytes": len(part)}
        case tuple():
            return list(part)
        case _:
            return part


def _rebuild(part: Any, take: Callable[[int], bytes]) -> Any:
    match part:
        case {"form": str(name)}:
            if name not in Encoded.forms:
                raise ValueError(f"unknown stored form {name!r}; known are {', '.join(sorted(Encoded.forms))}")
            return Encoded.forms[name].read(part, take)
        case {"dtype": str(name), "shape": [*shape]}:
            dtype = _DTYPES.get(name)
            if dtype is None:
                raise ValueError(f"unknown number format {name!r}; known are {', '.join(sorted(_DTYPES))}")
            raw = take(torch.Size(shape).numel() * dtype.itemsize)
            return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape) if raw else torch.empty(shape, dtype=dtype)
        case {"bytes": int(count)}:
            return take(count)
        case list():
            return tuple(part)
        case _:
            return part


_DTYPES = {str(d).removeprefix("torch."): d for d in (
    torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)}


@dataclass(frozen=True, eq=False)
class Dense(Encoded):
    """Every value as it is, held in the order in which it is written: what is computed from it is then the same after reading back."""

    values: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.values.contiguous())

    def decode(self) -> Tensor:
        return self.values


@dataclass(frozen=True, eq=False)
class Codes(Encoded):
    """Small integers (count,), width bits each. Held unpacked so that a dial is quick; to_bytes packs them."""

    values: Tensor  # uint8 (count,) up to 8 bits, int32 above
    width: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= bits.WIDEST:
            raise ValueError(f"codes are 1 to {bits.WIDEST} bits wide, not {self.width}")
        if self.values.numel() and (int(self.values.max()) >> self.width or int(self.values.min()) < 0):
            raise ValueError(f"codes from {int(self.values.min())} to {int(self.values.max())} do not fit in {self.width} bits")

    def decode(self) -> Tensor:
        return self.values

    @property
    def nbytes(self) -> int:
        return -(-self.values.numel() * self.width // 8)

    def items(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        yield prefix.rstrip("."), self.nbytes

    def to_bytes(self) -> bytes:
        return bits.pack(self.values, self.width)

    def layout(self) -> Layout:
        return {"form": "Codes", "count": self.values.numel(), "width": self.width}

    @classmethod
    def read(cls, layout: Layout, take: Callable[[int], bytes]) -> "Codes":
        count, width = layout["count"], layout["width"]
        return cls(bits.unpack(take(-(-count * width // 8)), count, width), width)


@dataclass(frozen=True, eq=False)
class Levels(Encoded):
    """Evenly spaced levels: value = (code - zero) * scale, with one scale, and one zero where they differ, per group of neighbours."""

    shape: tuple[int, ...]
    codes: Encoded  # (values,)
    scale: Tensor  # (groups,) float32 or float16
    zero: Tensor | None  # (groups,) int32 or uint8; None: the same for all, `middle`
    middle: float  # a whole number, or a half where no level is at zero
    group: int  # neighbours that share a scale

    def decode(self) -> Tensor:
        codes = self.codes.decode().float().flatten()
        count = len(codes)
        whole = torch.nn.functional.pad(codes, (0, -count % self.group)).reshape(-1, self.group)  # (groups, group)
        zero = self.middle if self.zero is None else self.zero.float()[:, None]
        return ((whole - zero) * self.scale.float()[:, None]).flatten()[:count].reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Shared(Encoded):
    """A short codebook, and for each place the number of its entry."""

    shape: tuple[int, ...]
    codes: Encoded  # (values,)
    codebook: Tensor  # (entries,) float32

    def decode(self) -> Tensor:
        return self.codebook[self.codes.decode().flatten().long()].reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Factored(Encoded):
    """Two thin matrices whose product is the weight: (out, rank) and (rank, in * kernel)."""

    shape: tuple[int, ...]
    left: Encoded
    right: Encoded

    def decode(self) -> Tensor:
        return (self.left.decode() @ self.right.decode()).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Tucker2(Encoded):
    """A small convolution between two channel mixes: (out, r_out), (r_out, r_in, *kernel), (in, r_in)."""

    shape: tuple[int, ...]
    out: Encoded
    core: Encoded
    into: Encoded

    def decode(self) -> Tensor:
        small = torch.tensordot(self.out.decode(), self.core.decode(), dims=([1], [0]))  # (out, r_in, *kernel)
        return torch.tensordot(small, self.into.decode(), dims=([1], [1])).movedim(-1, 1).contiguous()


def replace_leaves(tree: Encoded, kind: Literal["values", "codes"], store: Callable[[Tensor], Encoded | None]) -> Encoded:
    """Store the leaves of one kind (real values, or integer codes) another way, or None to leave one; the rest of the tree is kept.

    Bits that say only whether a place is kept are not worth coding one by one and stay as they are.
    """
    if isinstance(tree, Dense if kind == "values" else Codes):
        return store(tree.values) or tree
    parts = {
        name: replace_leaves(part, kind, store)
        for name, part in tree.parts()
        if isinstance(part, Encoded) and name != "kept" and (kind == "codes" or name != "places")
    }
    return replace(tree, **parts) if parts else tree  # type: ignore[type-var]
