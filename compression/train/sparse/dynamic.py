"""Sparse from the first step to the last, with a mask that moves: SET, RigL, DeepR and sparse momentum, beside one that stays."""

from collections.abc import Iterator, Sequence
from math import cos, pi, prod

import torch
from torch import Tensor

from compression.method import Knob
from compression.train.made import Made
from compression.train.plan import one_cycle
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import (
    EPOCHS,
    RATE,
    SPARSITY,
    Masked,
    fresh,
    left,
    makers,
    no_beginning,
    survivors,
    to_mask,
    train,
    usual,
)

TITLES = {"random": "SET", "gradient": "RigL", "momentum": "sparse momentum", "rebirth": "DeepR"}
UNTIL = 0.75  # share of the steps after which RigL's mask stays (Evci et al. 2020, appendix)
KEEP = 0.9  # of the running mean of gradients
PULL, NOISE = 1e-4, 1e-4  # DeepR's l1 penalty, and the spread of its noise at the highest rate


def erdos_renyi(shapes: Sequence[tuple[int, ...]], sparsity: float) -> list[int]:
    """Weights kept in each layer: its share of all its places goes with the sum of its sides over their product.

    Mocanu et al. 2018, equation 3; with kernels as in Evci et al. 2020. Layers that would be more than full are full. The counts add
    up to round(density * all).

    >>> erdos_renyi([(10, 40), (10, 10)], 0.9)
    [36, 14]
    """
    sizes, total = [prod(s) for s in shapes], round((1 - sparsity) * sum(prod(s) for s in shapes))
    full: set[int] = set()
    while True:
        free = [i for i in range(len(shapes)) if i not in full]
        part = (total - sum(sizes[i] for i in full)) / max(1, sum(sum(shapes[i]) for i in free))
        over = {i for i in free if part * sum(shapes[i]) > sizes[i]}
        if not over:
            break
        full |= over
    ideal = [float(size) if i in full else part * sum(shape) for i, (shape, size) in enumerate(zip(shapes, sizes, strict=True))]
    counts = [int(x) for x in ideal]
    for i in sorted(range(len(ideal)), key=lambda i: counts[i] - ideal[i])[: total - sum(counts)]:
        counts[i] += 1
    return counts


def replaced(share: float, done: float) -> float:
    """RigL's share of weights that change place after a share of the steps: half a cosine down to none (Evci et al. 2020, section 3).

    >>> [round(replaced(0.3, x), 3) for x in (0, 0.375, 0.75, 0.9)]
    [0.3, 0.15, 0.0, 0.0]
    """
    return share / 2 * (1 + cos(pi * done / UNTIL)) if done < UNTIL else 0.0


class Moving(Masked):
    """A masked weight that remembers the gradient of all its places, those outside of the mask too."""

    def __init__(self, full: Tensor, kept: Tensor) -> None:
        super().__init__(full * kept.reshape(full.shape), kept)
        self.register_buffer("gradient", torch.zeros(full.shape))
        self.register_buffer("mean", torch.zeros(full.shape))  # of gradients, running
        self.register_buffer("side", full.sign())  # DeepR's signs
        self.register_buffer("used", self.kept.clone())  # places that were ever kept

    def forward(self) -> Tensor:
        weight = super().forward()
        if self.training and weight.requires_grad:
            weight.register_hook(self._remember)
        return weight

    def _remember(self, gradient: Tensor) -> None:
        self.gradient.copy_(gradient)
        self.mean.mul_(KEEP).add_(gradient, alpha=1 - KEEP)

    @torch.no_grad()
    def drop(self, count: int) -> None:
        """The smallest kept weights go."""
        least = self.full.abs().masked_fill(~self.kept, torch.inf).flatten().argsort(stable=True)[:count]
        self.kept.view(-1)[least] = False

    @torch.no_grad()
    def grow(self, count: int, by: str) -> None:
        """The free places with the largest gradient, or running mean of it, or any, are kept from now on, at zero."""
        score = {"gradient": self.gradient, "momentum": self.mean}.get(by)
        rank = torch.rand(self.full.shape) if score is None else score.abs()
        new = rank.masked_fill(self.kept, -1.0).flatten().topk(count).indices
        self.kept.view(-1)[new] = True
        self.full.view(-1)[new] = 0.0
        self.used |= self.kept


def shared_out(count: int, wants: Sequence[float], free: Sequence[int]) -> list[int]:
    """A count shared out in proportion to wants, none more than is free; what does not fit goes to the others.

    >>> shared_out(10, [3.0, 1.0, 1.0], [2, 10, 10])
    [2, 4, 4]
    """
    given = [0] * len(wants)
    while (rest := min(count, sum(free)) - sum(given)) > 0:
        room = [i for i in range(len(wants)) if given[i] < free[i]]
        total = sum(wants[i] for i in room)
        ideal = {i: rest * (wants[i] / total if total > 0 else 1 / len(room)) for i in room}
        more = {i: min(int(ideal[i]), free[i] - given[i]) for i in room}
        if not any(more.values()):
            for i in sorted(room, key=lambda i: -ideal[i])[:rest]:
                more[i] = 1
        for i in room:
            given[i] += more[i]
    return given


