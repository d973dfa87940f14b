"""The loop that trains: plain steps, cut into short pieces, with a look at validation examples now and then.

What it does is decided by its seed alone, however often it is interrupted and whatever else draws random numbers meanwhile. Where a
store is given, its state is kept there, and the same training asked for again goes on from it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.train import checkpoint
from compression.train.plan import Plan, batches, one_cycle, optimizers
from compression.train.progress import NOTHING, Point

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]  # of a model, inputs and labels
Store = MutableMapping[str, dict[str, NDArray[Any]]]
PIECE = 0.15  # seconds of work after which others get their turn
WATCHED = {"images": 1000, "vectors": 1000, "text": 64}  # validation examples for the curves; windows of 128 characters
LOOKS = 40  # points of a curve at most, four in a pass
KEEP = 5.0  # seconds of work after which the state is kept again
CLIP = 1.0  # longest gradient


def cross_entropy(smoothing: float = 0.0) -> Loss:
    """The usual loss, in nats, with label smoothing (Szegedy et al. 2016, arXiv:1512.00567, section 7)."""

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(inputs).flatten(0, -2), labels.flatten(), label_smoothing=smoothing)

    return loss


def watched(data: Data) -> Data:
    """The examples that curves are measured on: the first of them in a fixed random order."""
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[: WATCHED[data.kind]]
    return replace(data, inputs=data.inputs[rows], labels=None if data.labels is None else data.labels[rows])


def accuracy(model: nn.Module, data: Data, piece: int = 250) -> float:
    """Share of right answers, in eval mode."""
    was, right = model.training, 0
    model.eval()
    with torch.no_grad():
        for inputs, labels in zip(data.inputs.split(piece), data.labels.split(piece), strict=True):
            right += int((model(inputs).argmax(-1) == labels).sum())
    model.train(was)
    return right / data.labels.numel()


def looks(plan: Plan, examples: int) -> int:
    """Steps from one point of a curve to the next."""
    return max(1, -(-plan.total(examples) // min(LOOKS, 4 * plan.epochs or LOOKS)))


def fit(model: nn.Module, teach: Data, watch: Data, plan: Plan, seed: int, loss: Loss | None = None, *,
        after: Callable[[int], None] = lambda step: None, trace: Callable[[], Mapping[str, float]] = lambda: NOTHING,
        store: Store | None = None, key: str = "") -> Iterator[Point | None]:
    """Train a model in place: a Point now and then, the last at the end, and None where there is nothing new to say.

    The first Point is of the model as it came. When a Point that is the best so far is given, the model holds what it was measured on.
    after(step) is called after every step, to hold what must be held or to change what is trained; trace() gives numbers to be drawn.
    Parameters that need no gradient are left alone; whatever else decides the training must be in the model's buffers. Where store
    and key are given, what is kept under the key is gone on from; the key must say everything that decides the training.
    """
    loss = loss or cross_entropy(plan.smoothing)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    moved, total, look = optimizers(parameters, plan), plan.total(len(teach)), looks(plan, len(teach))
    rates = [[group["lr"] for group in o.param_groups] for o in moved]
    state = checkpoint.begin(seed)
    kept = store.get(key) if store is not None and key else None
    if kept is not None:
        state = checkpoint.read(kept)
        best = max(state.points, key=lambda p: p.accuracy)
        model.load_state_dict(state.best)
        yield from (p._replace(best=p is best) for p in state.points)
        model.load_state_dict(state.model)
        checkpoint.into(moved, state.optimizers)
    source, step = batches(teach, plan, torch.Generator().manual_seed(seed)), state.step
    for _ in range(step):  # the same order of examples as if it had never stopped
        next(source)
    points, dice, most, winner = list(state.points), state.dice, max((p.accuracy for p in state.points), default=-1.0), state.best
    spent = last_kept = points[-1].seconds if points else 0.0
    running: list[float] = []
    if not points:
        most = accuracy(model, watch)
        points.append(Point(0, 0.0, nan, most, True, dict(trace())))
        winner = _copied(model)
        yield points[0]
    model.train()
    while step < total:
        begun = time.thread_time()
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(dice)
            while True:
                inputs, labels = next(source)
                for o, usual in zip(moved, rates, strict=True):
                    for group, rate in zip(o.param_groups, usual, strict=True):
                        group["lr"] = rate * one_cycle(step, total) if plan.cycle else rate
                worth = loss(model, inputs, labels)
                model.zero_grad(set_to_none=True)
                worth.backward()
                nn.utils.clip_grad_norm_(parameters.values(), CLIP)
                for o in moved:
                    o.step()
                step += 1
                after(step)
                running.append(float(worth.detach()))
                if step % look == 0 or step == total or time.thread_time() - begun > PIECE:
                    break
            dice = torch.get_rng_state()
        spent += time.thread_time() - begun
        if step % look and step < total:
            yield None
            continue
        seen = accuracy(model, watch)
        points.append(Point(step, spent, float(np.mean(running)), seen, seen > most, dict(trace())))
        running = []
        if seen > most:
            most, winner = seen, _copied(model)
        if store is not None and key and (step == total or spent - last_kept > KEEP):
            store[key] = checkpoint.arrays(checkpoint.State(step, tuple(points), model.state_dict(), winner, checkpoint.out_of(moved), dice))
            last_kept = spent
        yield points[-1]


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: x.detach().clone() for name, x in model.state_dict().items()}
