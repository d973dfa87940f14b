"""Dataset distillation: a few images are learnt such that one step of gradient descent on them teaches a network most of what it needs."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from compression.data import Data
from compression.method import Knob
from compression.train.distil.students import SAME, STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, plan
from compression.train.loop import fit
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run
from compression.train.results import result

NEW = Knob("student", "Network", STUDENT.ladder, SAME, "The teacher's architecture, or a smaller one; its weights are random.")
EACH = Knob("each", "Images of each class", (1, 2, 5, 10), 1, "How many are learnt.")
STEPS = Knob("steps", "Steps on them", (1, 2, 3, 5), 3, "How many steps of gradient descent the network takes on them, from the same beginning.")
FIRST = 0.1  # size of a step before any is learnt


class Images(NamedTuple):
    """The images that are learnt, one after the other for each class."""

    images: Tensor  # (image, pixel)


class Few(nn.Module):
    """A network that begins from fixed weights and takes a few steps on images of its own: what is learnt are those, and the steps' size.

    Wang et al. 2018, arXiv:1811.10959, algorithm 1 with one fixed beginning.
    """

    def __init__(self, network: nn.Module, images: Tensor, labels: Tensor, steps: int, learnt: bool) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.images = nn.Parameter(images.clone(), requires_grad=learnt)
        self.size = nn.Parameter(torch.tensor(FIRST).log())
        self.steps = steps
        self.register_buffer("labels", labels)

    def taught(self) -> dict[str, Tensor]:
        """The network's parameters after its steps, as functions of the images."""
        weights = {name: p.detach().requires_grad_() for name, p in self.network.named_parameters()}
        with torch.enable_grad():
            for _ in range(self.steps):
                loss = F.cross_entropy(functional_call(self.network, weights, (self.images,)), self.labels)
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                weights = {name: w - self.size.exp() * slope for (name, w), slope in zip(weights.items(), slopes, strict=True)}
        return weights

    def forward(self, inputs: Tensor) -> Tensor:
        return functional_call(self.network, self.taught(), (inputs,))

    def after(self) -> nn.Module:
        """A network that has taken its steps."""
        self.network.load_state_dict({name: w.detach() for name, w in self.taught().items()} | dict(self.network.named_buffers()), strict=False)
        return self.network


def drawn(data: Data, each: int, seed: int) -> tuple[Tensor, Tensor]:
    """So many real examples of each class, at random, class by class."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    rows = torch.cat([order[data.labels[order] == c][:each] for c in range(len(data.classes))])
    return data.inputs[rows], data.labels[rows]


def run(task: Task, student: str, each: int, steps: int, epochs: int) -> Iterator[Progress | None]:
    """Steps on real images, of which only the steps' size is learnt, and steps on images that are learnt, from the same ones."""
    how = replace(plan(task, epochs, 0.03), decay=0.0)
    total = how.total(len(task.teach))
    count = each * len(task.teach.classes)
    taken = "one step" if steps == 1 else f"{steps} steps"
    real = Run(f"{words(student)} after {taken} on {count} real images", total, control=True)
    learnt = Run(f"{words(student)} after {taken} on {count} learnt images", total)
    yield from in_turn(task.watch, [
        (real, lambda _: _learning(task, real, student, each, steps, how, False)),
        (learnt, lambda _: _learning(task, learnt, student, each, steps, how, True)),
    ])


def _learning(task: Task, run: Run, student: str, each: int, steps: int, how: Plan, learnt: bool) -> Going:
    model = Few(untrained(task.network, student, task.seed), *drawn(task.teach, each, task.seed), steps, learnt)
    points = fit(model, task.teach, task.watch, how, task.seed, store=task.store, key=task.key("few images", student, each, steps, how, learnt))

    def made():
        there = {name: x.clone() for name, x in model.network.state_dict().items()}
        found = result(task.network, model.after(), run.title)
        model.network.load_state_dict(there)
        return found

    return (yield from following(run, points, made, lambda: Images(model.images.detach().flatten(1).clone())))


def refuses(task: Task) -> str | None:
    """Examples must be few numbers that can be moved, and networks such that a step has a slope of its own."""
    if task.teach.kind == "text":
        return f"{task.network.title} reads characters, which cannot be moved a little. Take a network of images."
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm | nn.RNNBase) for m in task.network.module.modules()):
        return f"{task.network.title} has batch normalisation or recurrence, which so few images cannot train. Take a LeNet."
    return None


PROCEDURE = Procedure(
    title="Dataset distillation",
    summary="A few images are learnt such that a new network, after a step or two on them, does what the whole data would teach it.",
    reference="Wang et al. 2018, arXiv:1811.10959",
    survey="5.6",
    knobs=(NEW, EACH, STEPS, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="digits-mlp",
    study=((("epochs", 20),), (("epochs", 20), ("each", 5)), (("epochs", 20), ("steps", 1))),
    refuses=refuses,
    finding="Ten images that were learnt teach a network of fixed beginning far more in a few steps than ten real ones.",
)
