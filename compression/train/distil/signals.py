"""Teacher and student side by side: the network on screen teaches a smaller one, by a signal of choice, beside the same student alone."""

from collections.abc import Iterator
from dataclasses import replace

from compression.train.distil.signal import ALPHA, SIGNAL, TEMPERATURE
from compression.train.distil.students import ANY, STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run


def run(task: Task, student: str, signal: str, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """Two runs from the same weights, over the same examples in the same order."""
    how = plan(task, epochs)
    lesson = Lesson(task.network.module, signal, temperature, alpha)
    steps = how.total(len(task.teach))
    alone = Run(f"{words(student)}, without a teacher", steps, control=True)
    led = Run(f"{words(student)}, taught by {signal}", steps)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, untrained(task.network, student, task.seed), how, None, student)),
        (led, lambda _: taught(task, led, untrained(task.network, student, task.seed), how, lesson, student)),
    ])


PROCEDURE = Procedure(
    title="Teacher and student",
    summary="The network on screen teaches a smaller one: by softened answers, by its hidden layers, or by how it compares examples.",
    reference="Hinton et al. 2015, arXiv:1503.02531; Gou et al. 2021, arXiv:2006.05525",
    survey="5.0",
    knobs=(replace(STUDENT, ladder=(*STUDENT.ladder, *ANY), help="The teacher's architecture with less of everything, or any that ships for the "
                   "same data."), SIGNAL, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=(*((("student", "eighth width"), ("temperature", t)) for t in (1.0, 4.0, 16.0)),
           *((("student", "eighth width"), ("signal", s)) for s in ("scores", "hints", "similarity", "relations"))),
    finding="Soft targets help a small student: it ends nearer to its teacher than the same student that sees only labels.",
    terms=(
        ("soft targets", "the teacher's probabilities for all classes, which tell how alike it finds them"),
        ("temperature", "what scores are divided by before they become probabilities"),
    ),
)
