"""Inputs of layers clipped and rounded while a network trains, the clip level held or learnt; afterwards fixed for good.

Rounded are the inputs that are never negative on training examples, as behind a ReLU. The first layer's inputs, which are the
data, stay as they are, as in the papers.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from compression.context import NO_EXAMPLES
from compression.network import Network
from compression.rewrite import spare
from compression.rewriting.activations import LAYERS, Rounding, ends_of, round_first
from compression.train.made import Made
from compression.train.procedure import Task
from compression.train.quantized import beside


class ClippedLevels(torch.autograd.Function):
    """Evenly spaced levels from 0 to a clip level alpha. x: any shape; alpha: ().

    The gradient of x passes below alpha, that of alpha is the sum over what was clipped (Choi et al. 2018, equations 1 to 3).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, top: int) -> Tensor:
        ctx.save_for_backward(x, alpha)
        scale = alpha / top
        return (x * (1 / scale)).round().clamp(0, top) * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, alpha = ctx.saved_tensors
        return gradient * ((x >= 0) & (x < alpha)), (gradient * (x >= alpha)).sum(), None


class Clipped(nn.Module):
    """Rounds what it is given. The clip level is learnt as a multiple of the first, so that one learning rate suits all layers."""

    def __init__(self, first: float, bits: int, learnt: bool) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("first", torch.tensor(first))
        self.share = nn.Parameter(torch.ones(()), requires_grad=learnt)

    @property
    def alpha(self) -> Tensor:
        """The clip level, ()."""
        return self.first * self.share

    def forward(self, x: Tensor) -> Tensor:
        return ClippedLevels.apply(x, self.alpha, 2**self.bits - 1)

    def fixed(self) -> Rounding:
        """The same rounding with its clip level for good."""
        return Rounding(self.bits, "minmax", (), (0.0, float(self.alpha.detach())))


SAMPLE = 1 << 18  # values at most that are kept of a layer's inputs


@lru_cache(maxsize=4)
def places(network: Network) -> dict[str, Tensor]:
    """Layers whose inputs can be rounded, by name, and a sample of what goes into them on training examples, the largest among it."""
    found: dict[str, Tensor] = {}
    module = spare(network)

    def watch(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def before(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given and isinstance(given[0], Tensor) and not isinstance(getattr(module.get_submodule(name), "rounding", None), Rounding):
                found.setdefault(name, given[0].detach())
        return before

    hooks = [part.register_forward_pre_hook(watch(name)) for name, part in module.named_modules() if isinstance(part, LAYERS)]
    with torch.no_grad():
        module(network.context.examples)
    for hook in hooks:
        hook.remove()
    behind = {name: x.flatten() for name, x in list(found.items())[1:]}
    return {name: torch.cat([x[:: -(-len(x) // SAMPLE)], x.max().reshape(1)]) for name, x in behind.items()
            if x.is_floating_point() and len(x) and bool(x.min() >= 0) and bool(x.max() > 0)}


def refuses(task: Task) -> str | None:
    """Why no activation of a task's network can be trained rounded, or None."""
    if "train" not in task.network.data:
        return NO_EXAMPLES
    if not places(beside.start(task)):
        return f"{task.network.title} has no layer behind the first whose inputs are never negative, as they are behind a ReLU."
    return beside.refuses(task)


def put_in(module: nn.Module, network: Network, bits: int, learnt: bool) -> None:
    """A rounding before each place, clipped at first where it errs least."""
    for name, x in places(network).items():
        owner = module.get_submodule(name)
        owner.rounding = Clipped(ends_of(x, bits, "mse")[1], bits, learnt)
        owner.register_forward_pre_hook(round_first)


def clipped(module: nn.Module) -> list[tuple[str, Clipped]]:
    """The roundings in a module, by the name of the layer behind them."""
    return [(name.removesuffix(".rounding"), part) for name, part in module.named_modules() if isinstance(part, Clipped)]


def fix(module: nn.Module) -> None:
    """Every clip level as it is now, for good."""
    for name, part in clipped(module):
        module.get_submodule(name).rounding = part.fixed()


def trace(model: Made) -> dict[str, float]:
    """The clip levels of the first few layers."""
    return {f"clip level before {name}": float(part.alpha.detach()) for name, part in clipped(model.body)[:4]}
