"""What a way of training is: a title, dials, and a generator of progress. One file each, found by the registry like a method."""

import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compression.data import Data
from compression.method import Knob, Value, knob_of
from compression.network import Network
from compression.recipe import Recipe, to_json
from compression.train.loop import Store, watched
from compression.train.progress import Point, Progress, Run, Trained

Going = Generator[Run | None, None, Run]  # a run while it goes on: what is new, or None; in the end the whole run


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be trained: a network, the recipe on screen, and the seed that decides all else."""

    network: Network
    recipe: Recipe
    seed: int = 0
    store: Store | None = None  # where the state of long runs is kept

    @property
    def teach(self) -> Data:
        """The examples that may teach."""
        return self.network.reference.data["train"]

    @property
    def watch(self) -> Data:
        """The validation examples that curves are measured on, and by which the best is chosen."""
        return watched(self.network.reference.data["validation"])

    def key(self, *words: object) -> str:
        """What one training of this task is kept under: all that decides it."""
        return " ".join(map(str, ("training-2", self.network.digest, self.teach.digest, self.watch.digest, to_json(self.recipe), self.seed, *words)))


def anything(task: Task) -> str | None:
    """For procedures that can train any network."""
    return None


@dataclass(frozen=True)
class Procedure:
    """A way to train. run(task, **knobs) yields Progress, or None for work with nothing new to show.

    refuses(task) says in one sentence why it does not apply, or None where it does; networks without labelled training and validation
    examples are refused before it is asked. shown_on: the shipped network, and recipe, of its recorded study.
    """

    title: str
    summary: str
    reference: str
    survey: str  # section of O'Neill 2020
    knobs: tuple[Knob, ...]
    run: Callable[..., Iterator[Progress | None]]
    shown_on: str
    recipe: Recipe = field(default_factory=Recipe)  # that the recorded study begins from
    uses_recipe: bool = True  # whether the recipe on screen counts, or only the network
    study: tuple[tuple[tuple[str, Value], ...], ...] = ((),)  # the settings that are recorded; a setting names the knobs that differ
    begins: tuple[Recipe, ...] = ()  # by setting, the recipe it begins from, where that is not the same for all
    refuses: Callable[[Task], str | None] = anything
    finding: str = ""  # what the literature says one should see
    terms: tuple[tuple[str, str], ...] = ()
    told: tuple[str, ...] = ()  # traced numbers, by name, that belong beside what came out
    learns_from: str = ""  # what, where that is not the network's own training examples

    def __post_init__(self) -> None:
        asked = [p.name for p in list(inspect.signature(self.run).parameters.values())[1:]]
        declared = [k.name for k in self.knobs]
        if asked != declared:
            raise TypeError(f"{self.title}: run takes {asked}, but the knobs are {declared}")

    def recorded(self) -> tuple[tuple[Recipe, dict[str, Value]], ...]:
        """The recipe and the setting of each row of the study."""
        recipes = self.begins or (self.recipe,) * len(self.study)
        return tuple((recipe, dict(setting)) for recipe, setting in zip(recipes, self.study, strict=True))

    def knob(self, name: str) -> Knob:
        """The knob of that name. Raises ValueError with the names there are."""
        return knob_of(self.title, self.knobs, name)

    def why_not(self, task: Task) -> str | None:
        """Why it cannot run, in one sentence; None where it can."""
        data = task.network.reference.data
        for split in ("train", "validation"):
            if split not in data or data[split].labels is None:
                return f"{task.network.title} came without labelled {split} examples, and training needs them."
        return self.refuses(task)

    def settings(self, **given: Value) -> dict[str, Value]:
        """All knobs, defaults for those not given. Raises ValueError for an unknown knob or a value off its ladder."""
        for name, value in given.items():
            if value not in self.knob(name).ladder:
                raise ValueError(f"{self.title}: {name} = {value!r} is not on the ladder {', '.join(map(str, self.knob(name).ladder))}")
        return {k.name: given.get(k.name, k.default) for k in self.knobs}


def following(run: Run, points: Iterator[Point | None], made: Callable[[], Trained], picture: Callable[[], Any] = lambda: None) -> Going:
    """A run that grows by points; where one is the best so far, made() gives the network it was measured on."""
    for point in points:
        if point is not None:
            run = replace(run, points=(*run.points, point), trained=made() if point.best else run.trained, picture=picture())
        yield run if point is not None else None
    return run


def onward(run: Run, part: Going, steps: int, last: bool = True) -> Going:
    """A run that goes on with a part, itself a run whose points count from these steps; what the part makes is kept if it is the last."""
    seconds = run.points[-1].seconds if run.points else 0.0

    def joined(new: Run) -> Run:
        points = tuple(p._replace(step=steps + p.step, seconds=seconds + p.seconds, best=last and p.best) for p in new.points)
        return replace(run, points=(*run.points, *points), trained=new.trained if last else None, picture=new.picture or run.picture)

    while True:
        try:
            new = next(part)
        except StopIteration as end:
            return joined(end.value)
        yield joined(new) if new is not None else None


def in_turn(watch: Data, starts: Sequence[tuple[Run, Callable[[tuple[Run, ...]], Going]]]) -> Iterator[Progress | None]:
    """Runs one after the other. Each start is the run as it is before its first step, and what carries it out, given the runs before."""
    runs = [run for run, _ in starts]
    yield Progress(tuple(runs), len(watch))
    for i, (_, carry_out) in enumerate(starts):
        going = carry_out(tuple(runs[:i]))
        while True:
            try:
                new = next(going)
            except StopIteration as end:
                runs[i] = end.value
                yield Progress(tuple(runs), len(watch))
                break
            if new is not None:
                runs[i] = new
            yield Progress(tuple(runs), len(watch)) if new is not None else None
