"""Trained ternary quantization: the sizes of the positive and of the negative weights are learnt, each its own."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from compression.encoded import Codes, Shared
from compression.method import Knob
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, mean, refuses
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE


class Ternary(torch.autograd.Function):
    """Zero, plus or minus, with their learnt sizes (Zhu et al. 2017, equations 6 to 8). codes: 0, 1 for plus, 2 for minus."""

    @staticmethod
    def forward(ctx: Any, full: Tensor, plus: Tensor, minus: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(plus, minus, codes)
        return book(plus, minus)[codes]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        plus, minus, codes = ctx.saved_tensors
        slope = torch.cat([torch.ones(1), plus, minus])[codes]
        return gradient * slope, gradient[codes == 1].sum().reshape(1), -gradient[codes == 2].sum().reshape(1), None


def book(plus: Tensor, minus: Tensor) -> Tensor:
    """What the codes stand for, (3,)."""
    return torch.cat([torch.zeros(1), plus, -minus])


class Learnt(nn.Module):
    """A weight in full and two sizes; zero is what lies within a share of the largest weight (equation 9)."""

    def __init__(self, full: Tensor, threshold: float) -> None:
        super().__init__()
        self.full, self.threshold = nn.Parameter(full.detach().clone()), threshold
        codes, magnitude = self.codes(), full.abs()
        self.plus, self.minus = (nn.Parameter((magnitude[codes == i].mean() if bool((codes == i).any()) else magnitude.mean()).reshape(1))
                                 for i in (1, 2))

    def codes(self) -> Tensor:
        """0, 1 or 2 for each weight."""
        full = self.full.detach()
        cut = self.threshold * full.abs().max()
        return (full > cut).long() + 2 * (full < -cut).long()

    def forward(self) -> Tensor:
        return Ternary.apply(self.full, self.plus, self.minus, self.codes())

    def form(self) -> Shared:
        """What is stored now: three values and which each weight has."""
        codes = Codes(self.codes().flatten().to(torch.uint8), 2)
        return Shared(tuple(self.full.shape), codes, book(self.plus.detach(), self.minus.detach()))


def run(task: Task, threshold: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Sizes begin as the mean magnitudes on either side."""
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), "trained with two learnt sizes", step("quantization.ternary"),
                      Way(lambda layer: Learnt(layer.weight, threshold), trace=trace), "ttq", threshold)


def trace(model: Made) -> dict[str, float]:
    """The sizes, mean over layers."""
    return {"size above zero, mean": mean([float(m.plus.detach()) for m in model.makers]),
            "size below zero, mean": mean([float(m.minus.detach()) for m in model.makers])}


PROCEDURE = Procedure(
    title="Trained ternary quantization (TTQ)",
    summary="Trains with weights that are zero, plus one size or minus another; both sizes of a layer are learnt with the weights.",
    reference="Zhu et al. 2017, Trained Ternary Quantization, arXiv:1612.01064",
    survey="6.4",
    knobs=(Knob("threshold", "Threshold", (0.02, 0.05, 0.1, 0.15, 0.2), 0.05, "Below this share of the layer's largest a weight becomes zero."),
           EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("threshold", t),) for t in (0.02, 0.05, 0.1)),
    refuses=refuses,
    finding="Two sizes of their own let ternary weights match the full network; on CIFAR-10 the paper's ResNets even gain a little.",
    terms=(LATENT,),
)
