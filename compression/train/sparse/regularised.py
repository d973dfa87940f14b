"""Train under a penalty that makes weights small, prune, and train on: l1, l2, weight elimination, groups, or the scales of norms."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from compression.method import Knob
from compression.train.loop import Loss, cross_entropy
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn, onward
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import RATE, SPARSITY, Masked, makers, sized, survivors, to_mask, train, usual, without_least

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "Before pruning, and as many after it.")
STRENGTH = Knob("strength", "Strength", (1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 1e-2), 1e-4, "What the penalty is multiplied with beside the loss.")
TITLES = {"l1": "ℓ1", "l2": "ℓ2", "elimination": "weight elimination",
          "rows": "groups of a unit", "columns": "groups of an input", "none": "no penalty"}


def penalty(name: str, weight: Tensor, small: float) -> Tensor:
    """The penalty of one weight (out, in, *kernel). small: what weight elimination takes as small.

    l1: sum |w|. l2: sum w². elimination: sum r / (1 + r) with r = (w / small)² (Weigend et al. 1991). rows, columns: the length of
    each output's or input's weights times the root of their number, summed (group lasso, Yuan and Lin 2006; Wen et al. 2016).
    """
    if name == "l1":
        return weight.abs().sum()
    if name == "l2":
        return weight.square().sum()
    if name == "elimination":
        ratio = (weight / small).square()
        return (ratio / (1 + ratio)).sum()
    groups = weight.flatten(1) if name == "rows" else weight.transpose(0, 1).flatten(1)
    return (groups.square().sum(1) + 1e-12).sqrt().sum() * groups.shape[1] ** 0.5


def under(model: Made, name: str, strength: float) -> Loss:
    """Cross-entropy and a penalty on all masked weights. Small for weight elimination is the spread of a layer's first weights."""
    plain, small = cross_entropy(), [float(m.full.detach().std(correction=0)) or 1.0 for m in makers(model)]

    def loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return plain(module, inputs, labels) + strength * sum(penalty(name, m(), s) for m, s in zip(makers(model), small, strict=True))

    return plain if name == "none" else loss


def cut(weights: Sequence[Tensor], sparsity: float, name: str) -> list[Tensor]:
    """Masks: the smallest weights of all go; after a penalty on groups, groups in the order of their mean square, the last one in part."""
    count = round(sparsity * sum(w.numel() for w in weights))
    if name not in ("rows", "columns"):
        return without_least([w.abs() for w in weights], count)
    over = 1 if name == "rows" else 0
    return without_least([w.square().mean(tuple(i for i in range(w.ndim) if i != 1 - over), keepdim=True).expand_as(w) for w in weights], count)


def run(task: Task, penalised: str, retrained: str, strength: float, sparsity: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Under the penalty, pruned, trained on; beside the same without any. The first point after pruning is before any retraining."""
    plan, net = usual(task, epochs, rate), task.network.reference
    steps, key = plan.total(len(task.teach)), ("regularised", retrained, strength, sparsity)

    def whole(name: str, again: str, run: Run, _: tuple[Run, ...]) -> Going:
        layers = to_mask(net)
        kept: list[Tensor] = [torch.ones(layer.weight.shape, dtype=torch.bool) for layer in layers]
        model = Made(net, {layer.name: Masked(layer.weight) for layer in layers})
        for last in (False, True):
            if last:
                kept = cut([m.full.detach() for m in makers(model)], sparsity, name)
                for maker, mask in zip(makers(model), kept, strict=True):
                    maker.kept.copy_(mask)
            going = train(task, model, plan, Run(run.title, steps), (*key, name, last), seed=task.seed + last,
                          loss=under(model, again if last else name, strength))
            run = yield from onward(run, going, last * steps, last)
        return replace(run, picture=survivors(net, kept))

    runs = [(n, a, Run(TITLES[n], 2 * steps, control=n == "none")) for n, a in dict.fromkeys(((penalised, retrained), ("none", "none")))]
    yield from in_turn(task.watch, [(run, partial(whole, name, again, run)) for name, again, run in runs])


PROCEDURE = Procedure(
    title="Penalty, pruning, retraining",
    summary="Trains on under a penalty on weights, prunes to the sparsity asked for, and trains on what is left. The fall in the middle is the "
            "pruning. The recipe on screen is left aside.",
    reference="Han et al. 2015, arXiv:1506.02626, section 3.1; Weigend et al. 1991; Wen et al. 2016, arXiv:1608.03665",
    survey="3.2",
    knobs=(
        Knob("penalised", "Penalty", tuple(TITLES)[:-1], "l1", "On all weights before pruning. Groups go as a whole."),
        Knob("retrained", "Penalty while retraining", ("none", "l1", "l2"), "none", "On what is left."),
        STRENGTH, SPARSITY, EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("penalised", "l1"),), (("penalised", "l2"),), (("penalised", "elimination"), ("strength", 1e-5)),
           (("penalised", "columns"), ("strength", 1e-5))),
    refuses=lambda task: sized(task.network.reference),
    finding="Before retraining ℓ1 leaves the better network, as more of its weights are near zero; after retraining ℓ2 does.",
    terms=(("weight elimination", "A penalty that grows with small weights and stays at one for large ones."),),
)
