"""Loss-aware binarization: the size of the signs weighs each weight by the curvature of the loss, as the optimizer has met it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.method import Layer
from compression.quantization.formats import Scaled, scaled, table
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, mean, refuses
from compression.train.quantized.levels import Straight
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE

KEEP = 0.999  # of the mean square of the gradient, in each step


def size(weight: Tensor, curvature: Tensor) -> Tensor:
    """The size whose signs change the loss least, (1,): the mean magnitude weighed by curvature (Hou et al. 2017, proposition 3.1)."""
    return ((curvature * weight.abs()).sum() / curvature.sum()).reshape(1)


class Weighed(nn.Module):
    """Signs of a weight times the size that its curvature gives: the root of the mean square of its gradient, all alike at first."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.full = nn.Parameter(layer.weight.detach().clone())
        self.register_buffer("square", torch.zeros(self.full.shape))

    @property
    def size(self) -> Tensor:
        """(1,)."""
        curvature = self.square.sqrt()
        return size(self.full.detach(), curvature if bool(curvature.any()) else torch.ones_like(curvature))

    def forward(self) -> Tensor:
        return Straight.apply(self.full, table("binary")[(self.full.detach() >= 0).int()] * self.size, None)

    def learn(self) -> None:
        """Take in the gradient of the last step."""
        if self.full.grad is not None:
            self.square.mul_(KEEP).addcmul_(self.full.grad, self.full.grad, value=1 - KEEP)

    def form(self) -> Scaled:
        """What is stored now."""
        count = self.full.numel()
        return scaled(tuple(self.full.shape), (self.full.detach() >= 0).flatten(), "binary", self.size, count, count)


def run(task: Task, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Gradients teach both the weights and their curvature."""
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), "trained with loss-aware signs", step("quantization.binary", per="tensor"),
                      Way(Weighed, after=learn, trace=trace), "loss_aware")


def learn(model: Made, share: float) -> None:
    """Every layer takes in its gradient."""
    for maker in model.makers:
        maker.learn()


def trace(model: Made) -> dict[str, float]:
    """How far curvature moves the sizes away from plain mean magnitudes."""
    return {"size (% of the mean magnitude)": mean([float(100 * m.size / m.full.detach().abs().mean()) for m in model.makers])}


PROCEDURE = Procedure(
    title="Loss-aware binarization",
    summary="Trains with signs times one size per layer. The size is a mean of the magnitudes in which weights count by how sharply the loss "
            "bends along them, known from the optimizer's mean squared gradients.",
    reference="Hou et al. 2017, Loss-aware Binarization of Deep Networks, arXiv:1611.01600",
    survey="6.4.1",
    knobs=(EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("epochs", n),) for n in (3, 10)),
    refuses=refuses,
    finding="Sizes that look at the loss do a little better than plain mean magnitudes, most in deep and recurrent networks.",
    terms=(("curvature", "How sharply the loss bends when a weight moves."), LATENT),
)
