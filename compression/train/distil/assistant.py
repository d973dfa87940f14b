"""A teacher assistant: where teacher and student are far apart, a network of a size between them learns first and then teaches."""

from collections.abc import Iterator

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

ASSISTANT = Knob("assistant", "Assistant", ("half width", "quarter width", "half depth"), "half width", "The network between teacher and student.")
SMALL = Knob("student", "Student", STUDENT.ladder, "eighth width", STUDENT.help)


def run(task: Task, assistant: str, student: str, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student alone, taught by the teacher itself, and taught by an assistant that the teacher taught."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))
    alone = Run(f"{words(student)}, without a teacher", steps, control=True)
    direct = Run(f"{words(student)}, taught by the teacher", steps, control=True)
    between = Run(f"assistant of {assistant}, taught by the teacher", steps)
    led = Run(f"{words(student)}, taught by the assistant", steps)

    def lesson(teacher, said: str = "") -> Lesson:
        return Lesson(teacher, "soft targets", temperature, alpha, said)

    def begun(which: str):
        return untrained(task.network, which, task.seed)

    whole, said = task.network.module, f"assistant {assistant} {alpha} {temperature}"
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, begun(student), how, None, student)),
        (direct, lambda _: taught(task, direct, begun(student), how, lesson(whole), student)),
        (between, lambda _: taught(task, between, begun(assistant), how, lesson(whole), assistant)),
        (led, lambda runs: taught(task, led, begun(student), how, lesson(runs[2].trained.network.module, said), student)),
    ])


PROCEDURE = Procedure(
    title="Teacher assistant",
    summary="A network of middling size learns from the teacher and then teaches the student.",
    reference="Mirzadeh et al. 2020, arXiv:1902.03393",
    survey="5.1",
    knobs=(ASSISTANT, SMALL, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((), (("assistant", "quarter width"),)),
    finding="A large gap between teacher and student hurts; an assistant between them helps the smallest students.",
)
