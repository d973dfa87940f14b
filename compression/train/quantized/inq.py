"""Incremental quantization: the largest weights become powers of two and stay so, the others learn to make up for it, and so on."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.quantization import power_of_two
from compression.quantization.power_of_two import Powers
from compression.recipe import step
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.quantized.beside import Way, beside, refuses
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE

PORTIONS = (0.5, 0.75, 0.875, 1.0)  # of all weights that are held, in each quarter of the steps


class Increment(nn.Module):
    """A weight of which a part is held at powers of two. In training the rest is as it is; judged and stored, it is rounded as well."""

    def __init__(self, layer: Layer, bits: int, per: str) -> None:
        super().__init__()
        self.full, self.bits, self.per = nn.Parameter(layer.weight.detach().clone()), bits, per
        ready = power_of_two.prepare(layer.weight, layer)
        self.size = ready.size
        self.register_buffer("top", ready.top[per].clone())  # the largest power stays that of the first weights (equation 3)
        self.register_buffer("held", torch.zeros(self.full.shape, dtype=torch.bool))
        self.register_buffer("values", layer.weight.detach().clone())  # of those held

    def now(self) -> Tensor:
        """The held part and the rest as it is."""
        return torch.where(self.held, self.values, self.full)

    def forward(self) -> Tensor:
        return self.now() if self.training else self.form().decode()

    def form(self) -> Encoded:
        """What is stored now: all of it rounded. What is held is a power of two and stays as it is."""
        return power_of_two.answer(Powers(self.now().detach(), self.size, {self.per: self.top}), self.bits, self.per)

    def hold(self, portion: float, order: str) -> None:
        """Hold so large a part of all weights: those held before, and of the others the largest, or any."""
        missing = round(portion * self.full.numel()) - int(self.held.sum())
        if missing > 0:
            rank = self.now().detach().abs() if order == "largest" else torch.rand(self.full.shape)
            new = rank.masked_fill(self.held, -1).flatten().topk(missing).indices
            self.values.view(-1)[new] = self.form().decode().flatten()[new]
            self.held.view(-1)[new] = True


def run(task: Task, bits: int, per: str, order: str, epochs: int, rate: float) -> Iterator[Progress | None]:
    """In the last quarter all weights are held, and only biases and normalisations still learn."""
    def hold(model: Made, share: float) -> None:
        for maker in model.makers:
            maker.hold(PORTIONS[min(int(share * len(PORTIONS)), len(PORTIONS) - 1)], order)

    def begin(model: Made) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            hold(model, 0.0)

    way = Way(lambda layer: Increment(layer, bits, per), begin=begin, after=hold, trace=trace)
    yield from beside(task, Plan("adamw", rate, 0.0, 128, epochs), f"trained to {bits}-bit powers of two, part by part",
                      step("quantization.power_of_two", bits=bits, per=per), way, "inq", bits, per, order)


def trace(model: Made) -> dict[str, float]:
    """How large a part is held."""
    held, count = sum(int(m.held.sum()) for m in model.makers), sum(m.held.numel() for m in model.makers)
    return {"weights held (%)": 100 * held / count}


PROCEDURE = Procedure(
    title="Incremental quantization (INQ)",
    summary="Rounds half of the weights to powers of two for good and trains the others; then half of these, and so on until none is left. "
            "Every point of the curve is of the network with all weights rounded.",
    reference="Zhou et al. 2017, Incremental Network Quantization, arXiv:1702.03044",
    survey="6.4",
    knobs=(
        Knob("bits", "Bits per weight", (2, 3, 4, 5), 3, "A sign, and a number that says which power of two, or zero."),
        Knob("per", "One largest power per", ("tensor", "channel"), "channel",
             "Whose largest weight decides where the powers start; the paper has one for each layer."),
        Knob("order", "First to be held", ("largest", "random"), "largest", "The largest weights matter most, and the paper holds them first."),
        EPOCHS, RATE,
    ),
    run=run,
    shown_on="lenet-300-100",
    study=(*((("bits", n),) for n in (2, 3, 4)), (("bits", 2), ("order", "random"))),
    refuses=refuses,
    finding="Part by part, 5 bits lose nothing and 3 bits little: what is still free makes up for what is held.",
    terms=(LATENT,),
)
