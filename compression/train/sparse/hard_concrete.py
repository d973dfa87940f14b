"""The count of weights as a penalty: each weight, or each input, has a gate that is open with a chance, and the chance is learnt."""

from collections.abc import Iterator
from functools import partial
from math import log

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Knob
from compression.places import sparse
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, left, makers, sized, survivors, to_mask, train, usual
from compression.train.sparse.rival import beside_magnitude

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1  # Louizos et al. 2018, section 4
OPEN = 0.9  # chance of every gate at first
GAIN = 10.0  # gates learn so much faster than weights do, as there are far fewer steps here than in the paper


def gate(log_alpha: Tensor, dice: Tensor | None = None) -> Tensor:
    """Gates from 0 to 1 (equations 10 and 11); without dice, uniform in (0, 1), as they are judged (equation 13).

    >>> gate(torch.tensor([-9.0, 0.0, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    soft = torch.sigmoid(log_alpha) if dice is None else torch.sigmoid(((dice / (1 - dice)).log() + log_alpha) / BETA)
    return (soft * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def chance(log_alpha: Tensor) -> Tensor:
    """How likely a gate is not shut (equation 12)."""
    return torch.sigmoid(log_alpha - BETA * log(-GAMMA / ZETA))


class Gated(nn.Module):
    """A weight times gates, one for each weight or for each input."""

    def __init__(self, full: Tensor, each: str) -> None:
        super().__init__()
        self.full = nn.Parameter(full.detach().clone())
        shape = full.shape if each == "weight" else [1, full.shape[1], *[1] * (full.ndim - 2)]
        self.gates = nn.Parameter(torch.full(shape, log(OPEN / (1 - OPEN)) / GAIN))  # log alpha, by GAIN

    @property
    def kept(self) -> Tensor:
        """Weights whose gate is not shut when judged."""
        return (gate(self.gates.detach() * GAIN) > 0).expand(self.full.shape)

    def count(self) -> Tensor:
        """The expected number of weights whose gate is not shut."""
        return chance(self.gates * GAIN).sum() * (self.full.numel() / self.gates.numel())

    def forward(self) -> Tensor:
        dice = torch.rand_like(self.gates).clamp(1e-6, 1 - 1e-6) if self.training else None
        return self.full * gate(self.gates * GAIN, dice)

    def form(self) -> Encoded:
        """The weights times their gates, where those are not shut."""
        return sparse(self.judged(), self.kept.flatten())

    def judged(self) -> Tensor:
        """The weight without chance."""
        return (self.full * gate(self.gates * GAIN)).detach()


def run(task: Task, each: str, strength: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Learnt gates, and beside them as many of the trained network's weights kept by magnitude, trained as long."""
    plan, net, key = usual(task, epochs, rate), task.network.reference, ("hard_concrete", each, strength)

    def learn(own: Run) -> Going:
        model = Made(net, {layer.name: Gated(layer.weight, each) for layer in to_mask(net)})
        return (yield from train(task, model, plan, own, key, loss=loss_of(model, strength), trace=partial(left, model), at_end=True,
                                 picture=lambda: survivors(net, [m.kept for m in makers(model)])))

    yield from beside_magnitude(task, "learnt gates", plan, key, learn)


def loss_of(model: Made, strength: float) -> Loss:
    """Cross-entropy and strength times the expected share of weights that are left (equation 8)."""
    plain, total = cross_entropy(), sum(m.full.numel() for m in makers(model))

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return plain(module, inputs, labels) + strength * sum(m.count() for m in makers(model)) / total

    return loss


PROCEDURE = Procedure(
    title="ℓ0 by gates (hard concrete)",
    summary="Multiplies weights with gates that are open with a learnt chance, and trains under the expected number of those that are. It begins "
            "from the network as it came; the recipe on screen is left aside.",
    reference="Louizos et al. 2018, Learning Sparse Neural Networks through L0 Regularization, arXiv:1712.01312",
    survey="3.2",
    knobs=(
        Knob("each", "One gate per", ("weight", "input"), "weight", "Inputs go as a whole: a column of a matrix, a channel read by a kernel."),
        Knob("strength", "Strength", (0.3, 1.0, 3.0, 10.0, 30.0), 3.0, "What the expected share of weights left is multiplied with beside the loss."),
        EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("strength", 3.0), ("epochs", 10)), (("strength", 30.0), ("epochs", 10)), (("each", "input"), ("epochs", 10))),
    refuses=lambda task: sized(task.network.reference),
    finding="The number of weights itself can be trained down, without shrinking those that stay as ℓ1 does; whole inputs go early.",
    terms=(("gate", "A number from 0 to 1 that a weight is multiplied with; it is exactly 0 or 1 with some chance."),),
)
