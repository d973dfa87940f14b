"""Edge-popup: no weight is ever trained; what is learnt is which of the random weights to keep."""

from collections.abc import Iterator
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from compression.encoded import Codes, Encoded, Shared
from compression.method import Knob
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, Masked, fresh, left, makers, no_beginning, survivors, to_mask, train, usual
from compression.train.sparse.movement import Chosen, best

KEPT = Knob("kept", "Weights kept", (0.05, 0.1, 0.3, 0.5, 0.7, 0.9), 0.5, "Share of each layer's random weights.")


class Popped(nn.Module):
    """Random signs at one size, of which those with the best scores are kept. Nothing but the scores is learnt."""

    def __init__(self, first: Tensor, share: float, learnt: bool) -> None:
        super().__init__()
        self.share, fan = share, prod(first.shape[1:])
        self.size = float(torch.tensor((2 / (fan * share)) ** 0.5))  # Ramanujan et al. 2020, sections 3 and 5: scaled by what is kept
        self.register_buffer("full", torch.where(first >= 0, self.size, -self.size))
        self.scores = nn.Parameter(first.detach().abs(), requires_grad=learnt)

    @property
    def kept(self) -> Tensor:
        """Places of the best scores."""
        return best(self.scores.detach(), round(self.share * self.full.numel()))

    def forward(self) -> Tensor:
        return Chosen.apply(self.full, self.scores, self.kept)

    def form(self) -> Encoded:
        """Two bits a weight: minus, zero or plus the size."""
        book = torch.tensor([-self.size, 0.0, self.size])
        codes = torch.where(self.kept, torch.where(self.full > 0, 2, 0), 1).flatten().to(torch.uint8)
        return Shared(tuple(self.full.shape), Codes(codes, 2), book)


def run(task: Task, kept: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Learnt scores over random weights, biases as they were drawn; beside it, plain training of the same beginning."""
    plan, net = usual(task, epochs, rate), fresh(task, task.seed)
    steps, layers = plan.total(len(task.teach)), to_mask(net)
    popped, dense = Run("random weights, chosen", steps), Run("weights trained", steps, control=True)

    def choose(_: tuple[Run, ...]) -> Going:
        model = Made(net, {layer.name: Popped(layer.weight, kept, True) for layer in layers})
        model.body.requires_grad_(False)
        return (yield from train(task, model, plan, popped, ("edge_popup", kept), trace=partial(left, model),
                                 picture=lambda: survivors(task.network.reference, [m.kept for m in makers(model)])))

    yield from in_turn(task.watch, [
        (popped, choose),
        (dense, lambda _: train(task, Made(net, {x.name: Masked(x.weight) for x in layers}), plan, dense, ("edge_popup",))),
    ])


PROCEDURE = Procedure(
    title="Edge-popup",
    summary="Leaves every weight at a random sign of one size and learns only which to keep. The recipe on screen is left aside.",
    reference="Ramanujan et al. 2020, What's Hidden in a Randomly Weighted Neural Network?, arXiv:1911.13299; Zhou et al. 2019, arXiv:1905.01067",
    survey="3.6.1",
    knobs=(KEPT, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("kept", k),) for k in (0.1, 0.5, 0.9)),
    refuses=no_beginning,
    finding="A network whose weights were never trained answers well, best with about half of them; a wider one comes near a trained one.",
    terms=(("supermask", "A mask under which random weights answer well."),),
)
