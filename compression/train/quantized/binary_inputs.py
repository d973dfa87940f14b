"""Layers that see only the signs of their inputs, normalised first, and how large the inputs were where each output looks.

The order is that of XNOR-Net: normalise, take signs, multiply (Rastegari et al. 2016, arXiv:1603.05279, section 3.2 and figure 3). Networks
that end their layers with a ReLU give no negative inputs, whose signs would all be alike; the normalisation, one more for each such layer,
decides where the sign changes.
"""

from functools import lru_cache, partial
from math import prod

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from compression.network import Network
from compression.rewrite import spare
from compression.train.quantized.levels import Straight


class Signs(nn.Module):
    """Inputs normalised, as their signs and their sizes K. kernel: of a convolution; () of a linear layer."""

    def __init__(self, sample: Tensor, kernel: tuple[int, ...], sized: bool) -> None:
        super().__init__()
        channels = sample.shape[1] if kernel else sample.shape[-1]
        self.norm = nn.BatchNorm2d(channels) if kernel else nn.BatchNorm1d(channels)
        rows = (sample.movedim(1, -1) if kernel else sample).reshape(-1, channels)
        self.norm.running_mean.copy_(rows.mean(0))
        self.norm.running_var.copy_(rows.var(0, correction=0))
        self.sized = sized
        self.register_buffer("box", torch.full((1, 1, *kernel), 1 / prod(kernel)), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(signs, mean magnitude over channels). (n, channels, h, w) -> the same and (n, 1, h, w); (..., d) -> the same and (..., 1)."""
        if self.box.ndim == 2:
            normal = self.norm(x.flatten(0, -2)).reshape(x.shape)
            return binary(normal), normal.abs().mean(-1, keepdim=True)
        normal = self.norm(x)
        return binary(normal), normal.abs().mean(1, keepdim=True)


def binary(x: Tensor) -> Tensor:
    """Signs, of zero the positive one. The gradient passes where |x| <= 1 (section 3.1)."""
    return Straight.apply(x, torch.where(x >= 0, 1.0, -1.0), x.abs() <= 1)


fx.wrap("binary")


class BinaryLinear(nn.Linear):
    """sign(I) W K: of a linear layer K is the mean magnitude of all its inputs."""

    def forward(self, x: Tensor) -> Tensor:
        signs, size = self.signs(x)
        out = F.linear(signs, self.weight)
        out = out * size if self.signs.sized else out
        return out if self.bias is None else out + self.bias

    def taken(self, x: Tensor) -> Tensor:
        """What the weight is multiplied with."""
        return self.signs(x)[0]


class BinaryConv2d(nn.Conv2d):
    """(sign(I) * W) K: K is the mean magnitude of the channels at each pixel, filtered by a box as large as the kernel (equation 11).

    The border of a padded picture is zero, neither sign, as in the authors' code.
    """

    def forward(self, x: Tensor) -> Tensor:
        signs, size = self.signs(x)
        out = self._conv_forward(signs, self.weight, None)
        out = out * self._conv_forward(size, self.signs.box, None) if self.signs.sized else out
        return out if self.bias is None else out + self.bias[:, None, None]

    def taken(self, x: Tensor) -> Tensor:
        """What the weight is multiplied with."""
        return self.signs(x)[0]


KINDS = {nn.Linear: BinaryLinear, nn.Conv2d: BinaryConv2d}


@lru_cache(maxsize=4)
def places(network: Network) -> dict[str, Tensor]:
    """Layers between the first and the last that are called, in that order, and what training examples give to them.

    Linear layers, and convolutions over all channels.
    """
    module, met, found = spare(network), [], {}

    def watch(name: str, owner: nn.Module, given: tuple[Tensor, ...]) -> None:
        met.append(name)
        if type(owner) in KINDS and getattr(owner, "groups", 1) == 1 and not owner._forward_pre_hooks.keys() - {hooks[name].id}:
            found[name] = given[0].detach()

    hooks = {name: part.register_forward_pre_hook(partial(watch, name)) for name, part in module.named_modules()
             if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)}
    with torch.no_grad():
        module(network.context.examples)
    return {name: x for name, x in found.items() if name not in (met[0], met[-1])}


def put_in(module: nn.Module, network: Network, names: list[str], sized: bool) -> None:
    """Let these layers of a module see signs alone, normalised at first as training examples are."""
    for name in names:
        owner = module.get_submodule(name)
        kernel = owner.kernel_size if isinstance(owner, nn.Conv2d) else ()
        owner.__class__ = KINDS[type(owner)]
        owner.signs = Signs(places(network)[name], kernel, sized)
