"""A noisy teacher: its scores of some examples are multiplied with random numbers, as if several teachers disagreed."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

SHARE = Knob("share", "Share of examples", (0.2, 0.5, 0.8, 1.0), 0.8, "How many examples of each batch the noise falls on.")
NOISE = Knob("noise", "Noise", (0.1, 0.3, 0.5, 1.0), 0.3, "Standard deviation of what the scores are multiplied with, around 1.")


def noisy(share: float, deviation: float) -> Callable[[Tensor], Tensor]:
    """z' = (1 + ξ)·z for a share of the rows, ξ normal with that deviation, one for each score (Sau and Balasubramanian 2016, section 3)."""
    def change(scores: Tensor) -> Tensor:
        struck = torch.rand(len(scores), 1) < share
        return torch.where(struck, scores * (1 + deviation * torch.randn_like(scores)), scores)

    return change


def run(task: Task, student: str, share: float, noise: float, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student alone, with its teacher, and with a teacher whose scores are noisy."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))
    alone = Run(f"{words(student)}, without a teacher", steps, control=True)
    plain = Run(f"{words(student)}, taught without noise", steps, control=True)
    loud = Run(f"{words(student)}, taught with noise", steps)

    def led(run: Run, change: Callable[[Tensor], Tensor] | None, said: str):
        lesson = Lesson(task.network.module, "soft targets", temperature, alpha, said, change)
        return lambda _: taught(task, run, untrained(task.network, student, task.seed), how, lesson, student)

    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, untrained(task.network, student, task.seed), how, None, student)),
        (plain, led(plain, None, "")), (loud, led(loud, noisy(share, noise), f"noise {share} {noise}")),
    ])


PROCEDURE = Procedure(
    title="Noisy teacher",
    summary="The teacher's scores of some examples are multiplied with random numbers before the student is shown them.",
    reference="Sau and Balasubramanian 2016, arXiv:1610.09650",
    survey="5.1",
    knobs=(STUDENT, SHARE, NOISE, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("noise", x),) for x in (0.1, 0.3, 1.0)),
    finding="Noise in the teacher regularizes: the student does a little better than with a teacher that is always the same.",
)
