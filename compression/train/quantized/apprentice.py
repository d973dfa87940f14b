"""Apprentice: a student of low precision beside its teacher in full, by three schemes, and the same students without a teacher."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.method import Knob, Layer
from compression.network import Network
from compression.quantization import ternary, uniform
from compression.train.distil.losses import soft_targets
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import SAME, STUDENT, untrained, words
from compression.train.loop import Loss
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import NOTHING, Progress, Run
from compression.train.quantized.plain import Plain
from compression.train.quantized.straight_through import LATENT
from compression.train.sparse.masked import EPOCHS, RATE, begun, no_beginning, to_mask, train, usual

WEIGHTS = Knob("weights", "Weights", ("ternary", "4 bits", "8 bits"), "ternary", "Zero, plus or minus one size (TWN), or evenly spaced levels.")
TUNING = 1 / 3  # of the rate, where the student begins from weights that were trained


def low(layer: Layer, weights: str) -> Plain:
    """A weight rounded anew in every step: ternary for the whole layer, or evenly spaced to the last weight of each channel."""
    if weights == "ternary":
        return Plain(layer.weight, lambda full: ternary.answer(ternary.prepare(full, layer), 2, 0.7, "tensor"))
    bits = int(weights.split()[0])
    return Plain(layer.weight, lambda full: uniform.answer(uniform.prepare(full, layer), bits, True, "channel"))


def told(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float) -> Tensor:
    """(1 − alpha) cross-entropy and alpha times soft targets, in nats. Scores (n, classes), labels (n,).

    The student's two terms of Mishra and Marr 2017, each with half the weight at alpha ½. No gradient reaches the teacher.
    """
    return (1 - alpha) * F.cross_entropy(student, labels) + alpha * soft_targets(student, teacher.detach(), temperature)


def from_teacher(teacher: nn.Module, temperature: float, alpha: float) -> Loss:
    """The student's loss with a teacher that is trained already."""
    teacher.eval()

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            said = teacher(inputs).flatten(0, -2)
        return told(model(inputs).flatten(0, -2), said, labels.flatten(), temperature, alpha)

    return loss


class Together(Made):
    """A student, and its teacher that is trained beside it; what it answers is the student's."""

    def __init__(self, network: Network, makers: dict[str, nn.Module], teacher: nn.Module) -> None:
        super().__init__(network, makers)
        self.teacher = copy.deepcopy(teacher).requires_grad_(True)


def jointly(temperature: float, alpha: float) -> Loss:
    """The student's loss, and beside it the teacher's own cross-entropy."""
    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        said = model.teacher(inputs).flatten(0, -2)
        return F.cross_entropy(said, labels.flatten()) + told(model(inputs).flatten(0, -2), said, labels.flatten(), temperature, alpha)

    return loss


def run(task: Task, student: str, weights: str, temperature: float, alpha: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """In full; then in low precision alone, by scheme A and by B from first weights; then tuned alone and by C, from the first run's weights."""
    net = task.network.reference
    plan, key = usual(task, epochs, rate), ("apprentice", student, weights, temperature, alpha)
    tuning = replace(plan, rate=rate * TUNING)
    fixed = from_teacher(net.module, temperature, alpha)

    def first() -> Network:
        return begun(task, untrained(net, student, task.seed))

    def rounded(start: Network) -> dict[str, nn.Module]:
        return {layer.name: low(layer, weights) for layer in to_mask(start)}

    def go(run: Run, model: Made, how: Plan, loss: Loss | None = None) -> Going:
        return train(task, model, how, run, key, loss=loss, trace=lambda: NOTHING)

    def together(start: Network) -> Together:
        return Together(start, rounded(start), untrained(net, SAME, task.seed + (student == SAME)))  # never the same first weights

    def low_precision(start: Network) -> Made:
        return Made(start, rounded(start))

    steps = plan.total(len(task.teach))
    full = Run(f"{words(student)} in full precision", steps, control=True)
    alone, tuned = (Run(f"{weights}, {how}", steps, control=True) for how in ("without a teacher", "tuned without a teacher"))
    a, b, c = (Run(f"{weights}, {how}", steps) for how in ("A: beside its teacher", "B: after its teacher", "C: from the one in full"))
    yield from in_turn(task.watch, [
        (full, lambda _: go(full, Made(first(), {}), plan)),
        (alone, lambda _: go(alone, low_precision(first()), plan)),
        (a, lambda _: go(a, together(first()), plan, jointly(temperature, alpha))),
        (b, lambda _: go(b, low_precision(first()), plan, fixed)),
        (tuned, lambda before: go(tuned, low_precision(before[0].trained.network), tuning)),
        (c, lambda before: go(c, low_precision(before[0].trained.network), tuning, fixed)),
    ])


PROCEDURE = Procedure(
    title="Apprentice",
    summary="The network on screen, or one like it that begins anew (A), teaches a student whose weights are rounded in every step. Students of A "
            "and B begin from first weights; that of C, and its control, from the student trained in full, at a third of the rate.",
    reference="Mishra and Marr 2017, Apprentice: Using Knowledge Distillation Techniques to Improve Low-Precision Network Accuracy, arXiv:1711.05852",
    survey="6.4",
    knobs=(STUDENT, WEIGHTS, replace(TEMPERATURE, default=1.0), replace(ALPHA, default=0.5), EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("epochs", 10),),),
    refuses=no_beginning,
    finding="Every scheme beats low precision alone; A and B end alike, B sooner, and C a little better and soonest.",
    terms=(LATENT,),
)
