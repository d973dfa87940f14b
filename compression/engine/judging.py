"""A recipe judged by the quick path, in the same words as compression.evaluate: an estimate from a few examples, then all of them.

While only some examples were asked, everything is an estimate of what all would say: they come from strata, more of them where the
original was unsure, and count by what they stand for. The intervals are for other examples of the same kind, as with all of them.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compression.data import Data
from compression.engine import sampling
from compression.engine.answers import Answers
from compression.engine.live import Live, live
from compression.engine.sampling import Counts, Design
from compression.engine.scan import Original
from compression.evaluate import Answers as Told
from compression.evaluate import Estimate, Progress, Quality, Z, judge, share


def judging(fast: Answers, weights: Mapping[str, Tensor], data: Data, first: Original, design: Design, piece: int = 64,
            kept: MutableMapping[Any, Any] | None = None, rewritten: bool = False) -> Iterator[Progress | None]:
    """As engine.live, with a judgement for each state; the last is what evaluate says on all examples."""
    for state in live(fast, weights, data, first, design, piece, kept, rewritten=rewritten):
        yield None if state is None else progress(state, data, first, design)


def progress(state: Live, data: Data, first: Original, design: Design) -> Progress:
    """The judgement of one state."""
    rows, new = state.rows, state.told
    if state.complete:
        place = rows.argsort()
        rows, new = rows[place], at(new, place)
    old = first.told(rows)
    quality = judge(data, rows, old, new) if state.complete else estimated(state, data, first, design)
    return Progress(quality, (rows,), (old,), (new,))


def at(told: Told, places: Tensor) -> Told:
    """Some rows of answers."""
    return Told(told.top[places], told.confidence[places], None if told.loss is None else told.loss[places])


def estimated(state: Live, data: Data, first: Original, design: Design) -> Quality:
    """What all examples would say, from some."""
    total, old, new = len(data), first.told(state.rows), state.told
    weight = torch.from_numpy(design.share[state.strata] / np.bincount(state.strata, minlength=len(design.order))[state.strata])
    characters = 1 if new.top.ndim == 1 else new.top.shape[1]

    def mean(values: Tensor) -> float:
        return float((_each(values) * weight).sum())

    def count(values: Tensor) -> int:
        return round(mean(values) * total * characters)

    def estimate(value: float, values: Tensor, sampled: float) -> Estimate:
        """A mean over all examples: its interval is that of all of them, and that of having asked only some."""
        each = _each(values)
        spread = float((each**2 * weight).sum()) - float((each * weight).sum()) ** 2
        half = sqrt(Z**2 * max(0.0, spread) / total + sampled**2)
        return Estimate(value, value - half, value + half)

    differ = new.top != old.top
    common = dict(data=data.name, split=data.split, n=state.n, of=total, predictions=total * characters, changed=count(differ),
                  agreement=_within(estimate(1 - mean(differ), ~differ, _half(_each(differ), state, design))), estimated=True, sampled=state.half)
    if data.labels is None:
        return Quality(**common, accuracy=None, original=None, change=None, newly_wrong=0, newly_right=0, chance=None, loss=None,
                       original_loss=None)
    truth = data.labels[state.rows]
    was, now = old.top == truth, new.top == truth
    everyone = share(first.answers == data.labels)
    accuracy = _within(estimate(everyone.value - state.drop, now, state.half))
    return Quality(**common, accuracy=accuracy, original=everyone, change=estimate(-state.drop, now.double() - was.double(), state.half),
                   newly_wrong=count(was & ~now), newly_right=count(now & ~was), chance=None, loss=mean(new.loss),
                   original_loss=float(first.loss.mean()))


def _within(found: Estimate) -> Estimate:
    """A share is between 0 and 1."""
    return Estimate(*(min(1.0, max(0.0, x)) for x in found))


def _each(values: Tensor) -> Tensor:
    """One number an example: for text the mean over a window."""
    values = values.double()
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _half(each: Tensor, state: Live, design: Design) -> float:
    """Half-width of the interval of a mean over all examples, as sampling.judge finds it."""
    counts = Counts(*(np.zeros((1, len(design.order))) for _ in range(3)))
    for array, values in zip(counts, (np.ones(len(each)), each.numpy(), each.numpy() ** 2)):
        np.add.at(array[0], state.strata, values)
    return float(sampling.judge(counts, design).half[0])
