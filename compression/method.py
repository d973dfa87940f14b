"""What a compression method is: two functions, the dials they obey, and the words that explain them."""

import inspect
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from compression.encoded import Encoded

Value = float | int | str | bool
Kind = Literal["linear", "conv", "embedding", "recurrent", "attention"]
Need = Literal["inputs", "gradients", "network"]  # what a method may have to know beside the weight
A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


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


class Context(Protocol):
    """What a layer's network and its training examples tell; compression.context has it, worked out when first asked for."""

    @property
    def module(self) -> Any: ...
    @property
    def layers(self) -> "tuple[Layer, ...]": ...
    @property
    def digest(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def example(self) -> Tensor | None: ...
    @property
    def examples(self) -> Tensor: ...
    @property
    def labels(self) -> Tensor: ...
    @property
    def scores(self) -> Tensor: ...
    def once(self, key: Any, make: Callable[[], Any]) -> Any: ...
    def why_not(self, needs: tuple[Need, ...], layer: "Layer") -> str | None: ...
    def spare(self) -> Any: ...
    def inputs(self, layer: str) -> Tensor: ...
    def products(self, layer: str) -> Tensor: ...
    def outputs(self, layer: str) -> Tensor: ...
    def output_fisher(self, layer: str) -> Tensor: ...
    def gradients(self, layer: str) -> Any: ...
    @property
    def alone(self) -> int: ...
    def each(self, measure: "Callable[[Tensor, Tensor], Tensor]" = ...) -> "Iterator[dict[str, Tensor]]": ...


@dataclass(frozen=True, eq=False)
class Layer:
    """A weight, (out, in, *kernel) as torch keeps it, with its dotted name and the network around it, where there is one."""

    name: str  # the module's named_modules() name, or the parameter's where a module has several weights
    weight: Tensor
    kind: Kind = "linear"
    groups: int = 1  # of a convolution
    names: tuple[str, ...] = ()  # every parameter name that holds this one tensor; more than one when tied
    context: "Context | None" = field(default=None, repr=False)
    stored: "Encoded | None" = field(default=None, repr=False)  # as training left it: decodes to weight, and chains go on from it

    @property
    def tied(self) -> bool:
        return len(self.names) > 1


def anywhere(weight: Tensor, layer: Layer) -> str | None:
    """For methods that can store any tensor."""
    return None


def drained(work: Generator[Any, None, T]) -> T:
    """What a generator returns in the end, what it yields on the way thrown away."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def mapped(work: Generator[A, None, T], say: Callable[[A], B]) -> Generator[B, None, T]:
    """A generator that returns what another does, and yields say(what the other yields)."""
    while True:
        try:
            given = next(work)
        except StopIteration as end:
            return end.value
        yield say(given)


@dataclass(frozen=True)
class Piecewise:
    """A slow prepare that yields, every second or so, the share of its work that is done, and returns the data.

    Called, it does all of the work and gives the data, as any other prepare does.
    """

    pieces: Callable[[Tensor, Layer], Generator[float, None, Any]]

    def __call__(self, weight: Tensor, layer: Layer) -> Any:
        return drained(self.pieces(weight, layer))


class Failure(NamedTuple):
    """A setting on a shipped network at which a method does badly, why, and what does better there; a test measures both."""

    why: str
    network: str
    layer: str
    knobs: tuple[tuple[str, Value], ...]
    instead: tuple[str, tuple[tuple[str, Value], ...]]  # method id and knobs: as small or smaller, and nearer to the original's answers
    after: tuple[tuple[str, tuple[tuple[str, Value], ...]], ...] = ()  # steps that come before either; for coders, which need codes


@dataclass(frozen=True)
class Method:
    """A way to store a tensor in fewer bytes: prepare does the slow part once, answer is quick at any knob setting.

    prepare(tensor, layer) returns plain data that can be drawn; one that takes seconds is Piecewise. answer(prepared, **knobs)
    returns an Encoded.
    refuses(tensor, layer) says in one sentence why the method does not apply there, or None where it does. A method that needs
    more than the weight finds it in layer.context, and is only asked where it is there.
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
    needs: tuple[Need, ...] = ()  # beside the weight: "inputs" and "gradients" come from training examples, "network" from the other layers
    terms: tuple[tuple[str, str], ...] = ()
    fails: Failure | None = None

    def __post_init__(self) -> None:
        asked = [p.name for p in list(inspect.signature(self.answer).parameters.values())[1:]]
        declared = [k.name for k in self.knobs]
        if asked != declared:
            raise TypeError(f"{self.title}: answer takes {asked}, but the knobs are {declared}")

    def why_not(self, tensor: Tensor, layer: Layer) -> str | None:
        """Why the method does not apply to a tensor of a layer, in one sentence; None where it does."""
        if self.needs:
            if layer.context is None:
                return f"{self.title} looks at the network around a layer, and this layer stands alone."
            if tensor is not layer.weight:
                return f"{self.title} looks at the weight as it was trained: put it first in the chain."
            missing = layer.context.why_not(self.needs, layer)
            if missing:
                return missing
        return self.refuses(tensor, layer)

    def preparing(self, tensor: Tensor, layer: Layer) -> Generator[float, None, Any]:
        """prepare, with the share that is done on the way: of one that cannot tell, 0 before it begins."""
        yield 0.0
        if isinstance(self.prepare, Piecewise):
            return (yield from self.prepare.pieces(tensor, layer))
        return self.prepare(tensor, layer)

    def knob(self, name: str) -> Knob:
        """The knob of that name. Raises ValueError with the names there are."""
        return knob_of(self.title, self.knobs, name)


def knob_of(title: str, knobs: tuple[Knob, ...], name: str) -> Knob:
    """The knob of that name. Raises ValueError with the names there are."""
    for k in knobs:
        if k.name == name:
            return k
    raise ValueError(f"{title} has no knob {name!r}; it has {', '.join(k.name for k in knobs) or 'none'}")
