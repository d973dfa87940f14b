"""One picture of what a method prepared, the setting it is drawn at, and the picture that all methods with few values share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import Tensor

from app.questions import asked
from compression.method import Knob, Value

POINTS = 400  # of a curve
ENOUGH = 64  # weights of which one sees what becomes of them


class Drawn(NamedTuple):
    """One picture of something that was prepared."""

    title: str
    kind: Literal["curve", "bars", "spread", "map", "levels", "stairs"]
    values: np.ndarray  # (n,), or (rows, columns) of a map
    x: str  # names of the axes
    y: str
    said: str  # in words, what one sees
    at: tuple[str, ...] = ()  # names of the places along x, where they have any
    mark: float | None = None  # where the present setting stands along x
    gone: np.ndarray | None = None  # (n,) bool: those that are removed at the present setting
    along: np.ndarray | None = None  # (n,) where each value stands along x, where that is a number of its own
    down: tuple[str, ...] = ()  # names of the rows of a map, where they have any


@dataclass(frozen=True, eq=False)
class Setting:
    """What the pictures are drawn at: the layer's weight and what it has become, and the knobs."""

    weight: Tensor
    decoded: Tensor
    knobs: tuple[Knob, ...]
    values: Mapping[str, Value]
    family: str
    rank: int | None = None  # of the stored form, where it is a product of two factors
    layers: tuple[str, ...] = ()  # of the network

    def at(self, key: Any) -> int:
        """How many parts of a table's key are the present setting's."""
        return sum(any(part == v and type(part) is type(v) for v in self.values.values()) for part in parts(key))


def parts(key: Any) -> tuple[Any, ...]:
    """The parts of a table's key."""
    return key if isinstance(key, tuple) else (key,)


def asking(d: Drawn) -> Drawn:
    """A picture with its question for a title, and its numbers by their name."""
    question, axis = asked(d.title)
    if d.gone is not None and d.kind == "spread" and d.y.startswith("weights"):
        question = f"Which weights go, by {axis}?"
    own = d.title.lower()
    return d._replace(title=question, x=axis if d.x == own else d.x, y=axis if d.y == own else d.y)


def stairs(setting: Setting) -> Drawn:
    """What weights of the first output, or of a few where each has few, were and have become."""
    before, after = (w.reshape(len(w) if w.ndim > 1 else 1, -1) for w in (setting.weight, setting.decoded))
    outputs = min(len(before), -(-ENOUGH // before.shape[1]))
    old, new = (w[:outputs].flatten().numpy() for w in (before, after))
    order = old.argsort(kind="stable")
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), POINTS)).astype(int))]
    whose = f"the first {outputs:,} outputs" if outputs > 1 else "the first output" if len(before) > 1 else "the layer"
    levels = len(np.unique(new))
    count = "all of different values" if levels == len(new) else f"{levels:,} values in all"
    said = f"{len(new):,} weights of {whose}, stored as {count}. On the grey line nothing changes."
    return Drawn("What is each weight stored as?", "stairs", new[shown], "weight as trained", "weight as stored", said, along=old[shown])
