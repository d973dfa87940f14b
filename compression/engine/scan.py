"""Sensitivity of every layer at every rung: a first ranking, then measured drops with intervals that narrow until they are narrow enough."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from compression.data import Data
from compression.engine import sampling
from compression.engine.answers import Answers, told
from compression.engine.grid import Bank
from compression.engine.plain import Pairs
from compression.engine.sampling import Array, Counts, Design, Tolerance, Verdict
from compression.evaluate import Answers as Told
from compression.evaluate import join

USUAL = Tolerance()
Batch = tuple[Any, Mapping[int, Any]]  # (examples, 2): stratum and place in it; and by cell which of these it is asked about, None for all
Asking = Callable[[Iterable[Batch], Counts], Iterable[object]]  # counts the answers to batches in place, with an item after each part of the work


def ranking(fast: Answers, bank: Bank, inputs: Tensor, temperature: float = 1.0) -> Iterator[tuple[int, float]]:
    """Each measured cell with the Kullback-Leibler divergence of its answers from the original's, nats, on a few examples.

    A ranking, not a drop in accuracy: on 32 images it orders cells better than accuracy on four times as many does. It does so
    best on images of which the original is unsure (see unsure), and at a temperature of 0.7: on ResNet-20, all 264 cells,
    Spearman's correlation with the true drops rises from 0.835 to 0.851; symmetric, capped and other divergences change less.
    Of examples as they come, and at a temperature of 1, it is a mean that adds up over layers.
    """
    scores, record = fast.engine.dense(inputs)
    old = F.log_softmax(scores.float() / temperature, -1)
    for places in bank.measured.values():
        answers = fast.engine.changed(record, Pairs([bank.weights(i) for i in places])).float()
        new = F.log_softmax(answers / temperature, -1).unflatten(0, (len(places), -1))
        divergence = (old.exp() * (old - new)).sum(-1).flatten(1).mean(1)
        yield from zip(places, divergence.tolist())


def unsure(fast: Answers, inputs: Tensor, count: int = 32) -> Tensor:
    """Rows (count,) evenly drawn from the quarter of some examples whose best two scores lie closest together."""
    scores = fast.engine.scores(inputs)
    two = scores.topk(2, -1).values
    order = (two[..., 0] - two[..., 1]).reshape(len(inputs), -1).mean(1).argsort()
    quarter = max(count, len(inputs) // 4)
    return order[torch.linspace(0, min(quarter, len(order)) - 1, min(count, len(order))).long()]


class Original(NamedTuple):
    """The original's answers to all examples: what every cell is compared with, and where it was unsure."""

    answers: Tensor  # (n, ...) int64
    margins: Array  # (n,) best score less the next; for text the mean over a window
    confidence: Tensor  # (n, ...) the probability it gave to its answers
    loss: Tensor | None  # (n, ...) nats, of the right answers; None without labels

    def told(self, rows: Tensor) -> Told:
        """Its answers to some of the examples."""
        return Told(self.answers[rows], self.confidence[rows], None if self.loss is None else self.loss[rows])


def unit(first: Original) -> float:
    """The square of a usual difference of one example, for sampling.design: a window's is a mean over its characters."""
    return 1.0 if first.answers.ndim == 1 else 1 / first.answers.shape[1]


def original(fast: Answers, inputs: Tensor, batch: int, labels: Tensor | None = None) -> Original:
    """One pass over all examples."""
    *_, last = originals(fast, inputs, batch, labels)
    assert last is not None
    return last


def originals(fast: Answers, inputs: Tensor, batch: int, labels: Tensor | None = None) -> Iterator[Original | None]:
    """The same batch by batch: None after each but the last."""
    said: list[Told] = []
    margins: list[Tensor] = []
    for rows in torch.arange(len(inputs)).split(batch):
        if said:
            yield None
        with torch.inference_mode():
            scores = fast.engine.scores(inputs[rows])
            two = scores.topk(2, -1)
            said.append(told(scores, two.indices[..., 0], None if labels is None else labels[rows]))
            gap = two.values[..., 0] - two.values[..., 1]
            margins.append(gap.flatten(1).mean(1).clone() if gap.ndim > 1 else gap.clone())
    every = join(tuple(said))
    yield Original(every.top, torch.cat(margins).double().numpy(), every.confidence, every.loss)


@dataclass(frozen=True, eq=False)
class State:
    """How far a scan has come: arrays (cells,). Give it back to adaptive() to go on from there."""

    drop: Array  # accuracy lost, share of answers; without labels, answers changed
    half: Array  # half-width of its interval
    n: Array  # examples judged
    open: Array  # bool: not yet narrow enough
    looks: int
    counts: Counts
    wanted: Array  # (cells, strata) examples judged once the look under way is over; none where that is still to be decided
    of: int  # examples there are

    @property
    def done(self) -> bool:
        return not self.open.any()


