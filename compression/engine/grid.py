"""The cells of a scan, one layer at one rung each, and the full grid of their answers to all examples, batch by batch."""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.apply import encoding
from compression.encoded import Encoded
from compression.engine.answers import Answers
from compression.engine.plain import Pairs
from compression.method import Layer, mapped
from compression.recipe import Step

Steps = Sequence[Step | tuple[Step, ...]]
Make = Callable[[Layer, tuple[Step, ...], dict[Any, Any]], Generator[Any, None, tuple[Encoded, tuple[str, ...]]]]


@dataclass(frozen=True)
class Cell:
    """One layer under one step, or several, while all other layers stay as they are."""

    layer: str
    steps: tuple[Step, ...]


class Bank:
    """The cells of a network's layers, sorted out: refused by the method, without effect on the weight, or to be measured.

    Keeps what is stored, and decoded weights up to `bytes_kept`; no copy of the network is ever made.
    """

    def __init__(self, layers: Sequence[Layer], steps: Steps | Mapping[str, Steps], bytes_kept: int = 128_000_000, filled: bool = True,
                 make: Make = encoding) -> None:
        """Every layer under every step, or by layer name under those of its own. filled: or else call fill(). make: what carries steps out."""
        self.layers = {layer.name: layer for layer in layers}
        own = steps if isinstance(steps, Mapping) else dict.fromkeys(self.layers, steps)
        self.cells = tuple(Cell(layer.name, s if isinstance(s, tuple) else (s,)) for layer in layers for s in own.get(layer.name, ()))
        self.refused: dict[int, str] = {}  # by cell: why the method does not apply there
        self.same: set[int] = set()  # cells whose weight is the original's to the last bit
        self.stored: dict[int, Encoded] = {}
        self._make = make
        self._decoded: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes, self._most = 0, bytes_kept
        if filled:
            for _ in self.fill():
                pass

    def fill(self) -> Iterator[int | None]:
        """Carry out the steps, cell by cell; gives the number of each that is ready, and None while a method prepares."""
        memo: dict[Any, Any] = {}
        for i, cell in enumerate(self.cells):
            layer = self.layers[cell.layer]
            self.stored[i], refused = yield from mapped(self._make(layer, cell.steps, memo), lambda _: None)
            if len(refused) == len(cell.steps):
                self.refused[i] = refused[0]
            elif torch.equal(self._weight(i), layer.weight):
                self.same.add(i)
            if i + 1 == len(self.cells) or self.cells[i + 1].layer != cell.layer:
                memo.clear()  # what was prepared for one layer is of no use to the next
            yield i

    @property
    def measured(self) -> dict[str, list[int]]:
        """By layer: the cells that need measuring."""
        found: dict[str, list[int]] = {}
        for i, cell in enumerate(self.cells):
            if i not in self.refused and i not in self.same:
                found.setdefault(cell.layer, []).append(i)
        return found

    def weights(self, i: int) -> dict[str, Tensor]:
        """The weights of one cell by parameter name, tied names included."""
        return dict.fromkeys(self.layers[self.cells[i].layer].names, self._weight(i))

    def _weight(self, i: int) -> Tensor:
        if i not in self._decoded:
            weight = self.stored[i].decode()
            self._decoded[i], self._bytes = weight, self._bytes + weight.nbytes
            while self._bytes > self._most and len(self._decoded) > 1:
                self._bytes -= self._decoded.popitem(last=False)[1].nbytes
        self._decoded.move_to_end(i)
        return self._decoded[i]


class Batch(NamedTuple):
    """All cells' answers to some rows of the data."""

    rows: Tensor  # (n,)
    dense: Tensor  # (n, ...) int64: the original's answers
    cells: Tensor  # (cells, n, ...) int64


def full(fast: Answers, bank: Bank, inputs: Tensor, rows: Tensor, batch: int) -> Iterator[Batch]:
    """Every cell's answer to every row, image batch by image batch: after each, all cells have an estimate.

    No more than one batch's values are kept, whatever the number of rows. The answers are those of the plain path on the same
    batches. Cells without effect, and refused ones, share the original's.
    """
    for part in rows.split(batch):
        x = inputs[part]
        scores, record = fast.engine.dense(x)
        dense = scores.argmax(-1)
        cells = dense.expand(len(bank.cells), *dense.shape).clone()
        for places in bank.measured.values():
            answers = fast.changed(x, record, Pairs([bank.weights(i) for i in places]), many=True)
            cells[places] = answers.unflatten(0, (len(places), -1))
        yield Batch(part, dense, cells)


def table(batches: Iterator[Batch], labels: Tensor) -> np.ndarray:
    """Paired differences (cells, n, ...) int8, in the order of the batches: 1 where only the original was right, -1 where only the cell was."""
    return np.concatenate([((b.dense == labels[b.rows]).to(torch.int8) - (b.cells == labels[b.rows]).to(torch.int8)).numpy()
                           for b in batches], 1)
