"""A network as a net of pipes: every weight by its magnitude, nothing added on the way, and ones poured in.

What comes out at the end is the sum over all paths of the products of the magnitudes along them (Tanaka et al. 2020,
arXiv:2006.05467, section 5). That holds where a network only multiplies, adds up and rectifies; elsewhere there are no such paths.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.method import Context, Layer

_NORMS = nn.modules.batchnorm._BatchNorm
NO_EXAMPLE = "It sends ones through the network, and the shape of its inputs is not known; give it an example."
NO_NUMBERS = "It sends ones through the network, and this one reads symbols, not numbers."
NO_PATHS = "It follows paths of weights, and this network also has parts that are none: attention, gates, curved or layer-wise steps."


def pipes(about: Context) -> nn.Module:
    """A module of float64 magnitudes, biases and shifts zero; a batch normalisation only scales."""
    module = copy.deepcopy(about.module).double()
    for name, parameter in module.named_parameters():
        parameter.data = parameter.data.abs() if "bias" not in name else torch.zeros_like(parameter.data)
    for part in module.modules():
        if isinstance(part, _NORMS) and part.running_mean is not None:
            part.running_mean = torch.zeros_like(part.running_mean)
    return module.eval()


def ones(about: Context) -> Tensor:
    """One input of ones, (1, ...)."""
    return torch.ones_like(about.example[:1], dtype=torch.float64)


def no_flow(weight: Tensor, layer: Layer) -> str | None:
    """Why nothing can be made to flow through a layer's network, in one sentence; None where it can."""
    return layer.context.once("no flow", lambda: _no_flow(layer.context))


def _no_flow(about: Context) -> str | None:
    if about.example is None:
        return NO_EXAMPLE
    if not about.example.is_floating_point():
        return NO_NUMBERS
    with torch.no_grad():
        once, twice = (pipes(about)(k * ones(about)).sum() for k in (1, 2))
    return None if once > 0 and torch.isclose(twice, 2 * once, rtol=1e-9) else NO_PATHS


def owners(module: nn.Module, layer: Layer) -> Iterator[nn.Module]:
    """The modules that hold a layer's weight: one, or several where it is tied."""
    for name in layer.names:
        yield module.get_submodule(name.rpartition(".")[0])
