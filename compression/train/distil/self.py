"""Self-distillation: a network teaches a new one of its own architecture, which teaches the next, and so on."""

from collections.abc import Iterator

from torch import nn

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import SAME, untrained
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run

GENERATIONS = Knob("generations", "Generations", (1, 2, 3), 2, "How often the network that learnt becomes the teacher of a new one.")


def run(task: Task, generations: int, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The architecture trained anew without a teacher, and generation after generation, each taught by the one before."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))
    alone = Run("trained anew, without a teacher", steps, control=True)

    def born(number: int, run: Run, teacher: nn.Module) -> Going:
        lesson = Lesson(teacher, "soft targets", temperature, alpha, f"generation {number}")
        return taught(task, run, untrained(task.network, SAME, task.seed), how, lesson, SAME)

    starts = [(alone, lambda _: taught(task, alone, untrained(task.network, SAME, task.seed), how, None, SAME))]
    for number in range(1, generations + 1):
        run = Run(f"generation {number}", steps)
        starts.append((run, lambda runs, number=number, run=run: born(
            number, run, runs[-1].trained.network.module if number > 1 else task.network.module)))
    yield from in_turn(task.watch, starts)


PROCEDURE = Procedure(
    title="Self-distillation",
    summary="A network teaches a new one of its own architecture; what that learnt teaches the next.",
    reference="Furlanello et al. 2018, arXiv:1805.04770",
    survey="5.1",
    knobs=(GENERATIONS, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    finding="A network born again from its own answers does as well as its teacher, or a little better.",
)
