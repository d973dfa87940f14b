"""Coupled layers, group by group: what is left of a network when units are taken from one of them, the others as they were.

A unit that is taken away is one that nothing reads: the layer that read it has zeros in its place, which gives the same answers
as the smaller network, and can be asked about as quickly as any other change of one layer's weight.
"""

from collections.abc import Generator
from functools import lru_cache
from typing import Any, NamedTuple

from compression.apply import compress
from compression.encoded import Dense, Encoded
from compression.method import Layer
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.rewriting import remove_units
from compression.rewriting.coupled import Pair, by_unit, pairs
from compression.score import size_of


class Group(NamedTuple):
    """Layers that have to change together: units of one, and what reads them in the other."""

    number: int  # from 1, in the order in which the network runs them; the knob "group" of a rewriting
    name: str
    reader: str  # name of the layer that reads
    pair: Pair


@lru_cache(maxsize=16)
def groups(network: Network) -> tuple[Group, ...]:
    """Of a network; none where it cannot be traced."""
    return tuple(Group(i, f"{p.feeder} → {p.reader}", p.reader, p) for i, p in enumerate(pairs(network), start=1))


def masking(network: Network) -> Any:
    """What carries out, for a bank, the removal of units from one group: the reader's weight with zeros where it read them."""
    def make(layer: Layer, chain: tuple[Step, ...], memo: Any) -> Generator[None, None, tuple[Encoded, tuple[str, ...]]]:
        yield
        knobs = dict(chain[0].knobs)
        if why := remove_units.refuses(network):
            return Dense(layer.weight), (why,)
        pair = groups(network)[int(knobs["group"]) - 1].pair
        kept = remove_units.survivors(network, pair, knobs["share"], knobs["score"])
        units = len(network.module.get_submodule(pair.feeder).weight)
        read = by_unit(layer.weight, units)
        masked = read.new_zeros(read.shape)
        masked[kept] = read[kept]
        return Dense(masked.transpose(0, 1).reshape(layer.weight.shape)), ()

    return make


def shrunken(network: Network, chain: tuple[Step, ...]) -> int:
    """Bytes of the file of the really smaller network."""
    return size_of(compress(network, Recipe(first=chain)))
