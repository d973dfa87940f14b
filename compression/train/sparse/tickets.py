"""Lottery tickets: train, prune, go back to the first weights, and again; beside the same mask with other first weights."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from compression.method import Knob
from compression.network import Network
from compression.train.loop import fit
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, in_turn, onward
from compression.train.progress import Progress, Run
from compression.train.results import baked
from compression.train.sparse.masked import EPOCHS, RATE, Masked, begun, fresh, makers, no_beginning, survivors, to_mask, train, usual

OTHER = 1000  # added to the seed of the weights that a control begins from


def pruned(ends: Sequence[Tensor], firsts: Sequence[Tensor], kept: Sequence[Tensor], share: float, criterion: str) -> list[Tensor]:
    """Masks of which, in each layer, a share of what was kept goes (Frankle and Carbin 2019, section 2).

    Those go whose end is smallest ("magnitude"), that grew least in size ("growth", Zhou et al. 2019, arXiv:1905.01067, figure 3), or
    any ("random"). All tensors of a layer have its shape.
    """
    fresh_masks = []
    for end, first, mask in zip(ends, firsts, kept, strict=True):
        score = {"magnitude": end.abs(), "growth": end.abs() - first.abs(), "random": torch.rand(end.shape)}[criterion]
        going = round(share * int(mask.sum()))
        least = score.masked_fill(~mask, torch.inf).flatten().argsort(stable=True)[:going]
        fresh_masks.append(mask.flatten().index_fill(0, least, False).reshape(mask.shape))
    return fresh_masks


def signs_of(weight: Tensor) -> Tensor:
    """Every weight at its sign times their common spread: what is left of first weights where only signs are kept (Zhou et al. 2019)."""
    return weight.sign() * weight.std()


def run(task: Task, rounds: int, share: float, rewind: int, criterion: str, begins: str, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Dense; the ticket, in rounds; and its mask over weights from another seed. All begin after as many steps."""
    plan = usual(task, epochs, rate)
    steps, words = plan.total(len(task.teach)), f"the ticket, after {rounds} rounds" if rounds > 1 else "the ticket"
    dense, ticket = Run("dense", steps, control=True), Run(words, rounds * steps)
    other = Run("its mask, other first weights", steps, control=True)
    key = ("tickets", rounds, share, rewind, criterion, begins)
    found: dict[str, list[Tensor]] = {}
    firsts: dict[int, Network] = {}

    def first(seed: int) -> Generator[None, None, Network]:
        if seed not in firsts:
            firsts[seed] = yield from _rewound(task, plan, rewind, seed)
        return firsts[seed]

    def densely(_: tuple[Run, ...]) -> Going:
        net = yield from first(task.seed)
        model = Made(net, {layer.name: Masked(layer.weight) for layer in to_mask(net)})
        done = yield from train(task, model, plan, dense, key)
        found["ends"] = [m.full.detach().clone() for m in makers(model)]
        found["kept"] = [m.kept.clone() for m in makers(model)]
        return done

    def in_rounds(_: tuple[Run, ...]) -> Going:
        net, run = (yield from first(task.seed)), ticket
        starts = [layer.weight for layer in to_mask(net)]
        for i in range(1, rounds + 1):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(task.seed + i)
                found["kept"] = pruned(found["ends"], starts, found["kept"], share, criterion)
            weights = [signs_of(w) if begins == "signs" else w for w in starts]
            model = _masked(net, weights, found["kept"])
            going = train(task, model, plan, Run(ticket.title, steps), (*key, i))
            run = replace((yield from onward(run, going, (i - 1) * steps, i == rounds)), picture=survivors(task.network.reference, found["kept"]))
            found["ends"] = [m.full.detach().clone() for m in makers(model)]
        return run

    def elsewhere(_: tuple[Run, ...]) -> Going:
        net = yield from first(task.seed + OTHER)
        return (yield from train(task, _masked(net, [layer.weight for layer in to_mask(net)], found["kept"]), plan, other, key))

    yield from in_turn(task.watch, [(dense, densely), (ticket, in_rounds), (other, elsewhere)])


def _masked(net: Network, weights: Sequence[Tensor], kept: Sequence[Tensor]) -> Made:
    return Made(net, {layer.name: Masked(w, k) for layer, w, k in zip(to_mask(net), weights, kept, strict=True)})


def _rewound(task: Task, plan: Plan, steps: int, seed: int) -> Generator[None, None, Network]:
    """The network a few steps after its first weights, to which every round goes back."""
    net = fresh(task, seed)
    if not steps:
        return net
    model = Made(net, {})
    early = replace(plan, epochs=0, steps=steps, cycle=False)
    for _ in fit(model, task.teach, task.watch, early, seed):
        yield None
    return begun(task, baked(model))


PROCEDURE = Procedure(
    title="Lottery tickets",
    summary="Trains from first weights, prunes a share of each layer, sets what is left back to its first weights, and again. The control has "
            "the same mask over first weights of another seed. The recipe on screen is left aside.",
    reference="Frankle and Carbin 2019, arXiv:1803.03635; Frankle et al. 2019, arXiv:1903.01611; Zhou et al. 2019, arXiv:1905.01067",
    survey="3.6",
    knobs=(
        Knob("rounds", "Rounds", (1, 2, 3, 4, 6, 8, 12), 4, "How often it prunes and goes back."),
        Knob("share", "Pruned in a round", (0.2, 0.35, 0.5, 0.7), 0.5, "Of the weights that are left, in every layer."),
        Knob("rewind", "Steps before the weights gone back to", (0, 10, 30, 100, 300), 0, "At 0 they are the very first."),
        Knob("criterion", "Pruned first", ("magnitude", "growth", "random"), "magnitude",
             "The smallest in the end, those that grew least, or any."),
        Knob("begins", "Gone back to", ("weights", "signs"), "weights", "The first weights, or only their signs at one common size."),
        EPOCHS, RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="digits-mlp",
    study=((("rounds", 2), ("epochs", 20)), (("rounds", 4), ("epochs", 20)), (("rounds", 6), ("epochs", 20)),
           (("rounds", 4), ("epochs", 20), ("criterion", "random"))),
    refuses=no_beginning,
    finding="A ticket learns as well and as fast as the dense network down to a tenth or fifth of its weights; the same mask over other first "
            "weights is slower and worse.",
    terms=(("ticket", "A mask and the first weights under it."), ("rewinding", "Going back to the weights after a few steps, not to the first.")),
)
