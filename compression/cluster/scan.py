"""A scan whose layers are prepared and asked elsewhere: what is asked, and when it is enough, is decided here, so the table is the same."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from compression.cluster.parcel import Parcel, opened, packed
from compression.cluster.where import Where, spread
from compression.crew import Crew, Ready, Work, bank_of, here
from compression.data import Data
from compression.engine.grid import Bank
from compression.engine.instrument import Instrument
from compression.engine.sampling import Counts
from compression.engine.scan import Batch
from compression.recipe import Step

Ranked = tuple[int, float]


class Asked(NamedTuple):
    """One layer's share of a look at the examples."""

    layer: str
    steps: tuple[Step, ...]
    batches: tuple[Batch, ...]
    counts: Counts  # of its cells so far: sums are then added up in the same order as they are here


def crew(on: Where) -> Crew:
    """Who does a scan's work elsewhere; for sensitivity.scan and limits."""
    def hired(instrument: Instrument, rows: Mapping[str, tuple[Step, ...]], data: Data) -> Work:
        parcel, ranks = packed(instrument, data), []
        names = [x.name for x in instrument.network.layers if x.name in rows]
        start = dict(zip(names, np.cumsum([0, *(len(rows[name]) for name in names)]).tolist()))  # number of each layer's first cell

        def fill() -> Iterator[Ready | None]:
            for found in spread(prepared, parcel, [(name, rows[name]) for name in names], on):
                if found is None:
                    yield None
                    continue
                ready, ranked = found[1]
                first = start[names[found[0]]]
                ranks.extend((first + i, nats) for i, nats in ranked)
                yield from (r._replace(number=first + r.number) for r in ready)

        def ask(batches: Iterable[Batch], counts: Counts) -> Iterator[None]:
            every, work = tuple(batches), []
            for name in names:
                mine = slice(start[name], start[name] + len(rows[name]))
                own = tuple((part, {c - mine.start: at for c, at in cells.items() if mine.start <= c < mine.stop}) for part, cells in every)
                own = tuple((part, cells) for part, cells in own if cells)
                if own:
                    work.append(Asked(name, rows[name], own, Counts(*(a[mine].copy() for a in counts))))
            for found in spread(asked, parcel, work, on):
                if found is not None:
                    first = start[work[found[0]].layer]
                    for array, new in zip(counts, found[1]):
                        array[first : first + len(new)] = new
                yield

        return Work(fill, lambda: ranks, ask)

    return hired


def prepared(parcel: Parcel, item: tuple[str, tuple[Step, ...]]) -> tuple[list[Ready], list[Ranked]]:
    """All cells of one layer, numbered from 0, and their ranking; on a worker."""
    instrument = opened(parcel)
    data = instrument.network.data[parcel.split]
    bank = bank_of(instrument.network, dict([item]))
    work = here(instrument, bank, data)
    ready = [r for r in work.fill() if r is not None]
    return ready, [r for r in work.rank() if r is not None]


def asked(parcel: Parcel, item: Asked) -> Counts:
    """What a layer's cells have counted after its share of a look; on a worker."""
    instrument = opened(parcel)
    data = instrument.network.data[parcel.split]
    for _ in here(instrument, _bank(parcel, instrument, item), data).ask(item.batches, item.counts):
        pass
    return item.counts


_banks: dict[Any, Bank] = {}


def _bank(parcel: Parcel, instrument: Instrument, item: Asked) -> Bank:
    """A layer's cells, which a worker keeps for the next look: those of one scan at a time."""
    scan, key = (parcel.digest, parcel.teaches), (parcel.digest, parcel.teaches, item.layer, item.steps)
    if key not in _banks:
        for old in [k for k in _banks if k[:2] != scan or (k[2] == item.layer)]:
            del _banks[old]
        bank = bank_of(instrument.network, {item.layer: item.steps})
        for _ in bank.fill():
            pass
        _banks[key] = bank
    return _banks[key]
