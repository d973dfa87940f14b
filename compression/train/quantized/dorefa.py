"""DoReFa: weights, activations and the gradients themselves are rounded to few bits while training."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from compression.encoded import Codes, Encoded, Levels
from compression.method import Knob, Layer
from compression.quantization import binary
from compression.recipe import step
from compression.train.loop import Loss, cross_entropy
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized import activations
from compression.train.quantized.beside import Way, beside, start
from compression.train.quantized.levels import Straight
from compression.train.quantized.pact import ACTIVATION_BITS
from compression.train.quantized.plain import Plain
from compression.train.quantized.straight_through import BITS, EPOCHS, LATENT, RATE


class Squeezed(nn.Module):
    """Weights squeezed by tanh to [-1, 1] and rounded (Zhou et al. 2016, equation 9), times a size that is held.

    The paper's weights reach from -1 to 1, and batch normalisation puts the layer's outputs right. Here a size does, with which the
    first levels are, in squares, nearest to the weights.
    """

    def __init__(self, full: Tensor, bits: int) -> None:
        super().__init__()
        self.full, self.bits, self.top = nn.Parameter(full.detach().clone()), bits, 2**bits - 1
        level = 2 / self.top * (self.codes(self.squeezed().detach()) - self.top / 2)
        self.register_buffer("size", ((full * level).sum() / level.square().sum()).clamp(min=1e-12).reshape(1))

    def squeezed(self) -> Tensor:
        """Weights in [-1, 1]."""
        small = self.full.tanh()
        return small / small.abs().max().clamp(min=1e-12)

    def codes(self, squeezed: Tensor) -> Tensor:
        """round((2**bits - 1) * r) for r = half of the squeezed weight and a half (equation 5)."""
        return (self.top * (squeezed / 2 + 0.5)).round()

    def forward(self) -> Tensor:
        squeezed = self.squeezed()
        value = (self.codes(squeezed.detach()) - self.top / 2) * (self.size * 2 / self.top)
        return Straight.apply(squeezed * self.size, value, None)

    def form(self) -> Levels:
        """What is stored now."""
        codes = Codes(self.codes(self.squeezed().detach()).flatten().to(torch.uint8), self.bits)
        return Levels(tuple(self.full.shape), codes, self.size * 2 / self.top, None, self.top / 2, self.full.numel())


class RoundedGradient(torch.autograd.Function):
    """Passes values on; their gradient is rounded with noise, relative to each example's largest (equation 12)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        ctx.bits = bits
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return rounded(gradient, ctx.bits, torch.rand_like(gradient) - 0.5), None


def rounded(gradient: Tensor, bits: int, noise: Tensor) -> Tensor:
    """2 m (round_k(g / 2m + 1/2 + noise / (2**k - 1)) - 1/2) with m the largest magnitude of an example. gradient: (n, ...)."""
    top = 2**bits - 1
    most = gradient.abs().flatten(1).amax(1).clamp(min=1e-30).reshape(-1, *[1] * (gradient.ndim - 1))
    level = (top * (gradient / (2 * most) + 0.5) + noise).round().clamp(0, top) / top
    return 2 * most * (level - 0.5)


def with_rounded_gradients(bits: int) -> Loss:
    """Cross-entropy; the gradients that reach layers from above are rounded."""
    plain = cross_entropy()

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        parts = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)]
        hooks = [m.register_forward_hook(lambda _, given, out: RoundedGradient.apply(out, bits)) for m in parts]
        worth = plain(model, inputs, labels)
        for hook in hooks:
            hook.remove()
        return worth

    return loss


def maker(bits: int) -> Callable[[Layer], nn.Module]:
    """Of one bit remains the sign times the layer's mean magnitude (equation 7); of more, squeezed levels."""
    def make(layer: Layer) -> nn.Module:
        def signs(full: Tensor) -> Encoded:
            return binary.answer(binary.prepare(full, layer), 1, "tensor")
        return Plain(layer.weight, signs) if bits == 1 else Squeezed(layer.weight, bits)
    return make


def run(task: Task, bits: int, activation_bits: int, gradient_bits: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """All three are rounded from the first step on."""
    def opened(module: nn.Module) -> None:
        activations.put_in(module, start(task), activation_bits, False)

    way = Way(maker(bits), opened, trace=activations.trace, finish=activations.fix,
              loss=lambda model: with_rounded_gradients(gradient_bits) if gradient_bits < 32 else None)
    words = f"trained, {bits}-bit weights, {activation_bits}-bit activations, {gradient_bits}-bit gradients"
    control = step("quantization.binary", per="tensor") if bits == 1 else step("quantization.uniform", bits=bits, clip="mse")
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), words, control, way, "dorefa", bits, activation_bits, gradient_bits)


PROCEDURE = Procedure(
    title="DoReFa",
    summary="Trains with weights, activations and, if asked, gradients in few bits. Activations behind a ReLU are clipped where rounding errs "
            "least and stay so; gradients are rounded with noise, so that they are right on average.",
    reference="Zhou et al. 2016, DoReFa-Net, arXiv:1606.06160",
    survey="6.4",
    knobs=(
        BITS, ACTIVATION_BITS,
        Knob("gradient_bits", "Bits per gradient", (2, 4, 6, 8, 32), 32, "With 32 gradients are left as they are."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=(*((("bits", n), ("activation_bits", n)) for n in (2, 3, 4)), (("bits", 1), ("activation_bits", 2), ("gradient_bits", 6))),
    refuses=activations.refuses,
    finding="Gradients need more bits than activations, and activations more than weights: 1, 2 and 6 bits still train.",
    terms=(LATENT,),
)
