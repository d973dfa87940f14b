"""Loss and top-5 accuracy of a scan's cells, which a scan does not ask for: all cells on the same few examples, drawn at random."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from compression.crew import bank_of
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.engine.plain import Pairs
from compression.evaluate import order
from compression.method import Value
from compression.recipe import Step
from compression.registry import rewrites
from compression.removal import groups
from compression.sensitivity import Cell

EXAMPLES = {"images": 1000, "text": 60, "vectors": 1000}
TOP = 5
Key = tuple[str, Value]  # of a cell: its row and its setting


class Loss(NamedTuple):
    """Of one cell."""

    top5: float | None  # share of the answers that are among the five likeliest; None with five classes or fewer
    loss: float  # mean cross-entropy, nats
    n: int  # examples


def losses(instrument: Instrument, cells: Sequence[Cell], data: Data) -> Iterator[dict[Key, Loss] | None]:
    """Of all cells that can be measured, growing layer by layer; None for work on the way. Raises ValueError without labels."""
    if data.labels is None:
        raise ValueError("a loss needs labels, and these examples came without; open a data file with labels")
    net, found = instrument.network, {}
    rows = order(data)[: EXAMPLES[data.kind]]
    readers = {g.name: g.reader for g in groups(net)} if any(c.step.method in rewrites() for c in cells) else {}
    asked: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.refused:
            asked.setdefault(cell.layer, []).append(cell)
    batch = instrument.pace(data.inputs).batch
    for row, mine in asked.items():
        steps: tuple[Step, ...] = tuple(c.step for c in mine)
        bank = bank_of(net, {readers.get(row, row): steps})
        for _ in bank.fill():
            yield None
        sums = torch.zeros(len(mine), 2, dtype=torch.double)
        for part in rows.split(batch):
            for i in range(len(mine)):
                sums[i] += _asked(instrument, bank.weights(i), data, part)
            yield None
        answers = len(rows) * (data.labels.shape[1] if data.labels.ndim > 1 else 1)
        for cell, (loss, top) in zip(mine, (sums / answers).tolist()):
            found[cell.layer, cell.value] = Loss(top if len(data.classes) > TOP else None, loss, len(rows))
        yield dict(found)


def _asked(instrument: Instrument, weights: dict[str, Tensor], data: Data, rows: Tensor) -> Tensor:
    """(2,) sum of the losses, and how many right answers are among the five likeliest."""
    x, truth, engine = data.inputs[rows], data.labels[rows], instrument.fast(data.inputs).engine
    names = frozenset(weights)
    with torch.inference_mode():
        scores = engine.changed(engine.record(x, [names]), Pairs([weights], None, names)).float()
        loss = F.cross_entropy(scores.flatten(0, -2), truth.flatten(), reduction="sum")
        top = scores.topk(min(TOP, scores.shape[-1]), -1).indices
        return torch.stack([loss, (top == truth[..., None]).any(-1).sum()]).double()
