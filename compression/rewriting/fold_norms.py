"""Take each batch normalisation into the convolution or linear layer before it: one layer fewer, the same answers."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from compression.network import Network
from compression.rewrite import Rewrite, Setback, spare

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_FEEDERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


def pairs(network: Network) -> list[tuple[str, str]]:
    """(layer, normalisation that takes its outputs) by module name, each met once in a run of one example."""
    if network.example is None:
        return []
    module, made, found, called = spare(network), {}, [], []
    names = {id(part): name for name, part in module.named_modules()}

    def after(part: nn.Module, _: Any, out: torch.Tensor) -> None:
        made[id(out)] = (names[id(part)], out)  # held, so that no two outputs have one identity
        called.append(names[id(part)])

    def before(norm: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        called.append(names[id(norm)])
        if id(given[0]) in made:
            found.append((made[id(given[0])][0], names[id(norm)]))

    for part in module.modules():
        if isinstance(part, _FEEDERS) and sum(p is part.weight for p in network.module.parameters()) == 1:
            part.register_forward_hook(after)
        elif isinstance(part, _NORMS) and part.running_var is not None:
            part.register_forward_pre_hook(before)
    with torch.no_grad():
        module(network.example)
    return [pair for pair in found if all(called.count(name) == 1 for name in pair)]


def refuses(network: Network) -> str | None:
    return None if pairs(network) else "No batch normalisation follows a layer of its own here, so there is nothing to fold."


def apply(network: Network) -> nn.Module:
    """The module with norms replaced by nothing, and the weights and biases before them scaled and shifted."""
    module = spare(network)
    for feeder, name in pairs(network):
        layer, norm = module.get_submodule(feeder), module.get_submodule(name)
        fuse = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
        weight, bias = fuse(layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        layer.weight, layer.bias = (nn.Parameter(t.detach().clone(), requires_grad=False) for t in (weight, bias))
        parent, _, own = name.rpartition(".")
        setattr(module.get_submodule(parent), own, nn.Identity())
    return module


REWRITE = Rewrite(
    title="Batch-norm folding",
    summary="At inference a batch normalisation only scales and shifts, which the layer before it can do itself.",
    reference="Jacob et al. 2018, Quantization and Training of Neural Networks, arXiv:1712.05877, section 3.2",
    survey="4",
    knobs=(),
    apply=apply,
    refuses=refuses,
    exact=True,
    terms=(("folding", "Multiplying a normalisation's scale into the weights before it, so that it need not run."),),
    fails=Setback(
        "Each channel takes the scale of its normalisation into its weights; channels then differ, and one scale cannot serve them all.",
        "depthwise", (), 8),
)
