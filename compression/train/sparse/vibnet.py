"""Variational information bottleneck: every unit is multiplied with noise of its own, and those that tell nothing through it go."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.network import Network
from compression.places import sparse
from compression.rewriting.coupled import by_unit, pairs
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import NOTHING, Progress, Run
from compression.train.sparse.masked import RATE, Masked, makers, to_mask, train, usual
from compression.train.sparse.variational import GAIN, QUIET, THRESHOLDS, dial

LEFT = "units left (%)"
_GATED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def penalty(log_alpha: Tensor) -> Tensor:
    """log(1 + mu² / sigma²) of gates with log alpha = log(sigma² / mu²), in nats, the same shape: 0 where all is noise.

    >>> [round(float(penalty(torch.tensor(x))), 2) for x in (-8.0, 0.0, 8.0)]
    [8.0, 0.69, 0.0]
    """
    return F.softplus(-log_alpha)


class Bottleneck(nn.Module):
    """A weight whose inputs pass gates, N(mu, sigma²), one for each unit. Judged and stored, mu is part of the weight.

    In training the gates are put on the inputs, drawn anew for each example (noisy), and the weight is as it is. reader: the bottleneck
    that reads this layer's outputs; a unit that is shut there is not made here either.
    """

    def __init__(self, full: Tensor, units: int, threshold: float, reader: "Bottleneck | None" = None) -> None:
        super().__init__()
        self.full, self.units, self.threshold = nn.Parameter(full.detach().clone()), units, threshold
        self.mean = nn.Parameter(torch.ones(units))
        self.loud = nn.Parameter(torch.full((units,), QUIET / GAIN))  # log of the variance, by GAIN
        self.readers = [reader] if reader is not None else []  # in a list, so that it is not a part of this module

    def log_alpha(self) -> Tensor:
        """Log of each gate's variance by the square of its mean, (units,)."""
        return self.loud * GAIN - self.mean.square().clamp(min=1e-8).log()

    @property
    def open(self) -> Tensor:
        """Units that are not all noise, (units,) bool."""
        return self.log_alpha().detach() < self.threshold

    @property
    def kept(self) -> Tensor:
        """Weights that lead from an open unit to one that is read, bool like the weight."""
        return both(self.full, self.open, self.readers[0].open if self.readers else None)

    def noisy(self, inputs: Tensor) -> Tensor:
        """Inputs times gates drawn for each example: (n, channels, *places) of kernels, (n, …, inputs) of matrices."""
        z = self.mean + torch.exp(self.loud * GAIN / 2) * torch.randn(len(inputs), self.units)
        if self.full.ndim > 2:
            return inputs * z.reshape(*z.shape, *[1] * (inputs.ndim - 2))
        z = z.repeat_interleave(self.full.shape[1] // self.units, 1)
        return inputs * z.reshape(len(z), *[1] * (inputs.ndim - 2), -1)

    def forward(self) -> Tensor:
        return self.full if self.training else self.judged()

    def judged(self) -> Tensor:
        """The weight times the means of its gates, 0 where it is not kept."""
        scaled = by_unit(self.full, self.units) * self.mean[:, None, None]  # (units, out, places)
        return torch.where(self.kept, scaled.transpose(0, 1).reshape(self.full.shape), 0.0)

    def form(self) -> Encoded:
        """What is kept."""
        return sparse(self.judged().detach(), self.kept.flatten())


def both(weight: Tensor, read: Tensor, made: Tensor | None) -> Tensor:
    """Weights from inputs that are read, units (units,), to outputs that are made (out,) or all; bool like the weight."""
    into = read.repeat_interleave(weight.shape[1] // len(read)).reshape(1, -1, *[1] * (weight.ndim - 2))
    out = torch.ones(1, dtype=torch.bool) if made is None else made
    return (into & out.reshape(-1, *[1] * (weight.ndim - 1))).expand(weight.shape)


class Passing(Made):
    """A network that is trained with the inputs of its layers behind gates."""

    def forward(self, inputs: Tensor) -> Tensor:
        with ExitStack() as hooked:
            for name, maker in zip(self.names, self.makers, strict=True) if self.training else ():
                part = self.body.get_submodule(name)
                hooked.callback(part.register_forward_pre_hook(lambda _, given, maker=maker: (maker.noisy(given[0]), *given[1:])).remove)
            return super().forward(inputs)


def called(network: Network) -> set[str]:
    """Names of the modules that are run on an example: where a weight is used past its module, no gate would be met."""
    module, found = network.context.spare(), set()
    for name, part in module.named_modules():
        part.register_forward_hook(lambda _, given, out, name=name: found.add(name))
    with torch.no_grad():
        module(network.example)
    return found


def gated(network: Network) -> list[Layer]:
    """Layers whose inputs can be multiplied: matrices and kernels that stand for themselves and mix all of their inputs."""
    there = called(network)
    return [layer for layer in to_mask(network) if layer.groups == 1 and layer.names == (f"{layer.name}.weight",) and layer.name in there
            and type(network.module.get_submodule(layer.name)) in _GATED]


def fed(network: Network) -> dict[str, str]:
    """By the name of a layer that reads, the layer whose units alone it reads."""
    names = {layer.name for layer in gated(network)}
    return {pair.reader: pair.feeder for pair in pairs(network) if {pair.reader, pair.feeder} <= names}


def counts(network: Network) -> dict[str, int]:
    """Gates of each layer: one for each unit of the layer that feeds it, else one for each of its inputs."""
    feeders = fed(network)
    return {x.name: len(network.layer(feeders[x.name]).weight) if x.name in feeders else x.weight.shape[1] for x in gated(network)}


def bottlenecks(network: Network, threshold: float) -> dict[str, Bottleneck]:
    """What makes each layer's weight, every gate at 1 with little noise."""
    readers, units, found = {f: r for r, f in fed(network).items()}, counts(network), {}
    for layer in reversed(gated(network)):
        found[layer.name] = Bottleneck(layer.weight, units[layer.name], threshold, found.get(readers.get(layer.name, "")))
    return found


def largest(network: Network, left: Mapping[str, int]) -> dict[str, Tensor]:
    """So many units of each layer's inputs, by name, as have the largest weights: (units,) bool.

    A unit's size is the length of the weights that read it, times that of those that make it, where a layer does.
    """
    feeders, found = fed(network), {}
    for name, units in counts(network).items():
        size = by_unit(network.layer(name).weight, units).flatten(1).norm(dim=1)
        if name in feeders:
            size = size * network.layer(feeders[name]).weight.flatten(1).norm(dim=1)
        found[name] = torch.zeros(units, dtype=torch.bool).index_fill_(0, size.argsort(descending=True, stable=True)[: left[name]], True)
    return found


def under(model: Made, gamma: float) -> Loss:
    """Cross-entropy and gamma times the penalty of all gates."""
    plain = cross_entropy()

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return plain(module, inputs, labels) + gamma * sum(penalty(m.log_alpha()).sum() for m in makers(model))

    return loss


def run(task: Task, threshold: float, gamma: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Gates for all units, and beside it as many units of each layer kept by magnitude, trained as long."""
    plan, net, key = usual(task, epochs, rate), task.network.reference, ("vibnet", threshold, gamma)
    steps = plan.total(len(task.teach))
    own, control = Run("information bottleneck", steps), Run("as many units, by magnitude", steps, control=True)
    left: dict[str, int] = {}

    def learn(_: tuple[Run, ...]) -> Going:
        model = Passing(net, bottlenecks(net, threshold))

        def share() -> dict[str, float]:
            every = torch.cat([m.open for m in makers(model)])
            return {LEFT: 100 * float(every.float().mean())}

        done = yield from train(task, model, plan, own, key, loss=under(model, gamma), trace=share, at_end=True)
        left.update({name: int(m.open.sum()) for name, m in zip(model.names, makers(model), strict=True)})
        return replace(done, picture=dial(model, task.watch, "units"))

    def by_magnitude(_: tuple[Run, ...]) -> Going:
        units, readers = largest(net, left), {f: r for r, f in fed(net).items()}
        model = Made(net, {x.name: Masked(x.weight, both(x.weight, units[x.name], units.get(readers.get(x.name, "")))) for x in gated(net)})
        return (yield from train(task, model, plan, control, (*key, *left.values()), trace=lambda: NOTHING))

    yield from in_turn(task.watch, [(own, learn), (control, by_magnitude)])


def refuses(task: Task) -> str | None:
    """Why there is nothing to gate, or None."""
    net = task.network.reference
    return None if gated(net) else f"{net.title} has no plain fully connected or convolutional layer, and it is their inputs that get gates."


PROCEDURE = Procedure(
    title="Information bottleneck (VIBNet)",
    summary="Multiplies what every layer reads with noisy gates, one for each unit, and trains under a price on what they let through; units whose "
            "gate is all noise go as a whole. It begins from the network as it came; the recipe on screen is left aside.",
    reference="Dai et al. 2018, Compressing Neural Networks using the Variational Information Bottleneck, arXiv:1802.10399",
    survey="3.4.3",
    knobs=(
        Knob("threshold", "Most log α", THRESHOLDS, 0, "A unit goes whose gate has more noise than that: at 0 its variance is its mean squared."),
        Knob("gamma", "Price γ", (3e-5, 1e-4, 3e-4, 1e-3, 3e-3), 3e-4, "What is paid beside the loss for each nat of log(1 + μ²/σ²) of all gates."),
        Knob("epochs", "Passes", (3, 5, 10, 20, 40), 20, "How often every training example is seen."),
        replace(RATE, default=1e-2),
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("gamma", 1e-3),),),
    refuses=refuses,
    finding="Units that tell nothing are shut by themselves, inputs at the edge of the picture among them; more go than under other penalties.",
    terms=(("information bottleneck", "Letting each layer tell the next as little about the input as the answer needs."),),
    told=(LEFT,),
)
