"""Few labels, many examples: the running mean of the student's own weights is its teacher (Mean Teacher)."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.method import Knob
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, plan
from compression.train.loop import Loss, fit
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run
from compression.train.results import result

UNKNOWN = -100  # what stands for a label that is not told; cross-entropy passes it over
LABELS = Knob("labels", "Labels", (20, 50, 100, 200, 500), 100, "How many training examples keep their label.")
DECAY = Knob("decay", "Memory", (0.9, 0.95, 0.99, 0.999), 0.95, "What remains of the mean of weights at each step.")
WEIGHT = Knob("weight", "Weight of agreement", (0.3, 1.0, 3.0, 10.0, 30.0), 10.0, "How much it counts that both give the same probabilities.")
JITTER = 0.15  # standard deviation of what is added to inputs, which have 1


class MeanTeacher(nn.Module):
    """A student and the running mean of its weights. It answers as the student."""

    def __init__(self, student: nn.Module, mean: nn.Module) -> None:
        super().__init__()
        self.student, self.mean = student, mean.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.student(inputs)

    def follow(self, decay: float, step: int) -> None:
        """Move the mean towards the student; in the first steps faster, as the paper does."""
        keep = min(decay, step / (step + 1))
        with torch.no_grad():
            for mean, now in zip(self.mean.state_dict().values(), self.student.state_dict().values(), strict=True):
                mean.copy_(mean * keep + now * (1 - keep) if mean.is_floating_point() else now)


def few(data: Data, labels: int, seed: int) -> Data:
    """The same examples, of which so many, drawn at random, keep their label."""
    kept = torch.zeros(len(data), dtype=torch.bool)
    kept[torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:labels]] = True
    return replace(data, labels=torch.where(kept, data.labels, UNKNOWN))


def labelled(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of those examples whose label is told, 0 where none is."""
    return F.cross_entropy(scores, labels, ignore_index=UNKNOWN, reduction="sum") / (labels != UNKNOWN).sum().clamp(min=1)


def agreement(weight: float) -> Loss:
    """What labels say, and weight times the mean square between both networks' probabilities (Tarvainen and Valpola 2017, section 2)."""
    def loss(model: MeanTeacher, inputs: Tensor, labels: Tensor) -> Tensor:
        scores = model.student(inputs + JITTER * torch.randn_like(inputs))
        with torch.no_grad():
            wanted = model.mean(inputs + JITTER * torch.randn_like(inputs)).softmax(-1)
        return labelled(scores, labels) + weight * (scores.softmax(-1) - wanted).square().sum(-1).mean()

    return loss


def run(task: Task, student: str, labels: int, decay: float, weight: float, epochs: int) -> Iterator[Progress | None]:
    """The student with its few labels alone, and with the mean of itself as a teacher on all examples."""
    how, teach = plan(task, epochs), few(task.teach, labels, task.seed)
    steps = how.total(len(teach))
    alone = Run(f"{words(student)}, {labels} labels, without a teacher", steps, control=True)
    led = Run(f"{words(student)}, {labels} labels, taught by the mean of itself", steps)
    yield from in_turn(task.watch, [
        (alone, lambda _: _follow(task, alone, student, how, teach, decay, 0.0)),
        (led, lambda _: _follow(task, led, student, how, teach, decay, weight)),
    ])


def _follow(task: Task, run: Run, student: str, how: Plan, teach: Data, decay: float, weight: float) -> Going:
    model = MeanTeacher(*(untrained(task.network, student, task.seed) for _ in range(2)))
    points = fit(model, teach, task.watch, how, task.seed, agreement(weight), after=lambda step: model.follow(decay, step), store=task.store,
                 key=task.key("few labels", student, how, teach.digest, decay, weight))
    return (yield from following(run, points, lambda: result(task.network, model.student, run.title)))


def refuses(task: Task) -> str | None:
    """Examples need one label each, and inputs that can be jittered."""
    return f"{task.network.title} reads characters, to which no noise can be added. Take a network of images." if task.teach.kind == "text" else None


PROCEDURE = Procedure(
    title="Mean teacher",
    summary="Only some examples have labels; on the others the student has to agree with the running mean of its own weights.",
    reference="Tarvainen and Valpola 2017, arXiv:1703.01780",
    survey="5.4",
    knobs=(STUDENT, LABELS, DECAY, WEIGHT, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("labels", n),) for n in (50, 100, 500)),
    refuses=refuses,
    finding="With few labels, agreeing with the mean of oneself on all other examples saves some of the errors.",
)
