"""Bayesian compression: whole inputs, or whole filters, learn how much noise their common size can take, and those that are all noise go."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Knob
from compression.places import sparse
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.sparse.masked import RATE, sized, usual
from compression.train.sparse.variational import GAIN, QUIET, THRESHOLDS, divergence, with_noise


class Sized(nn.Module):
    """A weight as a size for each group, with noise, times a part of its own (Louizos et al. 2017, section 3.1).

    A group is an input of a matrix, or an output channel of a kernel. The paper gives own parts noise as well; here they are points,
    as their share of the bound, 266,610 weights against 10,000 examples, leaves no accuracy. Judged and stored, a weight is the product
    of size and own part, and zero in groups whose size has as much noise as the threshold says.
    """

    def __init__(self, full: Tensor, threshold: float) -> None:
        super().__init__()
        self.full, self.threshold = nn.Parameter(full.detach().clone()), threshold
        shape = [len(full), *[1] * (full.ndim - 1)] if full.ndim > 2 else [1, full.shape[1]]
        self.size = nn.Parameter(torch.ones(shape))
        self.loud = nn.Parameter(torch.full(shape, QUIET / GAIN))  # log of the variance of the size, by GAIN

    def group_alpha(self) -> Tensor:
        """Log of the variance of each group's size by its square, held within ±10 of 0."""
        return (self.loud * GAIN - self.size.square().clamp(min=1e-8).log()).clamp(-10, 10)

    def log_alpha(self) -> Tensor:
        """The same for each weight: that of its group."""
        return self.group_alpha().expand(self.full.shape)

    @property
    def kept(self) -> Tensor:
        """Weights of groups that are not all noise."""
        return self.log_alpha().detach() < self.threshold

    def divergence(self) -> Tensor:
        """Nats of all sizes from the log-uniform prior (equation 8)."""
        return divergence(self.group_alpha()).sum()

    def forward(self) -> Tensor:
        if self.training:
            return (self.size + torch.exp(self.loud * GAIN / 2) * torch.randn_like(self.size)) * self.full
        return torch.where(self.kept, self.size * self.full, 0.0)

    def form(self) -> Encoded:
        """The products of the means, where they are kept."""
        kept = self.kept
        return sparse(torch.where(kept, self.size * self.full, 0.0).detach(), kept.flatten())


def run(task: Task, threshold: float, weight: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Noise for the size of each group, and beside it as many weights kept by magnitude."""
    yield from with_noise(task, "noisy sizes of groups", usual(task, epochs, rate), weight, lambda layer: Sized(layer.weight, threshold),
                          "bayesian", threshold)


PROCEDURE = Procedure(
    title="Bayesian compression",
    summary="Trains a size for each input of a layer, or each filter, with noise of its own; groups whose size drowns in it go as a whole. It "
            "begins from the network as it came; the recipe on screen is left aside.",
    reference="Louizos et al. 2017, Bayesian Compression for Deep Learning, arXiv:1705.08665 (group normal-Jeffreys)",
    survey="3.4.3",
    knobs=(
        Knob("threshold", "Most log α", THRESHOLDS, 0, "A group whose size has more noise than that is set to zero."),
        Knob("weight", "Weight of the prior", (0.3, 1.0, 3.0, 10.0, 30.0, 100.0), 1.0, "1 is the variational bound; above, more groups drown."),
        Knob("epochs", "Passes", (3, 5, 10, 20, 40), 20, "How often every training example is seen; the prior comes in over the first half."),
        RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("weight", 1.0),), (("weight", 3.0), ("threshold", 1)), (("weight", 10.0), ("threshold", 2))),
    refuses=lambda task: sized(task.network.reference),
    finding="Whole inputs go, first those at the edge of the picture, which say nothing; what is left is a smaller dense network.",
    terms=(("log α", "Logarithm of the variance of a group's noise by the square of its size."),),
)
