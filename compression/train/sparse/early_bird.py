"""Early-bird tickets: which channels would be dropped is settled long before training ends, so drop them then and save the rest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from compression.method import Knob
from compression.train.procedure import Going, Procedure, Task, in_turn, onward
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import RATE, fresh, no_beginning, train, usual
from compression.train.sparse.slimming import SHARE, STRENGTH, hold, least, left, scaled, scales, slim, slimmed, under
from compression.train.sparse.slimming import refuses as without_scales

EPOCHS = Knob("epochs", "Passes", (4, 6, 8, 10, 15, 20), 8, "In each training in full; the ticket is looked for after every pass.")
CLOSE = Knob("close", "Drawn at a distance of", (0.02, 0.05, 0.1, 0.2), 0.1,
             "Largest share of channels on which the masks of the last three passes differ.")
LAST = 3  # passes whose masks must be near to one another; five in the paper, where there are 160 passes


class Settling(NamedTuple):
    """How the choice of channels settles down."""

    distance: Tensor  # (pass, pass) share of channels on which the masks after two passes differ


def distances(masks: Tensor) -> Tensor:
    """Share of places in which rows of (passes, channels) differ, (passes, passes): the Hamming distance of You et al. 2020, section 3.2."""
    return (masks[:, None] != masks[None]).float().mean(2)


def settled(masks: Tensor, close: float) -> bool:
    """Whether the last few masks are nearer to one another than that."""
    return len(masks) >= LAST and float(distances(masks[-LAST:]).max()) < close


def run(task: Task, share: float, close: float, strength: float, epochs: int, rate: float) -> Iterator[Progress | None]:
    """From first weights: drawn as soon as the mask has settled and trained on for the rest; beside it drawn at the end, and trained again."""
    plan, net = usual(task, epochs, rate), fresh(task, task.seed)
    norms = scaled(net)
    layers, steps = [layer for layer in net.layers if layer.name in norms], plan.total(len(task.teach))
    a_pass = steps // epochs

    def search(early: bool, run: Run, _: tuple[Run, ...]) -> Going:
        model, names, key = slimmed(net, layers), list(norms.values()), ("early_bird", share, close if early else 0.0, strength)
        masks = torch.zeros(0, sum(len(x) for x in scales(model.body, names)), dtype=torch.bool)
        done, kept = 0, {}
        while done < epochs:
            one = replace(plan, epochs=1, cycle=False)
            run = yield from onward(run, train(task, model, one, Run(run.title, a_pass), (*key, done), seed=task.seed + done, at_end=True,
                                               loss=under(model, names, strength), trace=lambda: left(model)), done * a_pass, last=False)
            done += 1
            each = least([x.detach().abs() for x in scales(model.body, names)], share)
            masks, kept = torch.cat([masks, torch.cat(each)[None]]), dict(zip(norms, each, strict=True))
            if early and settled(masks, close):
                break
        slim(model, kept, norms)
        rest = replace(plan, epochs=max(1, epochs - done) if early else epochs)
        part = Run(run.title, rest.total(len(task.teach)))
        picture = Settling(distances(masks)) if len(masks) > 1 else None
        run = replace(run, steps=done * a_pass + part.steps)
        return (yield from onward(run, train(task, model, rest, part, (*key, "rest"), seed=task.seed + epochs, trace=lambda: left(model),
                                             after=lambda _: hold(model, kept, norms), picture=lambda: picture), done * a_pass))

    runs = [(True, Run("drawn early", steps)), (False, Run("drawn after all passes", 2 * steps, control=True))]
    yield from in_turn(task.watch, [(run, lambda before, early=early, run=run: search(early, run, before)) for early, run in runs])


PROCEDURE = Procedure(
    title="Early-bird tickets",
    summary="Trains from first weights with a penalty on the scales of batch normalisations, watches which channels would be dropped, drops them "
            "when that no longer changes, and trains on. The recipe on screen is left aside.",
    reference="You et al. 2020, Drawing Early-Bird Tickets, arXiv:1909.11957",
    survey="3.6.1",
    knobs=(SHARE, CLOSE, STRENGTH, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="vgg-small",
    study=((("share", 0.3), ("epochs", 6)), (("share", 0.5), ("epochs", 6))),
    refuses=lambda task: without_scales(task) or no_beginning(task),
    finding="The mask settles in the first tenth or fifth of training, and what is trained on from there answers as well as the mask of the end.",
    terms=(("mask distance", "The share of channels on which two choices differ."),),
)
