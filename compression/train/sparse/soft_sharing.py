"""Soft weight sharing: a mixture of bell curves is learnt together with the weights, which gather at its means and are snapped to them."""

import copy
from collections.abc import Iterator
from functools import partial
from math import log, nan, pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.apply import encode
from compression.encoded import Shared
from compression.method import Knob
from compression.recipe import step
from compression.repair.repaired import put
from compression.sharing import soft
from compression.train.dial import Dial
from compression.train.loop import LOOKS, Loss, accuracy, cross_entropy
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Point, Progress, Run
from compression.train.results import result
from compression.train.sparse.masked import makers, sized, to_mask, train, usual

BINS = 161
REACH = 4.0  # of the means at first, beside the spread of all weights
GAIN = 10.0  # widths and shares learn so much faster than weights do: there are far fewer steps here than in the paper
NARROW = 3e-3  # the least width of a curve, beside the spread of all weights; the paper has a prior against narrow ones


class Curves(nn.Module):
    """The prior of all weights: a spike at zero whose share is held, and curves whose shares, means and widths are learnt."""

    def __init__(self, weights: Tensor, components: int, spike: float) -> None:
        super().__init__()
        self.spike, self.spread, reach = spike, float(weights.std()), REACH * float(weights.std())
        means = torch.linspace(-reach, reach, components)
        means = torch.cat([means[:components // 2], means[components // 2 + 1:]]) if spike else means
        self.means_by = nn.Parameter(means / self.spread)  # beside the spread of the weights
        self.widths_by = nn.Parameter(torch.full((components,), log(2 * reach / components / self.spread) / GAIN))
        self.shares_by = nn.Parameter(torch.zeros(len(means)))

    @property
    def means(self) -> Tensor:
        """(components,), the spike's first."""
        return torch.cat([self.means_by.new_zeros(int(self.spike > 0)), self.means_by * self.spread])

    @property
    def widths(self) -> Tensor:
        """(components,)."""
        return (self.widths_by * GAIN).exp().clamp(min=NARROW) * self.spread

    @property
    def log_shares(self) -> Tensor:
        """(components,)."""
        others = F.log_softmax(self.shares_by * GAIN, 0)
        return torch.cat([others.new_tensor([log(self.spike)]), others + log(1 - self.spike)]) if self.spike else others

    def log_density(self, weights: Tensor) -> Tensor:
        """Log of the density at each of some weights (n,), in nats."""
        each = self.log_shares - self.widths.log() - 0.5 * log(2 * pi) - 0.5 * ((weights[:, None] - self.means) / self.widths) ** 2
        return each.logsumexp(1)

    def plain(self) -> soft.Mixture:
        """The mixture as it is now."""
        parts = [x.detach().double().numpy() for x in (self.log_shares.exp(), self.means, self.widths)]
        return soft.Mixture(*parts, (), self.spike > 0)


class Gathered(nn.Module):
    """A weight that is judged and stored as the means of the curves that it most likely came from, those near to one another joined."""

    def __init__(self, full: Tensor, curves: Curves, merge: float) -> None:
        super().__init__()
        self.full, self.curves, self.merge = nn.Parameter(full.detach().clone()), curves, merge

    def forward(self) -> Tensor:
        return self.full if self.training else self.form().decode()

    def form(self) -> Shared:
        """Codes and the means they stand for."""
        weight = self.full.detach()
        found = soft.snap(soft.merged(self.curves.plain(), self.merge), (float(weight.min()), float(weight.max())))
        return soft.snapped(weight, found)


def run(task: Task, bits: int, spike: float, strength: float, merge: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """The mixture learnt with the weights, beside a mixture fitted to the weights as they came."""
    plan, net = usual(task, epochs, rate), task.network.reference
    gathered, frozen = Run("gathered while training", plan.total(len(task.teach))), Run("snapped, not trained", 0, control=True)

    def snapped(_: tuple[Run, ...]) -> Going:
        forms = {x.name: encode(x, (step("sharing.soft", bits=bits, spike=spike, merge=merge),))[0] for x in to_mask(net)}
        module = copy.deepcopy(net.module)
        put(module, {name: forms[x.name].decode() for x in to_mask(net) for name in x.names})
        made = result(task.network, module, frozen.title, forms)
        yield None
        return Run(frozen.title, 0, (Point(0, 0.0, nan, accuracy(made.network.module, task.watch), True),), True, made)

    def gather(_: tuple[Run, ...]) -> Going:
        layers = to_mask(net)
        curves = Curves(torch.cat([x.weight.flatten() for x in layers]), 2**bits, spike)
        model = Made(net, {x.name: Gathered(x.weight, curves, merge) for x in layers})
        for name, shape in (("looks", ()), ("steps", (LOOKS + 2,)), ("bars", (LOOKS + 2, BINS)), ("lines", (LOOKS + 2, BINS))):
            model.register_buffer(name, torch.zeros(shape))
        at = torch.linspace(-1, 1, BINS) * float(curves.means_by.detach().abs().max()) * curves.spread

        def after(step: int) -> None:
            model.steps[int(model.looks)] = step

        return (yield from train(task, model, plan, gathered, ("soft_sharing", bits, spike, strength, merge), at_end=True, after=after,
                                 loss=loss_of(model, strength, len(task.teach)), trace=partial(look, model, at), picture=lambda: moving(model, at)))

    yield from in_turn(task.watch, [(frozen, snapped), (gathered, gather)])


def loss_of(model: Made, strength: float, examples: int) -> Loss:
    """Cross-entropy, and strength times how unlikely the mixture finds the weights, by the number of examples (equation 5)."""
    plain, curves = cross_entropy(), makers(model)[0].curves

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        unlikely = -sum(curves.log_density(m.full.flatten()).sum() for m in makers(model))
        return plain(module, inputs, labels) + strength * unlikely / examples

    return loss


def look(model: Made, at: Tensor) -> dict[str, float]:
    """Numbers for the curves of a training; how weights and mixture lie now is written down in the model's buffers."""
    curves, weights, i = makers(model)[0].curves, torch.cat([m.full.detach().flatten() for m in makers(model)]), int(model.looks)
    width = float(at[1] - at[0])
    counts = torch.histc(weights, BINS, float(at[0]) - width / 2, float(at[-1]) + width / 2)
    model.bars[i] = 100 * counts / len(weights)
    model.lines[i] = 100 * width * curves.log_density(at).detach().exp()
    model.looks += 1
    stored = torch.cat([m.form().decode().flatten() for m in makers(model)])
    return {"zeros (%)": 100 * float((stored == 0).float().mean()), "values used": float(len(stored.unique()))}


def moving(model: Made, at: Tensor) -> Dial:
    """Weights and mixture at every look so far."""
    count = int(model.looks)
    when = tuple(f"{int(s)}" for s in model.steps[:count])
    return Dial("How do weights gather?", "After step", when, count - 1, tuple("blue: weights · orange: the mixture" for _ in when),
                ("weight", "share of all (%)"), at, model.bars[:count].clone(), model.lines[:count].clone(), logarithmic=True)


PROCEDURE = Procedure(
    title="Soft weight sharing",
    summary="Trains on while a mixture of bell curves is learnt as the weights' prior: weights gather at a few values, most of them at zero, and "
            "are then snapped to those. The recipe on screen is left aside.",
    reference="Ullrich et al. 2017, Soft Weight-Sharing for Neural Network Compression, arXiv:1702.04008; Nowlan and Hinton 1992",
    survey="2.1",
    knobs=(
        Knob("bits", "Curves", (2, 3, 4, 5), 4, "Two to this power; close ones are joined in the end."),
        Knob("spike", "Share of the spike at zero", soft.SPIKES, 0.5, "How many weights the prior expects at zero; 0: no spike."),
        Knob("strength", "Strength", (0.001, 0.003, 0.01, 0.03, 0.1), 0.01, "What the prior is multiplied with beside the loss (τ)."),
        Knob("merge", "Join curves closer than", soft.MERGES, 0.1, "Divergence, in nats, below which two curves become one."),
        Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20), 10, "How often every training example is seen."),
        Knob("rate", "Learning rate", (1e-4, 3e-4, 1e-3, 3e-3), 1e-3, "Highest step size of AdamW; it rises and falls once."),
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("epochs", 5),), (("spike", 0.9), ("epochs", 5))),
    refuses=lambda task: sized(task.network.reference),
    finding="Retraining under a mixture prunes and quantizes in one go: LeNet-300-100 64 times smaller at 1.9 % error on MNIST.",
    terms=(("mixture", "A sum of bell curves, each with its share, mean and width."), ("spike", "The curve at zero, which takes what is pruned.")),
)
