"""Is it the teacher, or only softer labels? Students of teachers with and without label smoothing, beside students that are only smoothed."""

from collections.abc import Iterator

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import SAME, STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

SMOOTHING = Knob("smoothing", "Label smoothing", (0.05, 0.1, 0.2, 0.3), 0.1, "The share of a label's weight that goes to all classes alike.")


def run(task: Task, student: str, smoothing: float, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """Two new teachers of the network's architecture, and four students from the same weights."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))

    def lone(run: Run, which: str, amount: float):
        return lambda _: taught(task, run, untrained(task.network, which, task.seed), how, None, which, smoothing=amount)

    def led(run: Run, place: int, said: str):
        return lambda runs: taught(task, run, untrained(task.network, student, task.seed), how, Lesson(
            runs[place].trained.network.module, "soft targets", temperature, alpha, said), student)

    plain, smooth = Run("teacher, plain labels", steps), Run("teacher, smoothed labels", steps)
    alone, soft = Run(f"{words(student)}, plain labels", steps, control=True), Run(f"{words(student)}, smoothed labels", steps, control=True)
    one, other = Run(f"{words(student)}, taught by the plain teacher", steps), Run(f"{words(student)}, taught by the smoothed teacher", steps)
    yield from in_turn(task.watch, [
        (plain, lone(plain, SAME, 0.0)), (smooth, lone(smooth, SAME, smoothing)),
        (alone, lone(alone, student, 0.0)), (soft, lone(soft, student, smoothing)),
        (one, led(one, 0, "plain")), (other, led(other, 1, f"smoothed {smoothing}")),
    ])


PROCEDURE = Procedure(
    title="Label smoothing and teachers",
    summary="Students of a teacher with smoothed labels and of one without, beside students whose labels are only smoothed.",
    reference="Müller et al. 2019, arXiv:1906.02629; Yuan et al. 2020, arXiv:1909.11723",
    survey="5.1",
    knobs=(STUDENT, SMOOTHING, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    finding="Smoothing makes a better network and a worse teacher: it wipes out how alike the classes are.",
)
