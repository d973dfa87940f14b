"""Soft-to-hard quantization: every weight is a mixture of a few shared values, which hardens until it is one of them."""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from compression.apply import encode
from compression.encoded import Codes, Shared
from compression.method import Knob, Layer
from compression.quantization.formats import nearest
from compression.recipe import Step, step
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, mean, refuses
from compression.train.quantized.straight_through import EPOCHS, RATE

SOFTEST = 5.0  # hardness at first: of two values a standard deviation apart, the nearer then has 99 % of a weight that lies on it
ENTROPY = "bits per code if coded"


class Mixed(nn.Module):
    """A weight and the values it is mixed of; in eval mode, and as stored, each place has the value next to it.

    Mixed by softmax(-hardness (w - c)²) over the values c, in standard deviations of the weight (Agustsson et al. 2017, section 3).
    """

    def __init__(self, layer: Layer, start: Step) -> None:
        super().__init__()
        book = encode(layer, (start,))[0]
        self.full, self.width = nn.Parameter(layer.weight.detach().clone()), book.codes.width  # type: ignore[attr-defined]
        self.values = nn.Parameter(book.codebook.clone())  # type: ignore[attr-defined]
        self.register_buffer("hardness", torch.tensor(SOFTEST))
        self.register_buffer("spread", layer.weight.std(correction=0).clamp(min=1e-12))

    def shares(self) -> Tensor:
        """How much of each value is in each weight: (weights, values)."""
        return (-self.hardness * ((self.full.flatten()[:, None] - self.values) / self.spread).square()).softmax(1)

    def forward(self) -> Tensor:
        if not self.training:
            return self.form().decode()
        self.latest = self.shares()  # for the pull on their entropy, in the same step
        return (self.latest @ self.values).reshape(self.full.shape)

    def form(self) -> Shared:
        """What is stored now: the values in order, and for each weight the number of the next one."""
        book = self.values.detach().sort().values
        return Shared(tuple(self.full.shape), Codes(nearest(self.full.detach().flatten(), book).to(torch.uint8), self.width), book)


def entropy(shares: Tensor) -> Tensor:
    """Of how often each value is used on average, in bits: (weights, values) -> ()."""
    often = shares.mean(0)
    return -(often * often.clamp(min=1e-12).log2()).sum()


def under(weight: float, model: Made) -> Loss | None:
    """Cross-entropy, and weight times the mean bits per code, each layer counting by its weights."""
    plain, count = cross_entropy(), sum(m.full.numel() for m in model.makers)

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        worth = plain(module, inputs, labels)
        return worth + weight * sum(m.full.numel() / count * entropy(m.latest) for m in model.makers)

    return loss if weight else None


def harden(hardest: float, model: Made, share: float) -> None:
    """Harder by the same factor in every step, up to the hardest."""
    for maker in model.makers:
        maker.hardness.fill_(SOFTEST * (hardest / SOFTEST) ** share)


def trace(model: Made) -> Mapping[str, float]:
    """How hard the mixtures are, and how many bits a code would take if frequent ones were written shorter."""
    codes = [m.form().codes.decode().long() for m in model.makers]
    bits = [float(entropy(nn.functional.one_hot(c, 2**m.width).float())) * len(c) for c, m in zip(codes, model.makers, strict=True)]
    return {"hardness": mean([float(m.hardness) for m in model.makers]), ENTROPY: sum(bits) / sum(map(len, codes))}


def run(task: Task, bits: int, hardest: float, weight: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Values begin where k-means puts them, as those of the control stay."""
    start = step("sharing.kmeans", bits=bits)
    way = Way(lambda layer: Mixed(layer, start), after=partial(harden, hardest), trace=trace, loss=partial(under, weight))
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), f"softly to {2**bits} values", start, way, "soft_to_hard", bits, hardest, weight)


PROCEDURE = Procedure(
    title="Soft-to-hard quantization",
    summary="Trains with weights that are mixtures of a few shared values. The mixtures harden as it goes on, until each weight is the value "
            "next to it. Beside it the values that k-means finds without training.",
    reference="Agustsson et al. 2017, Soft-to-Hard Vector Quantization, arXiv:1704.00648",
    survey="6.4.2",
    knobs=(
        Knob("bits", "Bits per weight", (1, 2, 3, 4), 2, "How many values there are in each layer: two to this power."),
        Knob("hardest", "Hardness in the end", (20.0, 100.0, 500.0, 2000.0), 500.0, "How sharply a weight then belongs to its nearest value (σ)."),
        Knob("weight", "Pull on entropy", (0.0, 0.01, 0.03, 0.1, 0.3), 0.0, "How much each bit of a code counts beside the loss, in nats (β)."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=((("epochs", 3),), (("weight", 0.3), ("epochs", 3))),
    refuses=refuses,
    finding="A soft start lets gradients reach values and weights at once; a pull on entropy makes codes that are shorter once they are coded.",
    terms=(("hardness", "What squared distances are multiplied with before the softmax."),
           ("entropy", "Bits that a code takes on average when frequent codes are written shorter.")),
    told=(ENTROPY,),
)