def adaptive(fast: Answers, bank: Bank, data: Data, first: Original, tolerance: Tolerance | Verdict = USUAL, strict: bool = False,
             seed: int = 0, batch: int = 256, strata: int = 8, pilot: int = 96, state: State | None = None,
             asking: Asking | None = None) -> Iterator[State]:
    """Measure all cells of a bank, the doubtful ones on more examples, and give the state after each batch of examples.

    A cell is closed when its interval is as narrow as the tolerance asks (95 %), or all examples were judged. The same seed
    draws the same examples. Cells without effect are closed at once with a drop of exactly 0. Given a state of its own it goes on
    as if it had never stopped, be it in the middle of a look; cells that were opened since, with nothing wanted, take part.
    asking: what asks the cells, where that is not done here. Where nothing less than all examples is enough, they follow the first look
    in whole batches, which costs least.
    """
    design = sampling.design(first.margins, strata, seed, unit(first))
    places = [i for cells in bank.measured.values() for i in cells]
    counts = state.counts if state else _nothing(len(bank.cells), len(design.order))
    looks, opened = (state.looks, state.open) if state else (0, np.isin(np.arange(len(bank.cells)), places))
    z = sampling.level(max(1, looks), strict)
    wanted = np.where(opened[:, None], np.maximum(state.wanted if state else 0, sampling.start(design, pilot)), counts.n)
    if state and (fresh := opened & ~state.wanted.any(1)).any():
        wanted = np.maximum(wanted, sampling.more(counts, sampling.judge(counts, design, z), design, fresh))
    if not opened.any():
        yield _state(counts, design, z, opened, looks, wanted, None)
    while opened.any():
        batches = _batches(design, counts.n, wanted, opened, batch, tolerance.everything and looks > 0)
        for _ in asking(batches, counts) if asking else ask(fast, bank, data, first, design, batches, counts):
            yield _state(counts, design, z, opened, looks, wanted, None)
        looks += 1
        z = sampling.level(looks, strict)
        judged = sampling.judge(counts, design, z)
        opened = opened & ~tolerance.allows(judged.drop, judged.half) & (counts.n < design.sizes).any(1)
        every = np.where(opened[:, None], design.sizes, counts.n)
        wanted = every if tolerance.everything else sampling.more(counts, judged, design, opened)
        yield _state(counts, design, z, opened, looks, wanted, judged)


def _nothing(cells: int, strata: int) -> Counts:
    return Counts(np.zeros((cells, strata), np.int64), np.zeros((cells, strata)), np.zeros((cells, strata)))


def _state(counts: Counts, design: Design, z: float, opened: Any, looks: int, wanted: Array, judged: sampling.Judged | None) -> State:
    judged = judged or sampling.judge(counts, design, z)
    seen = counts.n.sum(1)
    half = np.where((counts.n > 0).all(1) | (seen == 0), judged.half, 1.0)
    return State(judged.drop, np.where(seen > 0, half, 0.0 if looks else 1.0), seen, opened.copy(), looks,
                 Counts(*(a.copy() for a in counts)), wanted, int(design.sizes.sum()))


def _batches(design: Design, n: Any, wanted: Any, opened: Any, batch: int, mixed: bool) -> Iterator[Batch]:
    """The examples that some cell wants, in batches of neighbours: their (stratum, place) rows, and for each cell which of them.

    mixed: every batch has its share of all strata, and a cell that wants all of it is given None, as many more will follow.
    """
    lists, turns = [], []
    for h in range(len(design.order)):
        low, high = int(n[opened, h].min(initial=0)), int(wanted[opened, h].max(initial=0))
        places = np.arange(low, high)
        places = places[((n[:, h, None] <= places) & (places < wanted[:, h, None])).any(0)]
        lists.append(np.stack([np.full_like(places, h), places], 1))
        turns.append((np.arange(len(places)) + 0.5) / max(1, len(places)))
    every = np.concatenate(lists)
    if mixed:
        every = every[np.argsort(np.concatenate(turns), kind="stable")]
    old, new = n.copy(), wanted.copy()
    for part in np.array_split(every, max(1, -(-len(every) // batch))) if len(every) else ():
        inside = (old[:, part[:, 0]] <= part[:, 1]) & (part[:, 1] < new[:, part[:, 0]])  # (cells, rows)
        yield part, {int(c): None if mixed and inside[c].all() else np.flatnonzero(inside[c]) for c in np.flatnonzero(inside.any(1))}


def ask(fast: Answers, bank: Bank, data: Data, first: Original, design: Design, batches: Iterable[Batch], counts: Counts) -> Iterator[None]:
    """Ask cells about their rows of batches, and count in place; None after each batch."""
    for rows, cells in batches:
        _ask(fast, bank, data, first, design, rows, cells, counts)
        yield


def _ask(fast: Answers, bank: Bank, data: Data, first: Original, design: Design, part: Any, cells: Mapping[int, Any], counts: Counts) -> None:
    """Ask each cell about its rows of a batch, and count."""
    rows = torch.from_numpy(np.array([design.order[h][k] for h, k in part]))
    x, old = data.inputs[rows], first.answers[rows]
    truth = None if data.labels is None else data.labels[rows]
    layers = {name: [i for i in places if i in cells] for name, places in bank.measured.items()}
    layers = {name: places for name, places in layers.items() if places}
    record = fast.engine.record(x, [frozenset(bank.layers[name].names) for name in layers])
    for places in layers.values():
        whole = all(cells[i] is None for i in places)
        asked = [torch.arange(len(rows)) if cells[i] is None else torch.from_numpy(cells[i]) for i in places]
        answers = fast.changed(x, record, Pairs([bank.weights(i) for i in places], None if whole else asked), many=whole)
        for i, mine, said in zip(places, asked, answers.split([len(a) for a in asked])):
            was = old[mine]
            change = (said != was).double() if truth is None else (was == truth[mine]).double() - (said == truth[mine]).double()
            change = (change.flatten(1).mean(1) if change.ndim > 1 else change).numpy()
            strata = part[mine.numpy(), 0]
            np.add.at(counts.n[i], strata, 1)
            np.add.at(counts.sums[i], strata, change)
            np.add.at(counts.squares[i], strata, change**2)
