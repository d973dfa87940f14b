"""An ensemble as the teacher: several networks from other random weights, and the mean of their scores."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import SAME, STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, scores, taught
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run

TEACHERS = Knob("teachers", "Teachers", (2, 3, 5), 3, "How many networks are trained and asked together.")


class Together(nn.Module):
    """The mean of several networks' scores."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([member(inputs) for member in self.members]).mean(0)


def run(task: Task, student: str, teachers: int, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student alone, the teachers, the student of the first of them, and that of all together."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))

    def lone(run: Run, which: str, number: int = 0) -> Going:
        return taught(task, run, untrained(task.network, which, task.seed + number), how, None, f"{which} {number}")

    def led(run: Run, members: list[nn.Module]) -> Going:
        whole = Together(members)
        lesson = Lesson(whole, "soft targets", temperature, alpha, f"ensemble of {len(members)}")
        right = float((scores(whole, task.watch).argmax(-1) == task.watch.labels.flatten()).double().mean())
        return taught(task, run, untrained(task.network, student, task.seed), how, lesson, student,
                      trace=lambda model: {"right answers of the teacher (%)": 100 * right})

    def members(runs: tuple[Run, ...]) -> list[nn.Module]:
        return [r.trained.network.module for r in runs[:teachers]]

    rows = [Run(f"teacher {i + 1}", steps) for i in range(teachers)]
    alone = Run(f"{words(student)}, without a teacher", steps, control=True)
    one = Run(f"{words(student)}, taught by teacher 1", steps, control=True)
    every = Run(f"{words(student)}, taught by all {teachers}", steps)
    yield from in_turn(task.watch, [
        *((row, lambda _, row=row, i=i: lone(row, SAME, i)) for i, row in enumerate(rows)), (alone, lambda _: lone(alone, student)),
        (one, lambda runs: led(one, members(runs)[:1])), (every, lambda runs: led(every, members(runs))),
    ])


PROCEDURE = Procedure(
    title="Ensemble of teachers",
    summary="Several networks are trained from other random weights, and the mean of their scores teaches one small student.",
    reference="Buciluă et al. 2006; Hinton et al. 2015, arXiv:1503.02531, section 5; Freitag et al. 2017, arXiv:1702.01802",
    survey="5.4",
    knobs=(STUDENT, TEACHERS, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    finding="An ensemble is better than each of its members, and one student can learn most of what it knows.",
)
