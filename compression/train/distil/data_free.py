"""Distillation without data: inputs are made up whose activations in the teacher are as its training examples' were, and a student learns on them."""

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.data import Data
from compression.method import Knob
from compression.train.distil.features import Place, inner, look, pooled, stages
from compression.train.distil.signal import TEMPERATURE
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run

MADE = Knob("made", "Made-up examples", (200, 500, 1000, 2000), 500, "How many inputs are made up.")
STEPS = Knob("steps", "Steps for each", (20, 50, 100, 200), 50, "How long each input is changed until its activations fit.")
RATE, SMOOTH, BATCH, ALPHA = 0.1, 0.05, 100, 0.9


class Summary(NamedTuple):
    """What is kept of the training examples: of the last hidden layer, by the class the teacher answers."""

    mean: Tensor  # (class, unit)
    deviation: Tensor  # (class, unit)
    share: Tensor  # (class,)


def summary(features: Tensor, answers: Tensor, classes: int) -> Summary:
    """Means and deviations of features (n, units) by class; those of all examples for a class without any."""
    means, deviations = [], []
    for c in range(classes):
        own = features[answers == c] if int((answers == c).sum()) > 1 else features
        means.append(own.mean(0))
        deviations.append(own.std(0))
    return Summary(torch.stack(means), torch.stack(deviations), answers.bincount(minlength=classes).float() / len(answers))


def made_up(teacher: nn.Module, place: Place, kept: Summary, like: Data, count: int, steps: int, seed: int) -> Generator[None, None, Data]:
    """Inputs whose last hidden features are drawn from the summary, from noise by Adam; labels are the teacher's answers.

    Least mean square to the features wanted, in units of their deviation, and little difference between neighbouring pixels
    (Lopes et al. 2017, arXiv:1710.07535, section 3, with means and deviations in place of their covariance sketches).
    """
    dice = torch.Generator().manual_seed(seed)
    found = []
    for begin in range(0, count, BATCH):
        n = min(BATCH, count - begin)
        wanted = torch.multinomial(kept.share, n, replacement=True, generator=dice)
        target = kept.mean[wanted] + kept.deviation[wanted] * torch.randn(n, kept.mean.shape[1], generator=dice)
        unit = kept.deviation.mean(0).clamp(min=1e-3)
        inputs = torch.randn(n, *like.inputs.shape[1:], generator=dice).requires_grad_()
        adam = torch.optim.Adam([inputs], RATE)
        for _ in range(steps):
            adam.zero_grad()
            miss = ((pooled(look(teacher, inputs, (place,)).hidden[0]) - target) / unit).square().mean()
            (miss + SMOOTH * sum(inputs.diff(dim=d).square().mean() for d in range(2, inputs.ndim))).backward()
            adam.step()
            yield None
        found.append(inputs.detach())
    inputs = torch.cat(found)
    with torch.no_grad():
        answers = teacher(inputs).argmax(-1)
    return replace(like, name=f"made up from {like.name}", inputs=inputs, labels=answers)


def noise(teacher: nn.Module, like: Data, count: int, seed: int) -> Data:
    """As many inputs of pure noise, with the teacher's answers."""
    inputs = torch.randn(count, *like.inputs.shape[1:], generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return replace(like, name="noise", inputs=inputs, labels=teacher(inputs).argmax(-1))


def run(task: Task, student: str, made: int, steps: int, temperature: float, epochs: int) -> Iterator[Progress | None]:
    """A student taught on pure noise, one on inputs made up from what is kept of the data, and one on as many training examples."""
    teacher = inner(task.network.module)
    places = stages(teacher, task.watch.inputs[:3])
    if not places:
        raise ValueError(f"{task.network.title} has no hidden layer to fit; take a deeper network")
    how = replace(plan(task, epochs), batch=32)
    lesson = Lesson(teacher, "soft targets", temperature, ALPHA)
    total = how.total(made)
    blind = Run(f"{words(student)}, taught on noise", total, control=True)
    led = Run(f"{words(student)}, taught on made-up inputs", total)
    shown = Run(f"{words(student)}, taught on as many examples", total, control=True)
    rows = torch.randperm(len(task.teach), generator=torch.Generator().manual_seed(task.seed))[:made]
    examples = replace(task.teach, inputs=task.teach.inputs[rows], labels=task.teach.labels[rows])

    def invented() -> Going:
        with torch.no_grad():
            seen = [look(teacher, part, places[-1:]) for part in task.teach.inputs.split(250)]
        answers = torch.cat([s.scores.argmax(-1) for s in seen])
        kept = summary(torch.cat([pooled(s.hidden[0]) for s in seen]), answers, len(task.teach.classes))
        teach = yield from made_up(teacher, places[-1], kept, task.teach, made, steps, task.seed)
        return (yield from taught(task, led, untrained(task.network, student, task.seed), how, lesson, student, teach=teach))

    yield from in_turn(task.watch, [
        (blind, lambda _: taught(task, blind, untrained(task.network, student, task.seed), how, lesson, student,
                                 teach=noise(teacher, task.teach, made, task.seed))),
        (led, lambda _: invented()),
        (shown, lambda _: taught(task, shown, untrained(task.network, student, task.seed), how, lesson, student, teach=examples)),
    ])


def refuses(task: Task) -> str | None:
    """Inputs must be numbers that can be moved a little."""
    return f"{task.network.title} reads characters, which cannot be moved a little. Take a network of images." if task.teach.kind == "text" else None


PROCEDURE = Procedure(
    title="Distil without data",
    summary="Inputs are made up to fit what was kept of the teacher's activations, and a student is taught on them alone; beside it students "
            "taught on noise, and on as many training examples.",
    reference="Lopes et al. 2017, arXiv:1710.07535",
    survey="5.6",
    knobs=(STUDENT, MADE, STEPS, TEMPERATURE, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("epochs", 20),), (("epochs", 20), ("made", 2000))),
    refuses=refuses,
    finding="Without any example, inputs that fit stored statistics teach far more than noise, and less than the data would.",
    learns_from="what it makes up; training examples teach its controls only",
)
