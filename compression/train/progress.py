"""What a training shows while it goes on: runs beside each other, each with its curve and the best network so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from compression.network import Network
from compression.recipe import Recipe

NOTHING: Mapping[str, float] = MappingProxyType({})


class Point(NamedTuple):
    """How far a run was at one moment."""

    step: int
    seconds: float  # of processor time since the run began
    loss: float  # mean over the batches since the last point
    accuracy: float  # share of right answers on the watched validation examples
    best: bool = False  # no earlier point had more
    traced: Mapping[str, float] = NOTHING  # other numbers by name: "weights left (%)"


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that training made, with the recipe it is to be looked at under. What it weighs and answers is measured, not told."""

    network: Network  # its layers may come already stored; its origin is what it is compared with
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, eq=False)
class Run:
    """One training, or one of several that are compared."""

    title: str  # "fine-tuned"
    steps: int  # that it will take in all
    points: tuple[Point, ...] = ()
    control: bool = False  # what the others have to beat
    trained: Trained | None = None  # the best so far
    picture: Any = None  # of what is special to it: plain data for the screen

    @property
    def best(self) -> Point | None:
        """The point that the trained network was measured at: the last that was the best so far."""
        return next((p for p in reversed(self.points) if p.best), None)


@dataclass(frozen=True, eq=False)
class Progress:
    """All runs of a procedure so far."""

    runs: tuple[Run, ...]
    watched: int  # validation examples that the curves are measured on

    @property
    def share(self) -> float:
        """How much of all steps is done, 0 to 1."""
        done = sum(min(r.steps, r.points[-1].step) if r.points else 0 for r in self.runs)
        return done / max(1, sum(r.steps for r in self.runs))
