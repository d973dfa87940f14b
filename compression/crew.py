"""The work of a scan: its cells carried out, ranked, and asked about examples; here, or wherever a crew does it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from torch import Tensor

from compression.apply import Compressed, compress
from compression.data import Data
from compression.engine.answers import Answers
from compression.engine.grid import Bank
from compression.engine.instrument import Instrument
from compression.engine.scan import Asking, ask, ranking, unsure
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.registry import rewrites
from compression.removal import masking, shrunken
from compression.score import size_of

LOOKED_AT = 32  # examples for a first look, windows of text a quarter of that
SHARPENED = 0.7  # the temperature at which a first ranking compares answers


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


def few(data: Data) -> int:
    """How many examples a first look asks about."""
    return LOOKED_AT if data.kind != "text" else LOOKED_AT // 4


def doubted(fast: Answers, teach: Data) -> Tensor:
    """Those of the first examples of which the network is unsure: they tell soonest which changes cost answers."""
    near = teach.inputs[: 8 * few(teach)]
    return near[unsure(fast, near, few(teach))]


def first_ranking(fast: Answers, bank: Bank, teach: Data) -> Iterator[tuple[int, float]]:
    """The measured cells, each with the divergence of its sharpened answers on a few examples of which the network is unsure."""
    return ranking(fast, bank, doubted(fast, teach), SHARPENED)


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
        return first_ranking(fast, bank, net.data.get("train", data))

    return Work(fill, rank, partial(ask, fast, bank, data, first, design))
