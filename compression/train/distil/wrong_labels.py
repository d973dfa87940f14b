"""Wrong labels: some are replaced at random, and a teacher that learnt from right ones helps the student to see through them."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from compression.data import Data
from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

WRONG = Knob("wrong", "Wrong labels", (0.1, 0.2, 0.4, 0.6), 0.4, "The share of training labels that are replaced by another class at random.")


def corrupted(data: Data, share: float, seed: int) -> Data:
    """The same examples, with a share of the labels replaced by any other class."""
    dice = torch.Generator().manual_seed(seed)
    struck = torch.rand(data.labels.shape, generator=dice) < share
    other = (data.labels + torch.randint(1, len(data.classes), data.labels.shape, generator=dice)) % len(data.classes)
    return replace(data, labels=torch.where(struck, other, data.labels))


def run(task: Task, student: str, wrong: float, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student on wrong labels alone, and with the teacher; curves are measured on right labels."""
    how, teach = plan(task, epochs), corrupted(task.teach, wrong, task.seed)
    steps = how.total(len(teach))
    lesson = Lesson(task.network.module, "soft targets", temperature, alpha)
    alone = Run(f"{words(student)}, {wrong:.0%} of labels wrong, without a teacher", steps, control=True)
    led = Run(f"{words(student)}, {wrong:.0%} of labels wrong, taught by soft targets", steps)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, untrained(task.network, student, task.seed), how, None, student, teach=teach)),
        (led, lambda _: taught(task, led, untrained(task.network, student, task.seed), how, lesson, student, teach=teach)),
    ])


PROCEDURE = Procedure(
    title="Wrong labels",
    summary="Some training labels are wrong; the student hears them and a teacher that learnt from right ones.",
    reference="Li et al. 2017, arXiv:1703.02391",
    survey="5.1",
    knobs=(STUDENT, WRONG, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("wrong", x),) for x in (0.2, 0.4, 0.6)),
    finding="The more labels are wrong, the more it helps to weigh them against what a teacher of clean data says.",
)
