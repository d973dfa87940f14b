"""What is to be trained: a way of training with its dials, on the network and under the recipe on screen; its words in a link; its job."""

from typing import NamedTuple

from app import compute, jobs, parts, state
from compression.method import Knob, Value
from compression.network import Network
from compression.recipe import Recipe
from compression.registry import procedures
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress

FAMILY = {"recover": "Recover", "quantized": "Quantization-aware", "sparse": "Sparse", "scratch": "From scratch"}
FIRST = {"recover": "recover.fine_tune", "distil": "distil.signals", "quantized": "quantized.straight_through", "sparse": "sparse.tickets",
         "scratch": "scratch.low_rank"}  # the way of training that a family opens on
SEEDS = (0, 1, 2)


class Wanted(NamedTuple):
    """A training, down to the last thing that decides it."""

    name: str
    settings: tuple[tuple[str, Value], ...]
    network: Network
    recipe: Recipe
    seed: int

    @property
    def procedure(self) -> Procedure:
        """The way of training."""
        return procedures()[self.name]

    @property
    def task(self) -> Task:
        """What it is carried out on."""
        return Task(self.network, self.recipe if self.procedure.uses_recipe else Recipe(), self.seed, compute.kept_on_disk())

    @property
    def key(self) -> str:
        """Equal for trainings that are the same, whoever asks."""
        return self.task.key(self.name, self.settings)

    def find(self) -> jobs.Job[Progress] | None:
        """Its job, whoever began it."""
        return jobs.lasting.find(self.key)

    def begin(self) -> None:
        """Begin it, or go on where it was left."""
        jobs.lasting.submit(self.key, self.key, lambda: self.procedure.run(self.task, **dict(self.settings)), again=True)


def rung(knob: Knob, value: Value) -> str:
    """A rung as people read it: rates, temperatures and weights of losses as numbers, not as shares."""
    return f"{value:g}" if isinstance(value, float) else parts.shown(knob, value)


def families() -> list[str]:
    """Those of the page Train that have a way of training; distillation has a page of its own."""
    return [f for f in FAMILY if any(name.startswith(f"{f}.") for name in procedures())]


def to_words(name: str, settings: dict[str, Value], seed: int) -> str:
    """A training in a link, without what is as usual: "recover.fine_tune~epochs-5~seed-1"."""
    knobs = [(k.name, settings[k.name]) for k in procedures()[name].knobs if settings[k.name] != k.default]
    return "~".join([name, *(f"{k}-{v}" for k, v in knobs), *([f"seed-{seed}"] if seed else [])])


def from_words(text: str) -> tuple[str, dict[str, Value], int]:
    """What to_words wrote. Raises ValueError saying what could not be read."""
    name, *rest = text.split("~")
    if name not in procedures():
        raise ValueError(f"no way of training is called “{name[:40]}”")
    known, settings, seed = procedures()[name], {}, 0
    for word in rest:
        knob, _, value = word.partition("-")
        if knob == "seed" and value in map(str, SEEDS):
            seed = int(value)
            continue
        ladder = known.knob(knob[:40]).ladder
        found = next((v for v in ladder if str(v) == value), None)
        if found is None:
            raise ValueError(f"“{word[:40]}” is not on the ladder {', '.join(rung(known.knob(knob), v) for v in ladder)}")
        settings[knob] = found
    return name, known.settings(**settings), seed


def put(name: str, settings: dict[str, Value], seed: int) -> None:
    """Have this picked when the page is drawn next."""
    family = name.split(".")[0]
    if family in FAMILY:
        state.write("train.family", family)
    state.write(f"train.of.{family}", name)
    state.write("train.seed", seed)
    for knob, value in settings.items():
        state.write(f"train.{name}.{knob}", value)
