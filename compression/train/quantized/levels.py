"""Evenly spaced levels that a weight kept in full is rounded to in every step, and the gradients that pass through the rounding.

The full weight is what is trained; what the network computes with, and what is stored, are its levels. Rounding has no slope of use,
so a gradient passes it as if it were not there, "straight through" (Bengio et al. 2013, arXiv:1308.3432).
"""

from typing import Any

import torch
from torch import Tensor, nn

from compression.encoded import Codes, Levels
from compression.method import Layer
from compression.quantization import uniform
from compression.quantization.uniform import sizes


def ends(bits: int) -> tuple[float, float]:
    """The outermost levels counted from zero: whole numbers, or at one bit halves, as no level is then at zero.

    >>> ends(2), ends(1)
    ((-2.0, 1.0), (-0.5, 0.5))
    """
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if bits > 1 else (-0.5, 0.5)


def whole(steps: Tensor, bits: int) -> Tensor:
    """The nearest level of values given in steps, counted from zero."""
    return (steps.round() if bits > 1 else steps.floor() + 0.5).clamp(*ends(bits))


class Straight(torch.autograd.Function):
    """The value of one tensor with the gradient of another, where that is inside of what can be reached; 0 outside."""

    @staticmethod
    def forward(ctx: Any, full: Tensor, value: Tensor, inside: Tensor | None) -> Tensor:
        ctx.inside = inside
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient if ctx.inside is None else gradient * ctx.inside, None, None


class LearnedStep(torch.autograd.Function):
    """Levels of which the step is learnt (Esser et al. 2020, equations 1 to 3). full: (groups, size), step: (groups,)."""

    @staticmethod
    def forward(ctx: Any, full: Tensor, step: Tensor, bits: int, factor: float) -> Tensor:
        steps = full * (1 / step)[:, None]
        level = whole(steps, bits)
        ctx.save_for_backward(steps, level)
        ctx.bits, ctx.factor = bits, factor
        return level * step[:, None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        steps, level = ctx.saved_tensors
        inside = within(steps, ctx.bits)
        slope = torch.where(inside, level - steps, level)  # of a value as its step grows
        return gradient * inside, (gradient * slope).sum(1) * ctx.factor, None, None


def within(steps: Tensor, bits: int) -> Tensor:
    """Which values, in steps, are not cut off: they lie between the outermost levels, at one bit within a step of zero."""
    low, high = ends(bits) if bits > 1 else (-1.0, 1.0)
    return (steps >= low) & (steps <= high)


class Rounded(nn.Module):
    """A weight in full and a step for each group of neighbours. forward() gives the levels, form() stores the same ones.

    learnt: whether the steps are trained; factor: what their gradient is multiplied with.
    """

    def __init__(self, full: Tensor, step: Tensor, bits: int, learnt: bool = False, factor: float = 1.0) -> None:
        super().__init__()
        self.full, self.bits, self.learnt, self.factor = nn.Parameter(full.detach().clone()), bits, learnt, factor
        self.size = full.numel() // len(step)
        self.step = nn.Parameter(step.clone(), requires_grad=learnt)

    def forward(self) -> Tensor:
        full = self.full.reshape(-1, self.size)  # (groups, size)
        if self.learnt:
            return LearnedStep.apply(full, self.step, self.bits, self.factor).reshape(self.full.shape)
        steps = (full * (1 / self.step)[:, None]).detach()
        return Straight.apply(full, whole(steps, self.bits) * self.step[:, None], within(steps, self.bits)).reshape(self.full.shape)

    def form(self) -> Levels:
        """What is stored now."""
        steps = (self.full.reshape(-1, self.size) * (1 / self.step)[:, None]).detach()
        return stored(whole(steps, self.bits), self.step.detach().clone(), self.bits, tuple(self.full.shape))


def stored(level: Tensor, step: Tensor, bits: int, shape: tuple[int, ...]) -> Levels:
    """Levels counted from zero, (groups, size), and a step for each group, as a file has them."""
    middle = -ends(bits)[0]
    codes = (level.flatten() + middle).to(torch.uint8 if bits <= 8 else torch.int32)
    return Levels(shape, Codes(codes, bits), step, None, middle, level.shape[1])


def least_error_step(layer: Layer, bits: int, per: str = "channel") -> Tensor:
    """The step of each group, (groups,), at which rounding errs least: where rounding without training puts it."""
    form = uniform.answer(uniform.prepare(layer.weight, layer), bits, True, per, "mse")
    step = form.scale.float()  # type: ignore[attr-defined]
    return torch.where(step > 0, step, torch.ones_like(step))  # of a channel of zeros


def group_size(layer: Layer, per: str) -> int:
    """How many neighbours share a step."""
    return sizes(tuple(layer.weight.shape))[per]
