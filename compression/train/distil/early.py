"""Is a better teacher a better teacher? A new teacher is trained to the end and another is stopped early; both teach the same student."""

from collections.abc import Iterator

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import SAME, STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.loop import looks
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run

STOP = Knob("stop", "Stopped after", (0.1, 0.2, 0.3, 0.5, 0.7), 0.3, "The share of its training after which the second teacher stops.")


def run(task: Task, student: str, stop: float, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """Two teachers of the network's architecture from the same weights, and three students from the same weights."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))
    look = looks(how, len(task.teach))
    short = max(1, round(stop * steps / look)) * look  # where a curve has a point

    def lone(run: Run, which: str) -> Going:
        return taught(task, run, untrained(task.network, which, task.seed), how, None, which, until=run.steps)

    def led(run: Run, teacher: Run, until: int) -> Going:
        lesson = Lesson(teacher.trained.network.module, "soft targets", temperature, alpha, f"trained {until} of {steps}")
        return taught(task, run, untrained(task.network, student, task.seed), how, lesson, student)

    whole, early = Run("teacher, trained to the end", steps), Run(f"teacher, stopped after {stop:.0%}", short)
    alone = Run(f"{words(student)}, without a teacher", steps, control=True)
    late, soon = Run(f"{words(student)}, taught by the whole teacher", steps, control=True), Run(f"{words(student)}, taught by the early one", steps)
    yield from in_turn(task.watch, [
        (whole, lambda _: lone(whole, SAME)), (early, lambda _: lone(early, SAME)), (alone, lambda _: lone(alone, student)),
        (late, lambda runs: led(late, runs[0], steps)), (soon, lambda runs: led(soon, runs[1], short)),
    ])


PROCEDURE = Procedure(
    title="Early-stopped teacher",
    summary="A teacher that was trained to the end and one that was stopped early teach the same student.",
    reference="Cho and Hariharan 2019, arXiv:1910.01348",
    survey="5.1",
    knobs=(STUDENT, STOP, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((), (("stop", 0.1),), (("stop", 0.7),)),
    finding="The more accurate teacher need not be the better one: a student that is much smaller does better with one stopped early.",
)
