"""What directly follows each layer: the batch normalisation that scales its outputs, and the rectifier that they end in."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from compression.method import Context
from compression.pruning.flow import owners

_NORMS = nn.modules.batchnorm._BatchNorm
_WATCHED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ON_THE_WAY = (nn.MaxPool1d, nn.MaxPool2d, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)  # an output stays that output
_RECTIFIERS = (nn.ReLU, nn.ReLU6)


class Following(NamedTuple):
    """Of one layer."""

    norm: str | None  # name of the batch normalisation that takes its outputs
    zeros: Tensor | None  # (out,) share of zeros among its outputs after the rectifier, over all examples and places
    mean: Tensor | None  # (out,) their mean there


def following(about: Context) -> dict[str, Following]:
    """By layer name, from one run over the training examples, or over the example alone where there are none."""
    module, held = about.spare(), {}  # id of a tensor -> (layer name, the tensor, held so that its id stays its own)
    names = {id(part): name for name, part in module.named_modules()}
    found: dict[str, Following] = {}
    layers = {id(owner): layer for layer in about.layers for owner in owners(module, layer) if isinstance(owner, _WATCHED)}

    def after(part: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        if id(part) in layers:
            held[id(out)] = layers[id(part)].name, out
            return
        name, _ = held.get(id(given[0]) if given else None, ("", None))
        if not name:
            return
        if isinstance(part, _RECTIFIERS):
            channels = (out.movedim(1, -1) if isinstance(given[0], Tensor) and kinds[name] == "conv" else out).flatten(0, -2)
            found[name] = found.get(name, Following(None, None, None))._replace(zeros=(channels == 0).float().mean(0), mean=channels.mean(0))
            return
        if isinstance(part, _NORMS):
            found[name] = found.get(name, Following(None, None, None))._replace(norm=names[id(part)])
        held[id(out)] = name, out

    kinds = {layer.name: layer.kind for layer in about.layers}
    for part in module.modules():
        if isinstance(part, (*_WATCHED, _NORMS, *_ON_THE_WAY, *_RECTIFIERS)):
            part.register_forward_hook(after)
    with torch.no_grad():
        module(about.example if not about.digest else about.examples)
    return found
