"""The work of a scan: its cells carried out, ranked, and asked about examples; here, or wherever a crew does it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from compression.apply import Compressed, compress
from compression.data import Data
from compression.engine.grid import Bank
from compression.engine.instrument import Instrument
from compression.engine.scan import Asking, ask, ranking
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.registry import rewrites
from compression.removal import masking, shrunken
from compression.score import size_of

LOOKED_AT = 32  # examples for the first ranking, windows of text a quarter of that


class Ready(NamedTuple):
    """A cell that has been carried out."""

    number: int
    refused: str
    same: bool
    saved_bytes: int


class Work(NamedTuple):
    """What a scan has done for it: here, or elsewhere (compression.cluster.scan). None stands for a piece of work with nothing to show."""

    fill: Callable[[], Iterable[Ready | None]]
    rank: Callable[[], Iterable[tuple[int, float] | None]]
    ask: Asking


Crew = Callable[[Instrument, Mapping[str, tuple[Step, ...]], Data], Work]


def bank_of(network: Network, rows: Mapping[str, tuple[Step, ...]]) -> Bank:
    """The cells of a scan, not yet carried out."""
    coupled = next(iter(rows.values()), (None,))[0]
    return Bank([x for x in network.layers if x.name in rows], rows, filled=False,
                **{"make": masking(network)} if coupled is not None and coupled.method in rewrites() else {})


def here(instrument: Instrument, bank: Bank, data: Data) -> Work:
    """The work, done here."""
    net, fast = instrument.network, instrument.fast(data.inputs)
    first, design = instrument.known(data) or (None, None)
    assert first is not None and design is not None

    def fill() -> Iterator[Ready | None]:
        plain = compress(net, Recipe())
        size = size_of(plain)
        for i in bank.fill():
            if i is None:
                yield None
                continue
            layer, chain = bank.cells[i].layer, bank.cells[i].steps
            left = (size if i in bank.refused else shrunken(net, chain) if chain[0].method in rewrites() else
                    size_of(Compressed(plain.network, plain.recipe, {**plain.encoded, layer: bank.stored[i]}, {})))
            yield Ready(i, bank.refused.get(i, ""), i in bank.same, size - left)

    def rank() -> Iterator[tuple[int, float]]:
        teach = net.data.get("train", data)
        return ranking(fast, bank, teach.inputs[: LOOKED_AT if data.kind != "text" else LOOKED_AT // 4])

    return Work(fill, rank, partial(ask, fast, bank, data, first, design))
