"""GrOWL: press inputs away and toward one another by a penalty on their sorted lengths, tie those alike, and train on so tied.

The lengths of what leads away from each input are sorted, and the longest is pulled hardest: short ones end at zero, and those that
are alike at the same length. The pull is a proximal step after every step of gradient descent (Zhang et al. 2018, section 3.2).
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.isotonic import isotonic_regression
from torch import Tensor, nn

from compression.encoded import Codes, Dense
from compression.method import Knob
from compression.places import TiedInputs
from compression.train.made import Made
from compression.train.plan import Plan, one_cycle, usual_batch
from compression.train.procedure import Going, Procedure, Task, in_turn, onward
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import Masked, makers, sized, to_mask, train

RAMPED = 0.5  # the share of the inputs, the longest, along which the pull falls
SHOWN = 160  # inputs at most in the picture


class Gathered(NamedTuple):
    """How alike the inputs of the first layer were when they were tied, and what became of the inputs of each."""

    similarity: Tensor  # (input, input) of those that are left, in the order of their groups
    inputs_dropped: Tensor  # (layers,) inputs that lead to nothing, %
    groups_left: Tensor  # (layers,) different groups that are left, as a share of the inputs, %


def pulls(count: int, strength: float, ramp: float) -> np.ndarray:
    """How hard each of so many sorted lengths is pulled, the longest first: along a line down to the strength, then the strength. (count,)"""
    along = max(1, round(RAMPED * count))
    return strength * (1 + ramp * np.maximum(0.0, 1 - np.arange(count) / along))


def shrunk(lengths: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """The proximal step of sum(pull * sorted lengths): subtract, project onto what falls, cut off at zero. Both (count,), pull falling.

    Bogdan et al. 2015 (SLOPE), arXiv:1407.3824, algorithm 3; the projection is isotonic regression.
    """
    order = np.argsort(-lengths, kind="stable")
    out = np.empty_like(lengths)
    out[order] = np.maximum(0.0, isotonic_regression(lengths[order] - pull, increasing=False))
    return out


def pull(weight: Tensor, by: np.ndarray) -> None:
    """Shorten in place what leads away from each input of a weight (out, in, *kernel), its direction kept (section 3.2)."""
    lengths = weight.transpose(0, 1).flatten(1).norm(dim=1).double().numpy()
    factor = np.divide(shrunk(lengths, by), lengths, out=np.zeros_like(lengths), where=lengths > 0)
    weight.mul_(torch.from_numpy(factor).to(weight.dtype).reshape(1, -1, *[1] * (weight.ndim - 2)))


def similarity(rows: Tensor) -> Tensor:
    """a·b / max(|a|², |b|²) of every two rows (n, d), none of them zero, as the paper groups rows by: (n, n), 1 where they are equal."""
    square = rows.square().sum(1)
    return rows @ rows.T / torch.maximum(square[:, None], square[None])


def alike(weight: Tensor, cut: float) -> Tensor:
    """For each input of a weight 0 where it leads to nothing, else the number of its group: (in,) int64.

    Inputs join while they are on average more alike than the cut; the paper has affinity propagation find the groups.
    """
    rows = weight.transpose(0, 1).flatten(1)
    group = torch.zeros(len(rows), dtype=torch.int64)
    left = rows.any(1).nonzero().flatten()
    if len(left) > 1:
        apart = (1 - similarity(rows[left].double())).clamp(min=0).fill_diagonal_(0)
        joined = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=1 - cut).fit(apart.numpy())
        group[left] = torch.from_numpy(joined.labels_).long() + 1
    else:
        group[left] = 1
    return group


class Tied(nn.Module):
    """A weight whose inputs share what leads away from them, by groups. At first that is a group's mean."""

    def __init__(self, weight: Tensor, group: Tensor) -> None:
        super().__init__()
        count, rows = int(group.max()), weight.detach().transpose(0, 1)  # (in, out, *kernel)
        totals = torch.zeros(count + 1, *rows.shape[1:]).index_add(0, group, rows)
        sizes = group.bincount(minlength=count + 1).clamp(min=1).reshape(-1, *[1] * (rows.ndim - 1))
        self.values, self.shape = nn.Parameter((totals / sizes)[1:].clone()), tuple(weight.shape)
        self.register_buffer("group", group)

    def forward(self) -> Tensor:
        whole = torch.cat([self.values.new_zeros(1, *self.values.shape[1:]), self.values])
        return whole[self.group].transpose(0, 1).contiguous()

    def form(self) -> TiedInputs:
        """The values of each group, and the group of each input."""
        width = max(1, len(self.values).bit_length())
        return TiedInputs(self.shape, Codes(self.group.to(torch.uint8 if width <= 8 else torch.int32), width), Dense(self.values.detach().clone()))


