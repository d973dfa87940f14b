"""A network trained in a short form from first weights, beside a narrower plain one with as many numbers, and the plain one of full width."""

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.network import Network
from compression.train.distil.students import architecture, narrowed
from compression.train.made import Made
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import begun, fresh, sized, to_mask, train
from compression.train.stored import Stored, floats, with_floats

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "How often every training example is seen in each training.")
RATE = Knob("rate", "Learning rate", (3e-4, 1e-3, 3e-3, 1e-2), 3e-3, "Highest step size of AdamW; it rises and falls once.")
NUMBERS = "numbers trained"
Make = Callable[[Layer], nn.Module | None]  # what makes a layer's weight, or None for a layer that stays plain


def counted(module: nn.Module) -> int:
    """Numbers that training moves."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def narrower(task: Task, numbers: int) -> Network:
    """The task's architecture with as many numbers, or somewhat fewer, as a seed draws it."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        if sum(p.numel() for p in narrowed(task.network.reference, middle, task.seed).parameters()) <= numbers:
            low = middle
        else:
            high = middle
    return begun(task, narrowed(task.network.reference, low, task.seed))


def refuses(task: Task) -> str | None:
    """Why there is no such comparison, or None."""
    if architecture(task.network.reference) is None:
        return f"{task.network.title} is no architecture that ships, so a narrower one of its kind, to compare with, is not known here."
    return sized(task.network.reference)


def rescaled(layer: Layer, form: Encoded) -> Encoded:
    """A short form of random weights with all its numbers scaled alike, so that what it decodes to is spread as widely as they are."""
    parts = floats(form)
    ratio = float(layer.weight.std() / form.decode().std().clamp(min=1e-12)) ** (1 / max(1, len(parts)))
    return with_floats(form, [x * ratio for x in parts])


def plainly(layer: Layer) -> None:
    """For short networks whose layers are plain."""


def beside(task: Task, words: str, make: Make, epochs: int, rate: float, *key: object,
           change: Callable[[nn.Module], nn.Module] = lambda module: module) -> Iterator[Progress | None]:
    """Three runs: short, narrower with as many numbers, and plain. All begin from first weights of one seed.

    change(module) gives a copy of the first network that is short by how it is built, where it is not by what its layers are made of.
    """
    plan, net = Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs), fresh(task, task.seed)
    small = begun(task, change(copy.deepcopy(net.module)))
    short = Made(small, {layer.name: maker for layer in to_mask(small) if (maker := make(layer)) is not None})
    narrow = narrower(task, counted(short))
    steps = plan.total(len(task.teach))

    def go(model: Made, run: Run) -> tuple[Run, Callable[[tuple[Run, ...]], Going]]:
        told: Mapping[str, float] = {NUMBERS: float(counted(model))}
        return run, lambda _: train(task, model, plan, run, key, trace=lambda: told)

    yield from in_turn(task.watch, [
        go(short, Run(words, steps)),
        go(Made(narrow, {}), Run("narrower, as many numbers", steps, control=True)),
        go(Made(net, {}), Run("plain, full width", steps, control=True)),
    ])


def stored(layer: Layer, form: Encoded) -> Stored:
    """A maker that trains a form of first weights, spread as widely as they are."""
    with torch.no_grad():
        return Stored(rescaled(layer, form))
