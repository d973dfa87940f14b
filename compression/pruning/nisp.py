"""What each output is worth to the answers, passed back from the end of the network through the magnitudes of the weights.

The worth of a layer's outputs is the transpose of the next layer's magnitudes times the worth of its outputs, which is a gradient
in the network of pipes (flow.py); a channel of a convolution has the sum over its places. Yu et al. rank the responses before
the classifier by a feature selection of their own; here every class counts as much as another.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Context, Failure, Layer, Method
from compression.pruning import filters, flow


class Worth(NamedTuple):
    """What each output of the layer is worth to the answers, and the outputs from the least worth up."""

    weight: Tensor
    worth: Tensor  # (out,)
    order: Tensor  # (out,)


def worths(about: Context) -> dict[str, Tensor]:
    """By layer name, (out,), for layers that are modules of their own: linear ones and convolutions."""
    module, made = flow.pipes(about), {}

    def after(name: str, out: Tensor) -> Tensor:
        made.setdefault(name, []).append(out.requires_grad_() if out.is_leaf else out)
        return made[name][-1]

    for layer in about.layers:
        for owner in flow.owners(module, layer):
            if isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
                owner.register_forward_hook(lambda _, given, out, name=layer.name: after(name, out))
    with torch.enable_grad():
        total = module(flow.ones(about).requires_grad_()).sum()
        outs = [out for each in made.values() for out in each]
        gradients = iter(torch.autograd.grad(total, outs, allow_unused=True))
    known = {}
    for layer in about.layers:
        parts = [g for g in (next(gradients) for _ in made.get(layer.name, ())) if g is not None]
        if parts:
            known[layer.name] = sum(_channels(g, layer) for g in parts).float()
    return known


def _channels(g: Tensor, layer: Layer) -> Tensor:
    """(1, out, *places) of a convolution, or (1, ..., out) -> (out,)."""
    return (g.movedim(1, -1) if layer.kind == "conv" else g).flatten(0, -2).sum(0)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    why = filters.refuses(weight, layer) or flow.no_flow(weight, layer)
    if why is None and layer.name not in layer.context.once("worths", lambda: worths(layer.context)):
        return f"Nothing of the answers can be passed back to the outputs of {layer.name}."
    return why


def prepare(weight: Tensor, layer: Layer) -> Worth:
    worth = layer.context.once("worths", lambda: worths(layer.context))[layer.name]
    return Worth(weight, worth, worth.argsort(stable=True))


def answer(found: Worth, sparsity: float) -> Encoded:
    return filters.without(found.weight, found.order[: round(sparsity * len(found.weight))])


METHOD = Method(
    title="NISP",
    summary="An output is worth what the outputs that listen to it are worth, by how loudly they do; the least worth are forgotten.",
    reference="Yu et al. 2018, NISP: Pruning Networks using Neuron Importance Score Propagation, arXiv:1711.05908, equation 11",
    survey="3.1",
    knobs=(filters.SPARSITY,),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("network",),
    terms=(("importance propagation", "Passing back through the layers how much each unit contributes to what comes out at the end."),),
    fails=Failure(
        "It adds up magnitudes along paths and sees no example, so a channel that many large weights read counts even where it says nothing.",
        "depthwise", "block3.pointwise", (("sparsity", 0.25),), ("pruning.filters", (("sparsity", 0.25), ("norm", "l1"))),
    ),
)