def run(task: Task, strength: float, ramp: float, cut: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Pulled by GrOWL, tied, trained on; beside the same with as much pull on all lengths alike, which is group lasso."""
    plan, net = Plan("sgd", rate, 0.0, usual_batch(task.teach), epochs), task.network.reference
    steps, layers = plan.total(len(task.teach)), to_mask(task.network.reference)

    def whole(ramped: bool, run: Run, _: tuple[Run, ...]) -> Going:
        model, key = Made(net, {layer.name: Masked(layer.weight) for layer in layers}), ("growl", strength, ramp, ramped)
        by = [pulls(layer.weight.shape[1], strength, ramp) * float(layer.weight.transpose(0, 1).flatten(1).norm(dim=1).mean()) for layer in layers]
        by = by if ramped else [np.full_like(x, x.mean()) for x in by]

        def after(step: int) -> None:
            with torch.no_grad():
                for maker, each in zip(makers(model), by, strict=True):
                    pull(maker.full, rate * one_cycle(step - 1, steps) * each)

        first = train(task, model, plan, Run(run.title, steps), (*key, "first"), after=after, trace=lambda: left([m.full for m in makers(model)]),
                      at_end=True)
        run = yield from onward(run, first, 0, last=False)
        pressed = [m.full.detach() for m in makers(model)]
        groups = [alike(weight, cut) for weight in pressed]
        seen = gathered(pressed[0], groups)
        for layer, weight, group in zip(layers, pressed, groups, strict=True):
            model.makers[list(model.names).index(layer.name)] = Tied(weight, group)
        told = tied(groups)
        return (yield from onward(run, train(task, model, plan, Run(run.title, steps), (*key, cut, "second"), seed=task.seed + 1,
                                             trace=lambda: told, picture=lambda: seen), steps))

    runs = [(True, Run("GrOWL, tied", 2 * steps)), (False, Run("group lasso, tied", 2 * steps, control=True))]
    yield from in_turn(task.watch, [(run, partial(whole, ramped, run)) for ramped, run in runs])


def left(weights: list[Tensor]) -> dict[str, float]:
    """Share of all inputs that lead anywhere, before any are tied."""
    there = [w.detach().transpose(0, 1).flatten(1).any(1) for w in weights]
    share = 100 * sum(int(t.sum()) for t in there) / sum(map(len, there))
    return {"inputs left (%)": share, "different inputs (%)": share}


def tied(groups: list[Tensor]) -> dict[str, float]:
    """Share of all inputs that lead anywhere, and of groups of them."""
    total = sum(map(len, groups))
    return {"inputs left (%)": 100 * sum(int((g > 0).sum()) for g in groups) / total,
            "different inputs (%)": 100 * sum(int(g.max()) for g in groups) / total}


def gathered(weight: Tensor, groups: list[Tensor]) -> Gathered:
    """A picture of what was tied."""
    order = groups[0].argsort(stable=True)
    there = order[groups[0][order] > 0]
    there = there[:: max(1, -(-len(there) // SHOWN))]
    return Gathered(similarity(weight.transpose(0, 1).flatten(1)[there]), torch.tensor([100 * float((g == 0).float().mean()) for g in groups]),
                    torch.tensor([100 * float(g.max()) / len(g) for g in groups]))


PROCEDURE = Procedure(
    title="GrOWL",
    summary="Trains on under a penalty on the sorted lengths of what leads away from each input: short ones end at zero, others become alike, "
            "are tied, and are trained on as one. Beside it as much pull on all lengths alike. The recipe on screen is left aside.",
    reference="Zhang et al. 2018, Learning to Share: Simultaneous Parameter Tying and Sparsification in Deep Learning (ICLR)",
    survey="2.2",
    knobs=(
        Knob("strength", "Strength", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5), 0.05,
             "How hard the shortest are pulled, beside the loss, as a multiple of a layer's mean length (λ₁)."),
        Knob("ramp", "Harder for the longest", (0.5, 1.0, 2.0, 4.0), 4.0, "So many times the strength more for the longest, falling to none (λ₂)."),
        Knob("cut", "Tie from", (0.5, 0.6, 0.7, 0.8, 0.9), 0.7, "How alike inputs are, on average, that become one; 1 is equal."),
        Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "Before tying, and as many after it."),
        Knob("rate", "Learning rate", (0.003, 0.01, 0.03, 0.1), 0.03, "Highest step size of descent and of the pull; it rises and falls once."),
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("epochs", 10),), (("rate", 0.1),)),
    refuses=lambda task: sized(task.network.reference),
    finding="Where inputs are correlated, GrOWL ties more of them than group lasso at the same accuracy, and so stores fewer numbers.",
    terms=(("group lasso", "A penalty on the lengths of groups of weights, which then go as a whole."),
           ("proximal step", "What a penalty alone would do to the weights in one step, worked out exactly.")),
    told=("different inputs (%)",),
)
