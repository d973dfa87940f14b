"""Learned step size quantization: the distance between levels is trained with the weights."""

from collections.abc import Iterator

import torch
from torch import Tensor

from compression.method import Knob, Layer
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, mean, refuses
from compression.train.quantized.levels import Rounded, ends, group_size
from compression.train.quantized.straight_through import BITS, EPOCHS, LATENT, STRAIGHT


def first_step(weight: Tensor, bits: int, size: int) -> Tensor:
    """Where the step of each group begins, (groups,): twice the mean magnitude over the root of the largest level (section 2.1)."""
    step = 2 * weight.abs().reshape(-1, size).mean(1) / max(ends(bits)[1], 1) ** 0.5
    return torch.where(step > 0, step, torch.ones_like(step))


def factor(count: int, bits: int) -> float:
    """What a step's gradient is multiplied with, so that step and weights move at like pace (section 2.2).

    count: weights that share the step.
    """
    return 1 / (count * max(ends(bits)[1], 1)) ** 0.5


def run(task: Task, bits: int, per: str, balanced: bool, epochs: int, rate: float) -> Iterator[Progress | None]:
    """SGD as in the paper: an optimizer that divides by the gradient's size would hide what the gradient scale does."""
    def make(layer: Layer) -> Rounded:
        size = group_size(layer, per)
        return Rounded(layer.weight, first_step(layer.weight, bits, size), bits, True, factor(size, bits) if balanced else 1.0)

    way = Way(make, begin=remember, after=hold, trace=trace)
    yield from beside(task, Plan("sgd", rate, 0.0, 128, epochs), f"trained with learnt {bits}-bit levels",
                      step("quantization.uniform", bits=bits, clip="mse"), way, "lsq", bits, per, balanced)


def remember(model: Made) -> None:
    """Keep where steps began, for the trace."""
    for i, maker in enumerate(model.makers):
        model.register_buffer(f"first_{i}", maker.step.detach().clone())


def hold(model: Made, share: float) -> None:
    """A step that a gradient would carry below zero stays just above it."""
    with torch.no_grad():
        for i, maker in enumerate(model.makers):
            torch.maximum(maker.step, model.get_buffer(f"first_{i}") * 1e-3, out=maker.step)


def trace(model: Made) -> dict[str, float]:
    """How far steps have come from where they began."""
    return {"step size (% of the first)": mean([float(100 * (maker.step.detach() / model.get_buffer(f"first_{i}")).mean())
                                                for i, maker in enumerate(model.makers)])}


PROCEDURE = Procedure(
    title="Learned step size (LSQ)",
    summary="Trains the distance between levels together with the weights: the gradient says whether cutting off less or rounding finer "
            "serves the loss, not the weights' error.",
    reference="Esser et al. 2020, Learned Step Size Quantization, arXiv:1902.08153",
    survey="6.4",
    knobs=(
        BITS,
        Knob("per", "One step per", ("tensor", "channel"), "tensor", "Which weights share a learnt step; the paper has one for each layer."),
        Knob("balanced", "Gradient scale", (True, False), True,
             "Divide a step's gradient by the root of how many weights it sums over and of how many levels there are; without it steps leap."),
        EPOCHS,
        Knob("rate", "Learning rate", (0.003, 0.01, 0.03, 0.1), 0.03, "Highest step size of SGD with momentum; it rises and falls once."),
    ),
    run=run,
    shown_on="lenet-300-100",
    study=(*((("bits", n),) for n in (2, 3, 4)), (("bits", 2), ("balanced", False))),
    refuses=refuses,
    finding="With learnt steps 3 bits come close to the full network, and 2 bits lose less than with steps that are held.",
    terms=(("step size", "The distance from one level to the next, which is the scale that is stored."), STRAIGHT, LATENT),
)
