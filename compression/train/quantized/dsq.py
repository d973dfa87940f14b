"""Differentiable soft quantization: a staircase that begins as a slope and hardens while the network trains."""

from collections.abc import Iterator
from math import log

import torch
from torch import Tensor, nn

from compression.encoded import Levels
from compression.method import Knob, Layer
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.levels import Rounded, ends, least_error_step
from compression.train.quantized.straight_through import BITS, EPOCHS, LATENT, RATE

SOFTEST = 0.5  # at the start: nearly a slope


def staircase(steps: Tensor, bits: int, softness: float) -> Tensor:
    """Values given in steps on a soft staircase (Gong et al. 2019, equations 3 to 7).

    Between two levels it runs along s tanh(k (x - m)), with k = log(2 / softness - 1) and s = 1 / tanh(k / 2) = 1 / (1 - softness);
    softness, their alpha, is how far the hard staircase and tanh are apart at a level.
    """
    low, high = ends(bits)
    x = (steps - low).clamp(0, high - low)  # levels are now 0, 1, 2…
    below = x.detach().floor().clamp(max=high - low - 1)
    curve = torch.tanh(log(2 / softness - 1) * (x - below - 0.5)) / (1 - softness)
    return below + (curve + 1) / 2 + low


class Soft(nn.Module):
    """A weight on a soft staircase in training, on the hard one when it is judged and stored."""

    def __init__(self, layer: Layer, bits: int) -> None:
        super().__init__()
        self.inner = Rounded(layer.weight, least_error_step(layer, bits), bits)
        self.register_buffer("softness", torch.tensor(SOFTEST))

    def forward(self) -> Tensor:
        if not self.training:
            return self.inner()
        full, step = self.inner.full.reshape(-1, self.inner.size), self.inner.step[:, None]
        return (staircase(full / step, self.inner.bits, float(self.softness)) * step).reshape(self.inner.full.shape)

    def form(self) -> Levels:
        """What is stored now."""
        return self.inner.form()


def run(task: Task, bits: int, hardest: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """The paper learns the softness; here it falls evenly on a log scale, so that one can watch the stairs harden."""
    def harden(model: Made, share: float) -> None:
        for maker in model.makers:
            maker.softness.fill_(SOFTEST * (hardest / SOFTEST) ** share)

    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), f"trained on a soft staircase of {bits} bits",
                      step("quantization.uniform", bits=bits, clip="mse"), Way(lambda layer: Soft(layer, bits), after=harden, trace=trace),
                      "dsq", bits, hardest)


def trace(model: Made) -> dict[str, float]:
    """How soft the staircase is."""
    return {"softness of the staircase": float(model.makers[0].softness)} if len(model.makers) else {}


PROCEDURE = Procedure(
    title="Differentiable soft quantization (DSQ)",
    summary="Trains on a staircase made of tanh curves, so that the gradient is its own slope; it hardens step by step into the levels that are "
            "stored. The curve shows the hard levels throughout.",
    reference="Gong et al. 2019, Differentiable Soft Quantization, arXiv:1908.05033",
    survey="6.4",
    knobs=(BITS, Knob("hardest", "Softness at the end", (0.3, 0.1, 0.03, 0.01), 0.1,
                      "How far from a hard staircase the last steps are; the harder, the fewer weights still get a gradient."),
           EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("bits", n),) for n in (2, 3, 4)),
    refuses=refuses,
    finding="A staircase with a slope of its own trains as well as gradients straight through or better, most at 2 and 3 bits.",
    terms=(("soft staircase", "Rounding with its corners rounded off, so that it has a slope everywhere."), LATENT),
)
