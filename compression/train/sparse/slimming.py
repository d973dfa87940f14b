"""Network slimming: train under a penalty on the scales of batch normalisations, drop the channels scaled down most, and train on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.method import Knob, Layer
from compression.network import Network
from compression.pruning.following import following
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn, onward
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, Masked, makers, train, usual

SHARE = Knob("share", "Channels dropped", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), 0.3,
             "Of all channels before a batch normalisation, whatever the layer.")
STRENGTH = Knob("strength", "Strength", (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2), 1e-3,
                "What the sum of all scales is multiplied with beside the loss.")


class Scales(NamedTuple):
    """How far channels are scaled, and how many are kept."""

    scales: Tensor  # (channels,) of all batch normalisations before any channel is dropped, in units of its layer's mean before training
    channels_left: Tensor  # (layers,) share of each layer's channels, %


def scaled(network: Network) -> dict[str, str]:
    """Layers whose channels a batch normalisation scales directly, by name, and that normalisation's name."""
    if network.example is None:
        return {}
    found = following(network.context)
    return {layer.name: norm for layer in network.layers if layer.name in found and (norm := found[layer.name].norm)
            and network.module.get_submodule(norm).weight is not None and layer.weight.ndim > 1}


def refuses(task: Task) -> str | None:
    """Why there is no channel to drop, or None."""
    if not scaled(task.network.reference):
        return f"{task.network.title} has no batch normalisation directly behind a layer, and it is their scales that decide here."
    return None


def scales(module: nn.Module, norms: Sequence[str]) -> list[Tensor]:
    """The trained scales of batch normalisations, (channels,) each."""
    return [module.get_submodule(name).weight for name in norms]


def least(each: Sequence[Tensor], share: float) -> list[Tensor]:
    """Which channels stay when a share of all with the least scores goes; every layer keeps its best."""
    flat = torch.cat(list(each))
    order, kept = flat.argsort(stable=True), torch.ones(len(flat), dtype=torch.bool)
    kept[order[: round(share * len(flat))]] = False
    parts = [part.clone() for part in kept.split([len(x) for x in each])]
    for part, score in zip(parts, each, strict=True):
        part[score.argmax()] = True
    return parts


def slim(model: Made, kept: Mapping[str, Tensor], norms: Mapping[str, str]) -> None:
    """Set what makes a dropped channel to zero: its weights, and what its normalisation makes of them."""
    for name, maker in zip(model.names, makers(model), strict=True):
        if name in kept:
            maker.kept.copy_(kept[name].reshape(-1, *[1] * (maker.full.ndim - 1)).expand(maker.full.shape))
    hold(model, kept, norms)


def hold(model: Made, kept: Mapping[str, Tensor], norms: Mapping[str, str]) -> None:
    """Keep the scales and shifts of dropped channels at zero, after a step that moved them."""
    with torch.no_grad():
        for name, stays in kept.items():
            norm = model.body.get_submodule(norms[name])
            norm.weight.mul_(stays)
            norm.bias.mul_(stays)


def under(model: Made, norms: Sequence[str], strength: float) -> Loss:
    """Cross-entropy and the sum of all scales, times the strength (Liu et al. 2017, equation 1)."""
    plain = cross_entropy()

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return plain(module, inputs, labels) + strength * sum(x.abs().sum() for x in scales(model.body, norms))

    return loss


def left(model: Made) -> dict[str, float]:
    """Share of the channels that are left."""
    rows = [m.kept.flatten(1).any(1) for m in makers(model)]
    return {"channels left (%)": 100 * sum(int(r.sum()) for r in rows) / sum(len(r) for r in rows)}


def slimmed(net: Network, layers: Sequence[Layer]) -> Made:
    """A model whose layers can lose channels."""
    return Made(net, {layer.name: Masked(layer.weight) for layer in layers})


def run(task: Task, share: float, strength: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Under the penalty, slimmed, trained on; beside the same without the penalty, slimmed by the size of the filters."""
    plan, net = usual(task, epochs, rate), task.network.reference
    steps, norms = plan.total(len(task.teach)), scaled(net)
    layers = [layer for layer in net.layers if layer.name in norms]

    def whole(penalised: bool, run: Run, _: tuple[Run, ...]) -> Going:
        model, names, key = slimmed(net, layers), list(norms.values()), ("slimming", share, strength if penalised else 0.0)
        begun = [float(x.detach().abs().mean().clamp(min=1e-30)) for x in scales(model.body, names)]  # in the paper all begin at one value
        run = yield from onward(run, train(task, model, plan, Run(run.title, steps), (*key, "first"), trace=partial(left, model),
                                           loss=under(model, names, strength) if penalised else None), 0, last=False)
        before = [x.detach().abs() / first for x, first in zip(scales(model.body, names), begun, strict=True)]
        sizes = [m.full.detach().flatten(1).abs().mean(1) for m in makers(model)]
        scores = before if penalised else [s / s.mean().clamp(min=1e-30) for s in sizes]  # layers' filters differ in size from the first
        kept = dict(zip(norms, least(scores, share), strict=True))
        slim(model, kept, norms)
        seen = Scales(torch.cat(before), torch.tensor([100 * float(k.float().mean()) for k in kept.values()]))
        return (yield from onward(run, train(task, model, plan, Run(run.title, steps), (*key, "second"), seed=task.seed + 1,
                                             after=lambda _: hold(model, kept, norms), trace=partial(left, model), picture=lambda: seen), steps))

    runs = [(True, Run("by scales pressed to zero", 2 * steps)), (False, Run("by the size of filters", 2 * steps, control=True))]
    yield from in_turn(task.watch, [(run, partial(whole, penalised, run)) for penalised, run in runs])


PROCEDURE = Procedure(
    title="Network slimming",
    summary="Trains on under a penalty on the scales of batch normalisations, drops the channels scaled least against where their layer "
            "began, and trains on what is left. The fall in the middle is the dropping. The recipe on screen is left aside.",
    reference="Liu et al. 2017, Learning Efficient Convolutional Networks through Network Slimming, arXiv:1708.06519",
    survey="3.4.1",
    knobs=(SHARE, STRENGTH, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="vgg-small",
    study=((("share", 0.5), ("strength", 0.01), ("epochs", 3), ("rate", 0.01)),),
    refuses=refuses,
    finding="Pressed toward zero, scales say which channels can go: 7 of 10 channels of a VGG on CIFAR-10 without loss.",
    terms=(("scale", "What a batch normalisation multiplies a channel with (γ)."),),
)
