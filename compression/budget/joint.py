"""What a search is told of a choice: how far the whole recipe moves the answers, measured on the same examples every time."""

from collections.abc import Callable, Generator, MutableMapping
from typing import Any

from torch.nn import functional as F

from compression.apply import compress
from compression.budget.tables import Table
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.engine.plain import Pairs
from compression.evaluate import order
from compression.score import changed
from compression.searching.space import Places

EXAMPLES = {"images": 256, "text": 32, "vectors": 256}  # for a search, which asks many times
FINAL = {"images": 1024, "text": 128, "vectors": 1024}  # to choose between a few recipes that are close to each other
PIECE = 64  # examples at a time


def divergence(instrument: Instrument, table: Table, data: Data, memo: MutableMapping[Any, Any] | None = None,
               examples: int | None = None) -> Callable[[Places], Generator[None, None, float]]:
    """A measure for race(): minus the mean divergence of the answers from the original's (nats), all chosen options together.

    On the first of the data in their fixed random order. It is the cost that compression.budget adds up from single layers, so both
    look for the same thing; the promise in points is judged by other means.
    """
    memo = {} if memo is None else memo
    net = instrument.network
    rows = order(data)[: examples or EXAMPLES[data.kind]]
    pieces = [data.inputs[part] for part in rows.split(PIECE if data.kind != "text" else PIECE // 8)]
    known: dict[int, Any] = {}

    def measured(places: Places) -> Generator[None, None, float]:
        fast = instrument.fast(data.inputs)
        done = compress(net, table.recipe(places), memo)
        weights = changed(done, done.weights())
        if not weights:
            return 0.0
        names, total = frozenset(weights), 0.0
        for i, x in enumerate(pieces):
            if i not in known:
                known[i] = F.log_softmax(fast.engine.scores(x).float(), -1)
            record = fast.engine.record(x, [names], {})
            new = F.log_softmax(fast.engine.changed(record, Pairs([weights], None, names)).float(), -1)
            total += float((known[i].exp() * (known[i] - new)).sum(-1).flatten(1).mean(1).sum() if new.ndim > 2 else
                           (known[i].exp() * (known[i] - new)).sum())
            yield
        return -total / len(rows)

    return measured
