"""Options by layer, from scans of single layers: what each saves of the file, and how far it moves the answers.

The cost is the divergence of the answers (nats): over layers it adds up better than drops in accuracy do (compression.joint).
With a network's scans, which weigh bits and sparsity, for example:

    options = table([scan_of_bits, scan_of_sparsity], original_bytes)
    best = exact(options.within(40_000))
    for option in options.chosen(best.places): ...
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compression.budget.problem import Limit, Problem

if TYPE_CHECKING:  # choosing needs no torch
    from compression.recipe import Step
    from compression.sensitivity import Cell, Scan


class Option(NamedTuple):
    """One way to store one layer, all others as they were."""

    layer: str
    step: "Step | None"  # None is the original
    change: int  # of the packed file, in bytes against the original's
    nats: float  # mean divergence of the answers from the original's
    cell: "Cell | None" = None  # of the scan, with the drop in accuracy where that was measured


@dataclass(frozen=True)
class Table:
    """All options, a row for each layer in network order, heaviest first."""

    rows: tuple[tuple[Option, ...], ...]
    original_bytes: int

    def within(self, most_bytes: float) -> Problem:
        """Least divergence in a file of so many bytes. What is chosen must be packed as a whole: headers do not quite add up."""
        cost = tuple(np.array([o.nats for o in row]) for row in self.rows)
        change = tuple(np.array([o.change for o in row], float) for row in self.rows)
        return Problem(cost, (Limit("bytes more than the original's", change, most_bytes - self.original_bytes),))

    def chosen(self, places: Sequence[int]) -> tuple[Option, ...]:
        """The options at those places."""
        return tuple(row[p] for row, p in zip(self.rows, places, strict=True))

    def promised(self, places: Sequence[int]) -> int:
        """Bytes of the whole file, if changes add up."""
        return self.original_bytes + sum(o.change for o in self.chosen(places))

    @property
    def settings(self) -> list[list["Step | None"]]:
        """What each layer's options are, for uniform()."""
        return [[o.step for o in row] for row in self.rows]


def table(scans: Iterable["Scan"], original_bytes: int, locked: Collection[str] = ()) -> Table:
    """The options of one or several scans of one network. Cells that were refused, or not even ranked, are left out.

    Each layer may stay as it is; one that is locked has no other option. original_bytes: of the packed file of the untouched network.
    Raises ValueError where the scans are of different layers, or hold no cell.
    """
    found: dict[str, list[Option]] = {}
    names: list[list[str]] = []
    for scan in scans:
        names.append(list(dict.fromkeys(cell.layer for cell in scan.cells)))
        for c in scan.cells:
            row = found.setdefault(c.layer, [Option(c.layer, None, 0, 0.0)])
            if not c.refused and c.nats == c.nats and c.layer not in locked:
                row.append(Option(c.layer, c.step, -c.saved_bytes, max(0.0, c.nats), c))
    if not found or any(n != names[0] for n in names):
        raise ValueError("the scans must be of the same layers, in the same order, and there must be some")
    return Table(tuple(tuple(sorted(row, key=lambda o: -o.change)) for row in found.values()), original_bytes)
