"""Measure the options of a method's dial, layer by layer: bytes, multiply-adds, distance of the weight, divergence of the answers.

A table for compression.budget needs no drops in accuracy, so this is far quicker than a sensitivity scan. Its divergences add up, so
they are of examples as they come, not of those on which a scan looks for what costs answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from compression import measure
from compression.apply import Compressed, compress, really_smaller, smaller
from compression.budget.tables import Option
from compression.chains import stages
from compression.crew import few
from compression.engine.grid import Bank
from compression.engine.instrument import Arrays, Instrument
from compression.engine.scan import ranking
from compression.method import Layer
from compression.network import Network
from compression.recipe import Recipe, Step
from compression.registry import dial
from compression.score import size_of


@dataclass(frozen=True, eq=False)
class Measured:
    """How far the options of one dial have come."""

    options: tuple[Option, ...]  # those that are known by now; refused ones are left out
    done: int  # pieces of work
    of: int

    @property
    def complete(self) -> bool:
        return self.done == self.of

    def arrays(self, network: Network, steps: Sequence[Step]) -> Arrays:
        """What was measured, (layers * steps,) in that order, nan where the method does not apply: to be kept, and read by restored()."""
        at = {(o.layer, o.step): o for o in self.options}
        found = [at.get((layer.name, step)) for layer in network.layers for step in steps]
        return {name: np.array([nan if o is None else getattr(o, name) for o in found], float) for name in ("change", "nats", "adds", "moved")}


def restored(network: Network, steps: Sequence[Step], arrays: Mapping[str, np.ndarray]) -> Measured:
    """What was measured before."""
    cells = [(layer.name, step) for layer in network.layers for step in steps]
    numbers = zip(cells, *(arrays[name].tolist() for name in ("change", "nats", "adds", "moved")), strict=True)
    options = tuple(Option(*cell, int(change), nats, int(adds), moved) for cell, change, nats, adds, moved in numbers if change == change)
    return Measured(options, 1, 1)


def measuring(instrument: Instrument, steps: Sequence[Step], then: tuple[Step, ...] = ()) -> Iterator[Measured | None]:
    """Every layer under every step; None while a method prepares. The last Measured is complete.

    then: steps that follow where bits are set, which cost no answers but change the bytes.
    """
    net = instrument.network
    bank = Bank(net.layers, [(s, *(then if dial(s.method) == "bits" else ())) for s in steps], filled=False)
    plain = compress(net, Recipe())
    size, operations = size_of(plain), original_operations(net)
    found: dict[int, Option] = {}
    cells = len(bank.cells)
    for i in bank.fill():
        if i is None:
            yield None
            continue
        if i not in bank.refused:
            layer, form = net.layer(bank.cells[i].layer), bank.stored[i]
            alone = Compressed(plain.network, plain.recipe, {**plain.encoded, layer.name: form}, {})
            adds = measure.multiply_adds(smaller(alone), net.example) - operations if operations and _shorter(net, alone, layer) else 0
            moved = float((form.decode() - layer.weight).double().square().sum())
            found[i] = Option(layer.name, bank.cells[i].steps[0], size_of(alone) - size, 0.0 if i in bank.same else nan, adds, moved)
        yield Measured((), i + 1, 2 * cells)
    if bank.measured:
        teach = net.data.get("train") or next(iter(net.data.values()))
        inputs = teach.inputs[: few(teach)]
        for count, (i, nats) in enumerate(ranking(instrument.fast(inputs), bank, inputs), start=1):
            found[i] = found[i]._replace(nats=max(0.0, nats))
            yield Measured((), cells + count * cells // (cells + 1), 2 * cells)
    yield Measured(tuple(found[i] for i in sorted(found) if found[i].nats == found[i].nats), 2 * cells, 2 * cells)


def original_operations(network: Network) -> int | None:
    """Multiply-adds of the original; None without an example of its inputs."""
    return None if network.example is None else measure.multiply_adds(network.module, network.example)


def _shorter(network: Network, alone: Compressed, layer: Layer) -> bool:
    """Whether a stored form becomes a chain of smaller layers, so that it changes the multiply-adds."""
    return bool(stages(alone.encoded[layer.name])) and really_smaller(network, layer)
