"""Where a network's inner values keep the examples of a batch, found by running it on two and on three of them."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Scaled(NamedTuple):
    """A number, or a tuple of numbers, of which the marked ones grow with the batch: x.size(0), say."""

    grows: tuple[bool, ...]


SAME = "same"  # does not depend on the batch
UNKNOWN = "unknown"


class Axes(tuple):
    """For each value of a network: the axis (int) along which it grows with the batch, Scaled, SAME or UNKNOWN."""

    @classmethod
    def of(cls, everything: Callable[[Tensor], list[Any]], sample: Tensor) -> "Axes":
        """From all values of a run on the first two and on the first three examples."""
        return cls(_axis(a, b) for a, b in zip(everything(sample[:2]), everything(sample[:3])))

    def known(self, places: Iterable[int]) -> bool:
        """Whether all these values can be cut and stacked."""
        return all(_known(self[p]) for p in places)

    def along(self, place: int) -> bool:
        """Whether a value is made of tensors that all grow with the batch, so that several can be joined to one."""
        return _along(self[place])


def _known(axis: Any) -> bool:
    return all(map(_known, axis)) if type(axis) is tuple else axis != UNKNOWN


def _along(axis: Any) -> bool:
    return any(map(_along, axis)) and all(_along(a) or a is SAME for a in axis) if type(axis) is tuple else isinstance(axis, int)


def _axis(two: Any, three: Any) -> Any:
    if isinstance(two, Tensor) and isinstance(three, Tensor):
        if two.ndim != three.ndim:
            return UNKNOWN
        grown = [i for i, (a, b) in enumerate(zip(two.shape, three.shape)) if a != b]
        if not grown:
            return SAME if torch.equal(two, three) else UNKNOWN
        return grown[0] if len(grown) == 1 and two.shape[grown[0]] * 3 == three.shape[grown[0]] * 2 else UNKNOWN
    if isinstance(two, tuple) and two and all(isinstance(v, int) for v in two) and len(two) == len(three):
        fits = all(a == b or a * 3 == b * 2 for a, b in zip(two, three))
        return Scaled(tuple(a != b for a, b in zip(two, three))) if fits else UNKNOWN
    if isinstance(two, int) and not isinstance(two, bool):
        return SAME if two == three else Scaled((True,)) if two * 3 == three * 2 else UNKNOWN
    if type(two) is tuple and type(three) is tuple and len(two) == len(three):
        return tuple(map(_axis, two, three))
    return SAME if two is three or (not isinstance(two, Tensor) and type(two) is type(three) and bool(two == three)) else UNKNOWN


def take(value: Any, axis: Any, rows: Tensor, n: int) -> Any:
    """The part of a value that belongs to some rows of a batch of n; rows may come more than once."""
    if isinstance(axis, Scaled):
        if isinstance(value, int):
            return value // n * len(rows)
        return type(value)(v // n * len(rows) if grows else v for v, grows in zip(value, axis.grows))
    if type(axis) is tuple:
        return tuple(take(v, a, rows, n) for v, a in zip(value, axis))
    if not isinstance(axis, int):
        return value
    if value.shape[axis] == n:
        return value.index_select(axis, rows)
    return value.unflatten(axis, (n, -1)).index_select(axis, rows).flatten(axis, axis + 1)


def joined(values: list[Any], axis: Any) -> Any:
    """Several values of one kind as one, along the axis of the examples."""
    if type(axis) is tuple:
        return tuple(joined([v[i] for v in values], a) for i, a in enumerate(axis))
    return torch.cat(values, axis) if isinstance(axis, int) else values[0]
