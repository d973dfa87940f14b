"""Movement pruning: a weight's worth is whether it moves away from zero while a network is trained on, not how large it is."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.places import sparse
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, SPARSITY, left, makers, sized, survivors, to_mask, train, usual

BEGIN, END = 0.1, 0.7  # shares of the steps between which the sparsity rises


class Chosen(torch.autograd.Function):
    """Weights where kept, 0 elsewhere. A weight's score gets the gradient of the made weight times the weight, kept or not.

    Straight through the choice of the best scores (Sanh et al. 2020, section 4): dL/dS = dL/dW' * W.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, full: Tensor, scores: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(full, kept)
        return torch.where(kept, full, 0.0)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        full, kept = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * kept, gradient * full, None


def best(scores: Tensor, count: int) -> Tensor:
    """Where the count largest scores are, bool of their shape."""
    kept = torch.zeros(scores.numel(), dtype=torch.bool)
    kept[scores.flatten().argsort(descending=True, stable=True)[:count]] = True
    return kept.reshape(scores.shape)


class Scored(nn.Module):
    """A weight of which the best are kept: by learnt scores, or by size."""

    def __init__(self, full: Tensor, by: str) -> None:
        super().__init__()
        self.full, self.by = nn.Parameter(full.detach().clone()), by
        self.scores = nn.Parameter(torch.zeros(full.shape), requires_grad=by == "movement")
        self.register_buffer("kept", torch.ones(full.shape, dtype=torch.bool))

    def keep(self, density: float) -> None:
        """Keep so large a share of the weights. Of equal scores, as at first, the largest weights are kept."""
        size = self.full.detach().abs()
        scores = size if self.by == "magnitude" else self.scores.detach() + 1e-12 * size
        self.kept.copy_(best(scores, round(density * size.numel())))

    def forward(self) -> Tensor:
        return Chosen.apply(self.full, self.scores, self.kept)

    def form(self) -> Encoded:
        """The kept weights and their places."""
        return sparse(self().detach(), self.kept.flatten())


def density(done: float, sparsity: float) -> float:
    """Share kept after a share of the steps: a cube falls from 1 to 1 - sparsity (Zhu and Gupta 2017, as in Sanh et al., section 6).

    >>> [round(density(x, 0.9), 3) for x in (0, 0.1, 0.4, 0.7, 1)]
    [1.0, 1.0, 0.212, 0.1, 0.1]
    """
    rise = min(1.0, max(0.0, (done - BEGIN) / (END - BEGIN)))
    return 1 - sparsity * (1 - (1 - rise) ** 3)


def run(task: Task, sparsity: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """The same cubic rise of sparsity by movement and by magnitude, each layer alone, from the network as it came."""
    plan, net = usual(task, epochs, rate), task.network.reference
    steps = plan.total(len(task.teach))

    def follow(by: str, run: Run, _: tuple[Run, ...]) -> Going:
        model = Made(net, {layer.name: Scored(layer.weight, by) for layer in to_mask(net)})

        def after(step: int) -> None:
            for maker in makers(model):
                maker.keep(density(step / steps, sparsity))

        return (yield from train(task, model, plan, run, ("movement", by, sparsity), after=after, trace=partial(left, model), at_end=True,
                                 picture=lambda: survivors(net, [m.kept for m in makers(model)])))

    yield from in_turn(task.watch, [(run, partial(follow, by, run)) for by in ("movement", "magnitude")
                                    for run in [Run(f"by {by}", steps, control=by == "magnitude")]])


PROCEDURE = Procedure(
    title="Movement pruning",
    summary="Trains on from the network as it came while more and more weights go: those that move toward zero, whatever their size. The "
            "control prunes the smallest at the same pace. The recipe on screen is left aside.",
    reference="Sanh et al. 2020, Movement Pruning: Adaptive Sparsity by Fine-Tuning, arXiv:2005.07683",
    survey="3.6.2",
    knobs=(SPARSITY, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("sparsity", s),) for s in (0.9, 0.95, 0.98)),
    refuses=lambda task: sized(task.network.reference),
    finding="At high sparsity movement beats magnitude where a network is tuned to a new task; on the task it was trained on, less so or not.",
    terms=(("movement", "The sum over all steps of minus weight times gradient: it grows where a weight moves away from zero."),),
)
