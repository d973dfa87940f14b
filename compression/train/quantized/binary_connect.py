"""Train with signs only: every weight is plus or minus one size that its layer keeps throughout."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.method import Knob, Layer
from compression.quantization.formats import Scaled, scaled, table
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.levels import Straight
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE


class Signs(nn.Module):
    """The signs of a weight times a size (1,) that is held. Where they are drawn by lot, that is in training only (section 2.4)."""

    def __init__(self, full: Tensor, size: Tensor, by_lot: bool) -> None:
        super().__init__()
        self.full, self.by_lot = nn.Parameter(full.detach().clone()), by_lot
        self.register_buffer("size", size.clone())

    def forward(self) -> Tensor:
        full = self.full.detach()
        positive = torch.rand(full.shape) < chance(full / self.size) if self.by_lot and self.training else full >= 0
        return Straight.apply(self.full, table("binary")[positive.int()] * self.size, None)

    def form(self) -> Scaled:
        """What is stored now."""
        count = self.full.numel()
        return scaled(tuple(self.full.shape), (self.full.detach() >= 0).flatten(), "binary", self.size.clone(), count, count)


def chance(weight: Tensor) -> Tensor:
    """The chance of a plus, a hard sigmoid: clip((w + 1) / 2, 0, 1) (equation 3).

    >>> chance(torch.tensor([-2.0, 0.0, 0.5])).tolist()
    [0.0, 0.5, 0.75]
    """
    return ((weight + 1) / 2).clamp(0, 1)


def run(task: Task, by_lot: bool, epochs: int, rate: float) -> Iterator[Progress | None]:
    """The size is the layer's mean magnitude at the start: without batch normalisation behind it, plus or minus 1 would be far too large."""
    def make(layer: Layer) -> Signs:
        return Signs(layer.weight, layer.weight.abs().mean().reshape(1), by_lot)

    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), "trained with signs", step("quantization.binary", per="tensor"),
                      Way(make, after=hold), "binary_connect", by_lot)


def hold(model: Made, share: float) -> None:
    """Full weights beyond the size would never come back, and are cut off there (section 2.5)."""
    with torch.no_grad():
        for maker in model.makers:
            maker.full.copy_(torch.minimum(torch.maximum(maker.full, -maker.size), maker.size))


PROCEDURE = Procedure(
    title="BinaryConnect",
    summary="Trains with weights of which only the sign counts, one bit each, times one size for a whole layer that is held. Signs can be drawn "
            "by lot in training; what is stored and judged are the signs themselves.",
    reference="Courbariaux et al. 2015, BinaryConnect, arXiv:1511.00363",
    survey="6.4",
    knobs=(Knob("by_lot", "Signs by lot", (False, True), False, "Draw each sign anew in every step, more often plus the larger the full weight."),
           EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=((), (("by_lot", True),)),
    refuses=refuses,
    finding="Signs of trained weights answer poorly; trained as signs they come close to the full network, at a thirty-second of the weights.",
    terms=(LATENT,),
)
