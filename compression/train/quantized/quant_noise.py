"""Quant-Noise: in every step only some blocks of weights, drawn by lot, are rounded, so that all others get an exact gradient."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.encoded import Levels
from compression.method import Knob, Layer
from compression.quantization.formats import joined
from compression.recipe import step
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.levels import Rounded, least_error_step
from compression.train.quantized.straight_through import BITS, EPOCHS, LATENT, RATE, STRAIGHT


class Noisy(nn.Module):
    """A weight of which a part is rounded in training, and all of it when it is judged and stored."""

    def __init__(self, layer: Layer, bits: int, noise: float, block: int) -> None:
        super().__init__()
        self.inner, self.noise, self.block = Rounded(layer.weight, least_error_step(layer, bits), bits), noise, block

    def forward(self) -> Tensor:
        value = self.inner()
        return torch.where(self.drawn(), value, self.inner.full) if self.training else value

    def drawn(self) -> Tensor:
        """Which weights are rounded in this step: blocks of neighbours in a row, each by the same chance."""
        shape, row = self.inner.full.shape, self.inner.full[0].numel()
        lots = torch.rand(shape[0] * -(-row // self.block)) < self.noise
        return joined(lots[:, None].expand(-1, self.block), row).reshape(shape)

    def form(self) -> Levels:
        """What is stored now."""
        return self.inner.form()


def run(task: Task, bits: int, noise: float, block: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Levels are those of rounding without training, and held."""
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), f"trained, {100 * noise:.0f} % of the weights rounded",
                      step("quantization.uniform", bits=bits, clip="mse"), Way(lambda layer: Noisy(layer, bits, noise, block)),
                      "quant_noise", bits, noise, block)


PROCEDURE = Procedure(
    title="Quant-Noise",
    summary="Rounds a part of the weights in each step, drawn anew by lot; the others learn with a gradient that is exact. Judged and stored are "
            "weights that are all rounded.",
    reference="Fan et al. 2020, Training with Quantization Noise, arXiv:2004.07320",
    survey="6.4",
    knobs=(
        BITS,
        Knob("noise", "Share rounded", (0.1, 0.25, 0.5, 0.75, 1.0), 0.5, "At 100 % it is quantization-aware training as usual."),
        Knob("block", "Block size", (1, 4, 8, 16), 8, "Neighbours in a row that are rounded together."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=(*((("bits", n),) for n in (2, 3, 4)), (("bits", 2), ("noise", 1.0))),
    refuses=refuses,
    finding="Rounding a part beats rounding all where rounding is coarse, because gradients straight through are then furthest from right.",
    terms=(STRAIGHT, LATENT),
)
