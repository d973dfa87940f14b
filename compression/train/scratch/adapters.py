"""LoRA and QLoRA: the weights stay as they are, rounded to a few bits, and a thin product beside each learns to make up for it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from compression.apply import encode
from compression.encoded import Dense, Encoded, Factored
from compression.lowrank.sparse import Summed
from compression.method import Knob, Layer
from compression.recipe import step
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.scratch.beside import EPOCHS, NUMBERS, RATE, counted
from compression.train.sparse.masked import sized, to_mask, train, usual

BASES = {"nf4": step("quantization.nf4"), **{f"{b} bits": step("quantization.uniform", bits=b, clip="mse") for b in (4, 3, 2)}}


class Adapted(nn.Module):
    """A frozen base plus left times right (Hu et al. 2021, section 4.1): left begins at zero, so the first answers are the base's."""

    def __init__(self, base: Encoded, shape: tuple[int, ...], rank: int, learnt: bool) -> None:
        super().__init__()
        self.base, self.shape, n = base, shape, torch.Size(shape[1:]).numel()
        self.register_buffer("still", base.decode(), persistent=False)
        rank = min(rank, shape[0], n)
        self.left = nn.Parameter(torch.zeros(shape[0], rank), requires_grad=learnt)
        self.right = nn.Parameter(torch.randn(rank, n) / n**0.5, requires_grad=learnt)

    def forward(self) -> Tensor:
        return (self.left @ self.right).reshape(self.shape) + self.still

    def form(self) -> Encoded:
        """The base and the two thin matrices; the base alone where they never learnt."""
        if not self.left.requires_grad:
            return self.base
        return Summed(Factored(self.shape, Dense(self.left.detach().clone()), Dense(self.right.detach().clone())), self.base)


def adapted(layer: Layer, base: str, rank: int, learnt: bool = True) -> Adapted:
    """A layer rounded as a base is, with a thin product beside it."""
    form = encode(replace(layer, stored=None), (BASES[base],))[0]
    return Adapted(form, tuple(layer.weight.shape), rank, learnt)


def run(task: Task, base: str, rank: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Thin products over a rounded base; beside it the base with only biases and normalisations trained."""
    plan, net = usual(task, epochs, rate), task.network.reference
    steps = plan.total(len(task.teach))

    def go(learnt: bool, run: Run, _: tuple[Run, ...]) -> Going:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            model = Made(net, {layer.name: adapted(layer, base, rank, learnt) for layer in to_mask(net)})
        told = {NUMBERS: float(counted(model))}
        return (yield from train(task, model, plan, run, ("adapters", base, rank), trace=lambda: told))

    runs = [(True, Run(f"adapters of rank {rank} over {base}", steps)), (False, Run(f"{base}, only biases trained", steps, control=True))]
    yield from in_turn(task.watch, [(run, partial(go, learnt, run)) for learnt, run in runs])


PROCEDURE = Procedure(
    title="Adapters over a rounded base (LoRA, QLoRA)",
    summary="Rounds the network as it came to a few bits, freezes it, and trains two thin matrices beside every weight. Both are stored. The "
            "first point is of rounding alone. The recipe on screen is left aside.",
    reference="Hu et al. 2021, arXiv:2106.09685; Dettmers et al. 2023, arXiv:2305.14314",
    survey="after 2020",
    knobs=(Knob("base", "Base", tuple(BASES), "2 bits", "How the frozen weights are rounded."),
           Knob("rank", "Rank", (1, 2, 4, 8, 16), 4, "Of the product beside each weight."), EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("base", "2 bits"),), (("base", "nf4"),), (("base", "2 bits"), ("rank", 16))),
    refuses=lambda task: sized(task.network.reference),
    finding="Adapters of a few ranks win back what rounding took, and train a small part of the numbers.",
    terms=(("adapter", "A thin product that is added to a frozen weight."),),
)
