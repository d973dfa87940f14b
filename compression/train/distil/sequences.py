"""Teaching to write: a small character model learns from text that its teacher wrote, or from what its teacher says of text it wrote itself."""

from collections.abc import Generator, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.method import Knob
from compression.train.distil.losses import soft_targets
from compression.train.distil.signal import ALPHA
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.loop import fit
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run
from compression.train.results import result

WINDOWS = Knob("windows", "Windows of text", (32, 128, 512, 2048), 512, "How many pieces of 64 characters the student learns from.")
LENGTH, PROMPT, FRESH, POOL = 64, 8, 20, 16  # characters; given ones; steps between pieces of the student's own, and how many


def writing(model: nn.Module, starts: Tensor, length: int, dice: torch.Generator) -> Generator[None, None, Tensor]:
    """Text that a model goes on with, each character drawn from its probabilities: (n, k) -> (n, length)."""
    text, was = starts, model.training
    model.eval()
    while text.shape[1] < length:
        with torch.no_grad():
            text = torch.cat([text, torch.multinomial(model(text)[:, -1].softmax(-1), 1, generator=dice)], 1)
        yield None
    model.train(was)
    return text


def written(model: nn.Module, starts: Tensor, length: int, dice: torch.Generator) -> Tensor:
    """The same at once."""
    pieces = writing(model, starts, length, dice)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


class Writer(nn.Module):
    """A student with the text that it wrote last."""

    def __init__(self, body: nn.Module, starts: Tensor) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("starts", starts)
        self.register_buffer("own", torch.zeros(len(starts), LENGTH, dtype=torch.long))
        self.write(0)

    def write(self, step: int) -> None:
        """Write anew."""
        self.own.copy_(written(self.body, self.starts, LENGTH, torch.Generator().manual_seed(step)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


def run(task: Task, student: str, windows: int, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student on real text, with the teacher's probabilities there, on text the teacher wrote, and on what it writes itself."""
    rows = torch.randperm(len(task.teach), generator=torch.Generator().manual_seed(task.seed))[:windows]
    real = replace(task.teach, inputs=task.teach.inputs[rows, :LENGTH], labels=task.teach.labels[rows, :LENGTH])
    how, teacher = plan(task, epochs), task.network.module
    steps = how.total(len(real))
    alone = Run(f"{words(student)}, real text, without a teacher", steps, control=True)
    soft = Run(f"{words(student)}, real text, taught by soft targets", steps)
    wrote = Run(f"{words(student)}, text that the teacher wrote", steps)
    own = Run(f"{words(student)}, taught on what it writes", steps)

    def begun() -> nn.Module:
        return untrained(task.network, student, task.seed)

    def by_teacher() -> Going:
        text = yield from writing(teacher, real.inputs[:, :PROMPT], LENGTH + 1, torch.Generator().manual_seed(task.seed))
        teach = replace(real, name=f"written after {real.name}", inputs=text[:, :-1], labels=text[:, 1:])
        return (yield from taught(task, wrote, begun(), how, None, student, teach=teach))

    lesson = Lesson(teacher, "soft targets", 1.0, alpha)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, begun(), how, None, student, teach=real)),
        (soft, lambda _: taught(task, soft, begun(), how, lesson, student, teach=real)),
        (wrote, lambda _: by_teacher()),
        (own, lambda _: _on_own(task, own, begun(), how, student, alpha, real)),
    ])


def _on_own(task: Task, run: Run, body: nn.Module, how: Plan, student: str, alpha: float, real: Data) -> Going:
    """Labels on real text, and the teacher's probabilities on the student's own (Agarwal et al. 2024)."""
    model = Writer(body, real.inputs[:POOL, :PROMPT])

    def loss(model: Writer, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            told = task.network.module(model.own).flatten(0, -2)
        said = soft_targets(model.body(model.own).flatten(0, -2), told, 1.0)
        return (1 - alpha) * F.cross_entropy(model(inputs).flatten(0, -2), labels.flatten()) + alpha * said

    def after(step: int) -> None:
        if step % FRESH == 0:
            model.write(step)

    points = fit(model, real, task.watch, how, task.seed, loss, after=after, store=task.store,
                 key=task.key("on its own", student, alpha, how, real.digest))
    return (yield from following(run, points, lambda: result(task.network, model.body, run.title)))


def refuses(task: Task) -> str | None:
    """It must be able to write."""
    return None if task.teach.kind == "text" else f"{task.network.title} does not write text. Take a character model."


PROCEDURE = Procedure(
    title="Teaching to write",
    summary="A small character model learns from text that its teacher wrote, or from what the teacher says of the text that it writes itself.",
    reference="Kim and Rush 2016, arXiv:1606.07947; Agarwal et al. 2024, arXiv:2306.13649",
    survey="5.2",
    knobs=(STUDENT, WINDOWS, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="char-lstm",
    study=((("epochs", 40),),),
    refuses=refuses,
    finding="Text that the teacher wrote is simpler than real text and easier to learn; what a student writes itself shows it where it goes wrong.",
)