def moved(model: Made, grow: str, share: float) -> int:
    """Let a share of each layer's weights go and as many grow; how many changed place. Sparse momentum also moves them between layers.

    A layer's claim is the mean size of its kept weights' running gradients (Dettmers and Zettlemoyer 2019, arXiv:1907.04840, section 3).
    """
    parts: list[Moving] = makers(model)
    before = [m.kept.clone() for m in parts]
    counts = [round(share * int(m.kept.sum())) for m in parts]
    for m, count in zip(parts, counts, strict=True):
        m.drop(count)
    if grow == "momentum":
        wants = [float(m.mean[m.kept].abs().mean().nan_to_num()) for m in parts]
        counts = shared_out(sum(counts), wants, [int((~m.kept).sum()) for m in parts])
    else:
        counts = [min(count, int((~m.kept).sum())) for m, count in zip(parts, counts, strict=True)]
    for m, count in zip(parts, counts, strict=True):
        m.grow(count, grow)
    return sum(int((m.kept & ~b).sum()) for m, b in zip(parts, before, strict=True))


@torch.no_grad()
def reborn(model: Made, rate: float, factor: float) -> int:
    """DeepR after a step: pull and noise; what crossed zero dies, and as many are born at zero anywhere in the network.

    Bellec et al. 2018, arXiv:1711.05136, algorithm 1. factor: how high the rate is now beside its highest.
    """
    parts: list[Moving] = makers(model)
    died = 0
    for m in parts:
        push = NOISE * factor**0.5 * torch.randn(m.full.shape) - rate * factor * PULL * m.side
        m.full.add_(torch.where(m.kept, push, 0.0))
        dead = m.kept & (m.full * m.side < 0)
        m.kept &= ~dead
        died += int(dead.sum())
    free = [int((~m.kept).sum()) for m in parts]
    picks = torch.bucketize(torch.randperm(sum(free))[:died], torch.tensor(free).cumsum(0), right=True)
    for i, m in enumerate(parts):
        before, count = m.kept.clone(), int((picks == i).sum())
        m.grow(count, "random")
        born = m.kept & ~before
        m.side[born] = torch.randint(0, 2, (count,)).float() * 2 - 1
    return died


def run(task: Task, grow: str, sparsity: float, share: float, every: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Three runs from the same first weights: a mask that moves, the same that stays, and dense."""
    plan, net = usual(task, epochs, rate), fresh(task, task.seed)
    steps, layers, key = plan.total(len(task.teach)), to_mask(net), ("dynamic", grow, sparsity, share, every)
    dice = torch.Generator().manual_seed(task.seed)
    kept = [(torch.rand(w.numel(), generator=dice).argsort() < count).reshape(w.shape) for w, count in zip(
        [layer.weight for layer in layers], erdos_renyi([tuple(layer.weight.shape) for layer in layers], sparsity), strict=True)]
    moving, still, dense = Run(TITLES[grow], steps), Run("random mask that stays", steps, control=True), Run("dense", steps, control=True)

    def move(_: tuple[Run, ...]) -> Going:
        model = Made(net, {layer.name: Moving(layer.weight, k) for layer, k in zip(layers, kept, strict=True)})
        model.register_buffer("turned", torch.zeros(()))  # weights that changed place at the last move

        def after(step: int) -> None:
            if grow == "rebirth":
                model.turned.fill_(reborn(model, rate, one_cycle(step - 1, steps)))
            elif step % every == 0 and step < steps:
                part = replaced(share, step / steps) if grow == "gradient" else share if step <= UNTIL * steps else 0.0
                model.turned.fill_(moved(model, grow, part))

        def trace() -> dict[str, float]:
            count = sum(m.full.numel() for m in model.makers)
            now = sum(int(m.kept.sum()) for m in model.makers)
            return {**left(model), "changed place at the last move (%)": 100 * float(model.turned) / max(1, now),
                    "places ever used (%)": 100 * sum(int(m.used.sum()) for m in model.makers) / count}

        return (yield from train(task, model, plan, moving, key, after=after, trace=trace,
                                 picture=lambda: survivors(task.network.reference, [m.kept for m in makers(model)])))

    yield from in_turn(task.watch, [
        (moving, move),
        (still, lambda _: train(task, Made(net, {x.name: Masked(x.weight, k) for x, k in zip(layers, kept, strict=True)}), plan, still, key)),
        (dense, lambda _: train(task, Made(net, {x.name: Masked(x.weight) for x in layers}), plan, dense, key)),
    ])


PROCEDURE = Procedure(
    title="Sparse all along, with a moving mask",
    summary="Begins with a random mask and keeps as many weights throughout; now and then the smallest go and as many grow elsewhere. The "
            "control keeps the first mask. The recipe on screen is left aside.",
    reference="Mocanu et al. 2018, arXiv:1707.04780; Evci et al. 2020, arXiv:1911.11134; Bellec et al. 2018, arXiv:1711.05136; "
              "Dettmers and Zettlemoyer 2019, arXiv:1907.04840",
    survey="3.6.1",
    knobs=(
        Knob("grow", "What grows", tuple(TITLES), "gradient", "Random places (SET), those with the largest gradient (RigL), or running mean of it "
             "(sparse momentum); or weights that cross zero are reborn anywhere (DeepR)."),
        SPARSITY,
        Knob("share", "Moved at once", (0.1, 0.2, 0.3, 0.5), 0.3, "Of each layer's weights, at first; DeepR has no such number."),
        Knob("every", "Steps between moves", (5, 10, 25, 50, 100), 25, "DeepR moves after every step."),
        EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("grow", g), ("sparsity", 0.98)) for g in TITLES),
    refuses=no_beginning,
    finding="A mask that moves ends above one that stays, and above a dense network made small; growing by gradient beats growing at random.",
    terms=(("turnover", "How many weights change place when the mask moves."),),
)
