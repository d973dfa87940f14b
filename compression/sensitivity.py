"""How much accuracy one layer costs when only it is compressed: a generator of cells, layer by rung."""

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from compression.apply import Memo, compress
from compression.data import Data
from compression.evaluate import Answers, Quality, evaluate
from compression.method import Value
from compression.network import Network
from compression.recipe import Override, Recipe, Step, step
from compression.registry import method
from compression.score import changed, size_of


@dataclass(frozen=True)
class Cell:
    """One layer at one rung, all others as they were."""

    layer: str
    step: Step
    value: Value
    quality: Quality | None  # None where the method does not apply to the layer
    saved_bytes: int  # of the packed file, against the original
    refused: str = ""


def rungs(name: str, knob: str, count: int = 7) -> tuple[Value, ...]:
    """A few rungs spread over a ladder, from harmless to harsh, without the one that does nothing."""
    known = method(name).knob(knob)
    ladder = [value for value in known.ladder if value != known.off]
    if known.bytes_along == "rise":
        ladder.reverse()
    usual = [v for v in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98) if v in ladder]
    if knob == "sparsity" and len(usual) >= count - 2:
        return tuple(usual[:count])
    count = min(count, len(ladder))
    return tuple(ladder[round(i * (len(ladder) - 1) / max(1, count - 1))] for i in range(count))


def scan(network: Network, name: str, knob: str, values: tuple[Value, ...], data: Data, examples: int,
         memo: Memo | None = None, dense: MutableMapping[Any, Answers] | None = None, **others: Value) -> Iterator[Cell]:
    """Every layer at every value of a method's knob. Middle rungs come first, so that the picture takes shape early.

    examples: at least so many are judged in each cell, the same ones in all.
    """
    dense = {} if dense is None else dense
    original = size_of(compress(network, Recipe(), memo))
    for value in sorted(values, key=lambda v: abs(values.index(v) - len(values) // 2)):
        chosen = step(name, **{knob: value}, **others)
        for layer in network.layers:
            compressed = compress(network, Recipe(overrides=(Override(layer.name, (chosen,)),)), memo)
            if compressed.refused[layer.name]:
                yield Cell(layer.name, chosen, value, None, 0, compressed.refused[layer.name][0])
                continue
            quality = judged(network, compressed, data, examples, dense)
            yield Cell(layer.name, chosen, value, quality, original - size_of(compressed))


def judged(network: Network, compressed: Any, data: Data, examples: int, dense: MutableMapping[Any, Answers]) -> Quality:
    """The judgement after at least so many examples."""
    for progress in evaluate(compressed.network, changed(compressed, compressed.weights()), data, dense):
        if progress.quality.n >= examples:
            break
    return progress.quality


def last_safe(cells: list[Cell], tolerance: float) -> dict[str, Value]:
    """For each layer the harshest value up to which no measured cell loses more than tolerance (a share of the answers).

    Values are compared by the bytes they save; a layer whose mildest cell already loses more is left out.
    """
    safe: dict[str, Value] = {}
    for layer in dict.fromkeys(c.layer for c in cells):
        for cell in sorted((c for c in cells if c.layer == layer and c.quality), key=lambda c: c.saved_bytes):
            if lost(cell.quality) > tolerance:
                break
            safe[layer] = cell.value
    return safe


def lost(quality: Quality) -> float:
    """Share of answers lost: accuracy of the original minus accuracy, or without labels the share of answers that changed."""
    return -quality.change.value if quality.change else 1 - quality.agreement.value
