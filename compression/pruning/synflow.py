"""SynFlow: prune by what flows through a weight, in many small rounds, without any data.

A weight's score is the part of the network's flow (see flow.py) that passes through it. What flows into a layer flows out of it,
so the scores of each layer of a chain have one sum, a layer with few weights left has the largest, and none is ever emptied.
After k of n rounds a share density ** (k / n) is left, as in the paper; a milder sparsity is the same run, stopped earlier.
"""

from collections.abc import Generator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Context, Failure, Layer, Method, Piecewise
from compression.pruning.flow import no_flow, ones, pipes
from compression.pruning.ranking import LADDER, SPARSITY, Ranked, densities, forget, which

ROUNDS, LAST = 100, 0.01  # rounds, and what is left before the last one


def scores(module: nn.Module, x: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The flow through each entry of some parameters of a module of pipes: gradient times weight."""
    with torch.enable_grad():
        held = {name: w.requires_grad_() for name, w in weights.items()}
        gradients = torch.autograd.grad(module(x).sum(), list(held.values()), allow_unused=True)
    return {name: torch.zeros_like(w) if g is None else (g * w).detach() for (name, w), g in zip(held.items(), gradients)}


def leaving(about: Context) -> Generator[float, None, Tensor]:
    """All weights of the network in the order in which they go: (n,) places among those of all layers laid end to end."""
    module, x = pipes(about), ones(about)
    weights = {layer.name: module.get_parameter(layer.names[0]) for layer in about.layers}
    sizes = [w.numel() for w in weights.values()]
    left, gone = np.arange(sum(sizes)), []
    for k in range(1, ROUNDS + 1):
        yield (k - 1) / ROUNDS
        flow = torch.cat([s.flatten() for s in scores(module, x, weights).values()]).numpy()[left]
        count = len(left) - round(sum(sizes) * LAST ** (k / ROUNDS)) if k < ROUNDS else len(left)
        by_flow = flow.argsort(kind="stable")
        gone.append(left[by_flow[:count]])
        left = np.sort(left[by_flow[count:]])
        kept = torch.zeros(sum(sizes), dtype=torch.bool)
        kept[torch.from_numpy(left)] = True
        for w, mask in zip(weights.values(), kept.split(sizes)):
            w.data = w.data * mask.reshape(w.shape)
    return torch.from_numpy(np.concatenate(gone))


def plan(about: Context) -> Generator[float, None, tuple[Tensor, list[Tensor]]]:
    """How many weights of each layer are gone at each rung, (layers, rungs), and each layer's places in the order they go."""
    ends = torch.tensor([layer.weight.numel() for layer in about.layers]).cumsum(0)
    order = yield from leaving(about)
    owner = torch.bucketize(order, ends, right=True)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    going = torch.stack([torch.bincount(owner[: round(rung * len(order))], minlength=len(ends)) for rung in LADDER], 1)
    return going, [order[owner == i] - start for i, start in enumerate(starts)]


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Ranked]:
    about = layer.context
    known = about.once("synflow", dict)
    if "plan" not in known:
        known["plan"] = yield from plan(about)
    going, orders = known["plan"]
    module, order = pipes(about), orders[which(layer)]
    flow = scores(module, ones(about), {layer.name: module.get_parameter(layer.names[0])})[layer.name].flatten()
    return Ranked(weight, order, flow[order].float(), densities(about.layers, going), going[which(layer)])


def answer(found: Ranked, sparsity: float) -> Encoded:
    return forget(found, sparsity)


METHOD = Method(
    title="SynFlow",
    summary="Set to zero the weights through which least flows from inputs to answers, a few at a time; no data, and no layer is emptied.",
    reference="Tanaka et al. 2020, Pruning neural networks without any data, arXiv:2006.05467, algorithm 1",
    survey="3.6.2",
    knobs=(SPARSITY,),
    prepare=prepare,
    answer=answer,
    refuses=no_flow,
    needs=("network",),
    terms=(("synaptic flow", "The sum, over all paths that run through a weight, of the products of the magnitudes along them."),),
    fails=Failure(
        "A weight counts by the paths it lies on, whatever flows there for real examples; magnitude alone keeps more of what matters here.",
        "resnet-20", "stage2.1.conv1", (("sparsity", 0.9),), ("pruning.global_magnitude", (("sparsity", 0.9), ("score", "lamp"))),
    ),
)
