"""Masks from before any training: SNIP, GraSP, SynFlow and magnitude, beside a random mask of the same size and the dense network."""

from collections.abc import Generator, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from compression.method import Knob
from compression.network import Network
from compression.pruning.flow import no_flow, ones, pipes
from compression.pruning.synflow import scores as flows
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import (
    EPOCHS,
    RATE,
    SPARSITY,
    Masked,
    fresh,
    no_beginning,
    survivors,
    to_mask,
    train,
    usual,
    without_least,
)

HEAT = 200.0  # GraSP divides scores by it before the softmax, so that no first weights saturate it
TITLES = {"snip": "SNIP", "grasp": "GraSP", "synflow": "SynFlow", "magnitude": "magnitude", "random": "random"}


def snip(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Size of gradient times weight (Lee et al. 2019, equation 6, without its common divisor)."""
    return [(g * w).abs().detach() for g, w in zip(torch.autograd.grad(loss, list(weights)), weights, strict=True)]


def grasp(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Weight times (Hessian times gradient): what the squared gradient loses without a weight, half of it (Wang et al. 2020, eq. 8).

    The paper's score is this with its sign turned, and it removes what has most; here, as elsewhere, the least goes first.
    """
    gradients = torch.autograd.grad(loss, list(weights), create_graph=True)
    still = sum((g * g.detach()).sum() for g in gradients)
    return [(w * h).detach() for w, h in zip(weights, torch.autograd.grad(still, list(weights)), strict=True)]


def leaving(sparsity: float, rounds: int, count: int) -> list[int]:
    """How many weights are kept after each round k: density ** (k / rounds) of them (Tanaka et al. 2020, algorithm 1).

    >>> leaving(0.99, 2, 1000)
    [100, 10]
    """
    return [round(count * (1 - sparsity) ** (k / rounds)) for k in range(1, rounds + 1)]


def synflow(network: Network, sparsity: float, rounds: int) -> Generator[None, None, list[Tensor]]:
    """Masks from rounds of the flow through each weight, no data seen. Raises ValueError where nothing flows."""
    layers = to_mask(network)
    why = no_flow(layers[0].weight, layers[0])
    if why:
        raise ValueError(f"SynFlow does not apply. {why} Take another criterion.")
    module, x = pipes(network.context), ones(network.context)
    weights = {layer.name: module.get_parameter(layer.names[0]) for layer in layers}
    kept = [torch.ones(layer.weight.shape, dtype=torch.bool) for layer in layers]
    count = sum(k.numel() for k in kept)
    for many in leaving(sparsity, rounds, count):
        flow = flows(module, x, weights)
        kept = without_least([s.masked_fill(~k, -1.0) for s, k in zip(flow.values(), kept, strict=True)], count - many)
        for w, k in zip(weights.values(), kept, strict=True):
            w.data = w.data * k
        yield None
    return kept


def by_gradient(network: Network, task: Task, criterion: str, examples: int) -> list[Tensor]:
    """SNIP's or GraSP's score of every masked layer's weights, on so many training examples."""
    layers, module = to_mask(network), network.module
    rows = torch.randperm(len(task.teach), generator=torch.Generator().manual_seed(task.seed))[:examples]
    inputs, labels = task.teach.inputs[rows], task.teach.labels[rows]
    with torch.enable_grad():
        weights = [layer.weight.detach().clone().requires_grad_() for layer in layers]
        given = {name: w for layer, w in zip(layers, weights, strict=True) for name in layer.names}
        scores = functional_call(module, given, (inputs,)).flatten(0, -2)
        heat = HEAT if criterion == "grasp" else 1.0
        loss = F.cross_entropy(scores / heat, labels.flatten())
        return (grasp if criterion == "grasp" else snip)(loss, weights)


def masks(network: Network, task: Task, criterion: str, sparsity: float, examples: int, rounds: int) -> Generator[None, None, list[Tensor]]:
    """Masks over the whole network's weights that leave exactly round(density * all) of them."""
    if criterion == "synflow":
        return (yield from synflow(network, sparsity, rounds))
    dice = torch.Generator().manual_seed(task.seed)
    layers = to_mask(network)
    scores = {"magnitude": lambda: [layer.weight.abs() for layer in layers],
              "random": lambda: [torch.rand(layer.weight.shape, generator=dice) for layer in layers]}.get(
                  criterion, partial(by_gradient, network, task, criterion, examples))()
    count = sum(s.numel() for s in scores)
    return without_least(scores, count - leaving(sparsity, 1, count)[0])


def run(task: Task, criterion: str, sparsity: float, examples: int, rounds: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Three runs from the same first weights: under the criterion's mask, under one drawn by lot, and dense."""
    plan, net = usual(task, epochs, rate), fresh(task, task.seed)
    steps = plan.total(len(task.teach))
    key = ("at_start", criterion, sparsity, examples, rounds)
    runs = [(which, Run(f"{TITLES[which]} mask", steps, control=which != criterion)) for which in dict.fromkeys((criterion, "random"))]

    def under(which: str, run: Run, _: tuple[Run, ...]) -> Going:
        kept = yield from masks(net, task, which, sparsity, examples, rounds)
        model = Made(net, {layer.name: Masked(layer.weight, k) for layer, k in zip(to_mask(net), kept, strict=True)})
        picture = survivors(task.network.reference, kept)
        return (yield from train(task, model, plan, run, key, picture=lambda: picture))

    dense = Run("dense", steps, control=True)
    yield from in_turn(task.watch, [
        *((run, partial(under, which, run)) for which, run in runs),
        (dense, lambda _: train(task, Made(net, {layer.name: Masked(layer.weight) for layer in to_mask(net)}), plan, dense, key)),
    ])


PROCEDURE = Procedure(
    title="Pruned before training",
    summary="Finds a mask over first weights and trains only what it leaves. SNIP and GraSP look at one batch, SynFlow at no data. The recipe "
            "on screen is left aside.",
    reference="Lee et al. 2019, arXiv:1810.02340; Wang et al. 2020, arXiv:2002.07376; Tanaka et al. 2020, arXiv:2006.05467",
    survey="3.6.2",
    knobs=(
        Knob("criterion", "Criterion", tuple(TITLES), "snip", "How weights are chosen before any of them has learnt."),
        SPARSITY,
        Knob("examples", "Examples looked at", (16, 64, 128, 512), 128, "In the one batch of SNIP and GraSP."),
        Knob("rounds", "Rounds of SynFlow", (1, 10, 100), 100, "In how many small steps SynFlow prunes."),
        EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("criterion", c), ("sparsity", s)) for c, s in (("snip", 0.95), ("snip", 0.98), ("grasp", 0.98), ("synflow", 0.98),
                                                                 ("magnitude", 0.98))),
    refuses=no_beginning,
    finding="SNIP loses nothing at 95 % and little at 98 %, where a random mask loses much; SynFlow is the last to empty a layer.",
)
