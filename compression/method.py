"""What a compression method is: two functions, the dials they obey, and the words that explain them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

Value = float | int | str | bool
Kind = Literal["linear", "conv", "embedding", "recurrent", "attention"]


@dataclass(frozen=True)
class Knob:
    """One dial. Its ladder is finite, so every setting can be tested, cached, linked to, and drawn in advance."""

    name: str
    label: str
    ladder: tuple[Value, ...]
    default: Value
    help: str
    bytes_along: Literal["fall", "rise", "any"] = "any"  # what stored size does as the ladder is climbed
    off: Value | None = None  # the rung at which the method does nothing at all

    def __post_init__(self) -> None:
        if self.default not in self.ladder:
            raise ValueError(f"knob {self.name!r}: default {self.default!r} is not on its ladder")
        if self.off is not None and self.off not in self.ladder:
            raise ValueError(f"knob {self.name!r}: off {self.off!r} is not on its ladder")


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight, (out, in, *kernel) as torch keeps it, with its dotted name and what is known of how it is used.

    inputs: mean of the products of its inputs over calibration data, (in * kernel, in * kernel), where recorded.
    """

    name: str  # the module's named_modules() name, or the parameter's where a module has several weights
    weight: Tensor
    kind: Kind = "linear"
    groups: int = 1  # of a convolution
    names: tuple[str, ...] = ()  # every parameter name that holds this one tensor; more than one when tied
    inputs: Tensor | None = None

    @property
    def tied(self) -> bool:
        return len(self.names) > 1


def anywhere(weight: Tensor, layer: Layer) -> str | None:
    """For methods that can store any tensor."""
    return None


@dataclass(frozen=True)
class Method:
    """A way to store a tensor in fewer bytes: prepare does the slow part once, answer is quick at any knob setting.

    prepare(tensor, layer) returns plain data that can be drawn. answer(prepared, **knobs) returns an Encoded.
    refuses(tensor, layer) says in one sentence why the method does not apply there, or None where it does.
    """

    title: str
    summary: str
    reference: str
    survey: str  # section of O'Neill 2020, "3.1"
    knobs: tuple[Knob, ...]
    prepare: Callable[[Tensor, Layer], Any]
    answer: Callable[..., Any]
    refuses: Callable[[Tensor, Layer], str | None] = anywhere
    consumes: Literal["values", "codes"] = "values"
    lossless: bool = False
    terms: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        asked = [p.name for p in list(inspect.signature(self.answer).parameters.values())[1:]]
        declared = [k.name for k in self.knobs]
        if asked != declared:
            raise TypeError(f"{self.title}: answer takes {asked}, but the knobs are {declared}")

    def knob(self, name: str) -> Knob:
        """The knob of that name. Raises ValueError with the names there are."""
        for k in self.knobs:
            if k.name == name:
                return k
        raise ValueError(f"{self.title} has no knob {name!r}; it has {', '.join(k.name for k in self.knobs) or 'none'}")
