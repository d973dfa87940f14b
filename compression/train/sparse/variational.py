"""Sparse variational dropout: every weight learns how much noise it can take, and those that are all noise go."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.places import sparse
from compression.train.dial import Dial
from compression.train.loop import Loss, accuracy, cross_entropy
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import LEFT, RATE, makers, sized, to_mask, train, usual
from compression.train.sparse.rival import beside_magnitude

K1, K2, K3 = 0.63576, 1.87320, 1.48695  # Molchanov et al. 2017, equation 14
QUIET = -8.0  # log alpha at first
GAIN = 10.0  # the noise learns so much faster than weights do, as there are far fewer steps here than in the paper
EDGES = torch.linspace(-10, 10, 41)
THRESHOLDS = (-2, 0, 1, 2, 3, 4, 5, 6)


def divergence(log_alpha: Tensor) -> Tensor:
    """KL of N(w, alpha w²) from the log-uniform prior, up to what does not depend on alpha, in nats: 0 at infinite noise (equation 14).

    >>> [round(float(divergence(torch.tensor(x))), 2) for x in (-8.0, 0.0, 20.0)]
    [4.64, 0.43, 0.0]
    """
    return K1 - K1 * torch.sigmoid(K2 + K3 * log_alpha) + 0.5 * F.softplus(-log_alpha)


class Noisy(nn.Module):
    """A weight with noise of its own variance; judged and stored, it is its mean where log alpha is below the threshold, else 0."""

    def __init__(self, full: Tensor, threshold: float) -> None:
        super().__init__()
        self.full, self.threshold = nn.Parameter(full.detach().clone()), threshold
        self.loud = nn.Parameter((full.detach().square().clamp(min=1e-8).log() + QUIET) / GAIN)  # log of the variance, by GAIN

    def log_alpha(self) -> Tensor:
        """Log of the noise's variance by the weight's square, (out, in, *kernel), held within ±10 of 0."""
        return (self.loud * GAIN - self.full.square().clamp(min=1e-8).log()).clamp(-10, 10)

    def divergence(self) -> Tensor:
        """Nats of all weights from the prior."""
        return divergence(self.log_alpha()).sum()

    @property
    def kept(self) -> Tensor:
        """Weights that are not all noise."""
        return self.log_alpha().detach() < self.threshold

    def forward(self) -> Tensor:
        if self.training:
            return self.full + torch.exp(self.loud * GAIN / 2) * torch.randn_like(self.full)
        return torch.where(self.kept, self.full, 0.0)

    def form(self) -> Encoded:
        """The means of what is kept."""
        kept = self.kept
        return sparse(torch.where(kept, self.full, 0.0).detach(), kept.flatten())


def cuts(model: Made) -> dict[str, float]:
    """The share of weights left at the threshold."""
    each = torch.cat([m.log_alpha().detach().flatten() for m in makers(model)])
    return {LEFT: 100 * float((each < makers(model)[0].threshold).float().mean())}


def dial(model: Made, watch: Data, what: str = "weights") -> Dial:
    """Log alpha of all weights, or units, and for every threshold what is left and how it answers: measured, without training again."""
    each, own = torch.cat([m.log_alpha().detach().flatten() for m in makers(model)]), makers(model)[0].threshold
    counts, told = torch.histogram(each, EDGES).hist, []
    for threshold in THRESHOLDS:
        for maker in makers(model):
            maker.threshold = threshold
        told.append(f"{100 * float((each < threshold).float().mean()):.3g} % of the {what} left, {100 * accuracy(model, watch):.1f} % right")
    for maker in makers(model):
        maker.threshold = own
    return Dial("Where can the cut lie?", "Kept: log α below", tuple(map(str, THRESHOLDS)), THRESHOLDS.index(own), tuple(told),
                ("log α", "share of all (%)"), (EDGES[1:] + EDGES[:-1]) / 2, (100 * counts / counts.sum())[None], marks=THRESHOLDS)


def run(task: Task, threshold: float, weight: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Noise for each weight, and beside it as many weights kept by magnitude."""
    yield from with_noise(task, "variational dropout", usual(task, epochs, rate), weight, lambda layer: Noisy(layer.weight, threshold),
                          "variational", threshold)


def with_noise(task: Task, words: str, plan: Plan, weight: float, make: Callable[[Layer], nn.Module], *key: object) -> Iterator[Progress | None]:
    """Weights with noise of some kind, and beside them as many of the trained network's kept by magnitude, trained as long.

    make: what makes a layer's weight; it has a threshold, log_alpha() of the weight's shape, and its divergence() in nats.
    """
    net, steps = task.network.reference, plan.total(len(task.teach))

    def learn(run: Run) -> Going:
        model = Made(net, {layer.name: make(layer) for layer in to_mask(net)})
        model.register_buffer("warm", torch.zeros(()))

        def after(step: int) -> None:
            model.warm.fill_(min(1.0, 2 * step / steps))

        done = yield from train(task, model, plan, run, (*key, weight), loss=bound(model, weight, len(task.teach)), after=after,
                                trace=partial(cuts, model), at_end=True)
        return replace(done, picture=dial(model, task.watch))

    yield from beside_magnitude(task, words, plan, (*key, weight), learn)


def bound(model: Made, weight: float, examples: int, answers: Loss | None = None) -> Loss:
    """Cross-entropy, or what else judges answers, and, as it warms up, the divergence of all noise by the number of examples (equation 4)."""
    plain = answers or cross_entropy()

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return plain(module, inputs, labels) + weight * model.warm * sum(m.divergence() for m in makers(model)) / examples

    return loss


PROCEDURE = Procedure(
    title="Sparse variational dropout",
    summary="Trains weights with noise of their own; the prior asks for as much noise as the answers can take, and weights that drown in it go. "
            "It begins from the network as it came; the recipe on screen is left aside.",
    reference="Molchanov et al. 2017, Variational Dropout Sparsifies Deep Neural Networks, arXiv:1701.05369",
    survey="3.4.3",
    knobs=(
        Knob("threshold", "Most log α", THRESHOLDS, 3,
             "A weight with more noise than that is set to zero: 3 is twenty times its square."),
        Knob("weight", "Weight of the prior", (0.01, 0.03, 0.1, 0.3, 1.0), 1.0, "1 is the variational bound; below, fewer weights drown."),
        Knob("epochs", "Passes", (3, 5, 10, 20, 40), 20, "How often every training example is seen; the prior comes in over the first half."),
        RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("weight", 1.0),), (("weight", 0.1),), (("weight", 0.1), ("threshold", 0))),
    refuses=lambda task: sized(task.network.reference),
    finding="Most weights drown: LeNet-300-100 keeps 1 or 2 in a hundred with its accuracy, and the cut may lie anywhere in the gap.",
    terms=(("log α", "Logarithm of the variance of a weight's noise by the weight's square."),),
)
