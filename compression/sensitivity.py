"""How much accuracy one layer costs when only it is compressed: a table of layers and rungs that fills and narrows while it is watched.

First a ranking by the divergence of the answers on a few examples of which the network is unsure; then measured drops with
intervals, the doubtful cells on more examples (compression.engine.scan). limits() looks for the harshest rung of each layer instead, by halving.
"""

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from math import nan
from typing import Any, Literal, NamedTuple

import numpy as np

from compression.crew import Crew, bank_of, here
from compression.data import Data
from compression.engine.grid import Bank
from compression.engine.instrument import Arrays, Instrument
from compression.engine.sampling import Counts, Design, Tolerance, Verdict, judge, level
from compression.engine.scan import USUAL, State, adaptive
from compression.method import Value
from compression.network import Network
from compression.recipe import Step, step
from compression.registry import known, rewrites
from compression.removal import groups

ALL = Tolerance(0.0, 0.0)  # every example
TOLD = ("refused", "saved_bytes", "nats", "drop", "half", "n", "settled")  # what a cell says of itself


class Cell(NamedTuple):
    """One layer at one rung, all others as they were."""

    layer: str
    value: Value
    step: Step
    refused: str = ""  # why the method does not apply there
    saved_bytes: int = 0  # of the packed file, against the original's
    nats: float = nan  # divergence of the sharpened answers from the original's: a ranking, not a drop
    drop: float = nan  # accuracy lost, share of answers; without labels, answers changed
    half: float = nan  # half-width of its 95 % interval
    n: int = 0  # examples judged
    settled: bool = False  # as narrow as was asked for

    @property
    def measured(self) -> bool:
        return self.drop == self.drop


@dataclass(frozen=True, eq=False)
class Scan:
    """How far a scan has come."""

    cells: tuple[Cell, ...]
    of: int  # examples there are
    original: float | None  # accuracy of the original on all of them
    stage: Literal["preparing", "ranking", "measuring", "done"] = "preparing"
    state: State | None = None  # to go on from
    until: tuple[float, ...] = ()  # the tolerance, and whether strict

    @property
    def settled(self) -> int:
        """Cells that need no more examples."""
        return sum(c.settled for c in self.cells)

    def arrays(self) -> Arrays:
        """What was measured, to be kept and given back to scan()."""
        if self.state is None:
            return {}
        kept = {name: np.asarray(getattr(self.state, name)) for name in ("drop", "half", "n", "open", "looks", "wanted", "of")}
        counts = {f"counted_{name}": array for name, array in self.state.counts._asdict().items()}
        told = {f"cell_{name}": np.array([getattr(c, name) for c in self.cells]) for name in TOLD}
        return kept | counts | told | {"nats": np.array([c.nats for c in self.cells]), "until": np.array(self.until),
                                       "original": np.array(np.nan if self.original is None else self.original)}


def rungs(name: str, knob: str, count: int = 7) -> tuple[Value, ...]:
    """A few rungs spread over a ladder, from harmless to harsh, without the one that does nothing."""
    ladder, usual = harsher(name, knob), (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
    there = [v for v in usual if v in ladder]
    if knob == "sparsity" and len(there) >= count - 2:
        return tuple(there[:count])
    count = min(count, len(ladder))
    return tuple(ladder[round(i * (len(ladder) - 1) / max(1, count - 1))] for i in range(count))


def harsher(name: str, knob: str) -> list[Value]:
    """All rungs from harmless to harsh, without the one that does nothing."""
    declared = known(name).knob(knob)
    ladder = [value for value in declared.ladder if value != declared.off]
    return ladder[::-1] if declared.bytes_along == "rise" else ladder


def scan(instrument: Instrument, name: str, knob: str, values: tuple[Value, ...], data: Data, tolerance: Tolerance = USUAL,
         strict: bool = False, before: Mapping[str, Any] | None = None, crew: Crew | None = None, **others: Value) -> Iterator[Scan | None]:
    """Every layer at every value of a method's knob; None for work that shows nothing new. The last Scan is done.

    A rewriting with a knob "group" has a row for each group of coupled layers. before: arrays() of an earlier scan of the same
    cells and data, to go on from there. crew: who does the work, where it is not done here. others: knobs that are held.
    """
    rows = steps_of(instrument.network, name, knob, values, **others)
    yield from _measured(instrument, rows, knob, data, tolerance, strict, before, crew)


def restored(network: Network, name: str, knob: str, values: tuple[Value, ...], arrays: Mapping[str, Any], **others: Value) -> Scan:
    """A scan as arrays() kept it, to be looked at at once; scan() goes on from there. Asked for as that scan was."""
    cells = cells_of(network, bank_of(network, steps_of(network, name, knob, values, **others)), knob)
    cells = _kept(cells, arrays)
    original = float(arrays["original"])
    return Scan(tuple(cells), int(arrays["of"]), None if original != original else original, "measuring" if arrays["open"].any() else "done",
                until=tuple(arrays["until"]))


def _kept(cells: list[Cell], arrays: Mapping[str, Any]) -> list[Cell]:
    told = zip(*(arrays[f"cell_{name}"].tolist() for name in TOLD), strict=True)
    return [c._replace(**dict(zip(TOLD, row, strict=True))) for c, row in zip(cells, told, strict=True)]


def steps_of(network: Network, name: str, knob: str, values: tuple[Value, ...], **others: Value) -> dict[str, tuple[Step, ...]]:
    """The steps of a scan, by the layer whose weight they change."""
    if name in rewrites():
        return {g.reader: tuple(step(name, **{knob: v, "group": g.number}, **others) for v in values) for g in groups(network)}
    steps = tuple(step(name, **{knob: value}, **others) for value in values)
    return {layer.name: steps for layer in network.layers}


def limits(instrument: Instrument, name: str, knob: str, data: Data, allowed: float, strict: bool = False,
           crew: Crew | None = None, **others: Value) -> Iterator[Scan | None]:
    """For each layer the harshest rung that loses no more than `allowed` (share of answers), by halving the ladder.

    It takes a harsher rung to lose more. Each cell is measured until it is clear on which side it lies, or to a quarter of a point.
    """
    ladder = harsher(name, knob)
    rows = steps_of(instrument.network, name, knob, tuple(ladder), **others)
    ends = {row: (-1, len(ladder)) for row in rows}  # the harshest known to be safe, the mildest known not to be
    done: tuple[Cell, ...] = ()
    last = None
    while open_ := {row: (a + b) // 2 for row, (a, b) in ends.items() if b - a > 1}:
        last = None
        for found in _measured(instrument, {row: (rows[row][at],) for row, at in open_.items()}, knob, data, Verdict(allowed), strict, None, crew):
            last = found or last
            yield found and Scan((*done, *found.cells), found.of, found.original, "measuring")
        assert last is not None
        done = (*done, *last.cells)
        for row, cell in zip((row for row in rows if row in open_), last.cells, strict=True):
            low, high = ends[row]
            at = open_[row]
            ends[row] = (high, high) if cell.refused else (at, high) if cell.drop <= allowed else (low, at)
    yield Scan(done, len(data), last.original if done and last else None, "done")


def _measured(instrument: Instrument, rows: Mapping[str, tuple[Step, ...]], knob: str, data: Data, tolerance: Tolerance | Verdict, strict: bool,
              before: Mapping[str, Any] | None, crew: Crew | None) -> Iterator[Scan | None]:
    """Cells, prepared, ranked, and measured to a tolerance."""
    yield from instrument.answered(data)
    fast, (first, design) = instrument.fast(data.inputs), instrument.known(data) or (None, None)
    assert first is not None and design is not None
    bank = bank_of(instrument.network, rows)
    work = crew(instrument, rows, data) if crew else here(instrument, bank, data)
    original = None if data.labels is None else float((first.answers == data.labels).double().mean())
    cells = cells_of(instrument.network, bank, knob)
    if before:  # what was known stays on screen while the layers are prepared again
        cells = _kept(cells, before)
    for ready in work.fill():
        if ready is not None:
            i = ready.number
            if ready.refused:
                bank.refused[i] = ready.refused
            if ready.same:
                bank.same.add(i)
                cells[i] = cells[i]._replace(nats=0.0, drop=0.0, half=0.0, settled=True)
            cells[i] = cells[i]._replace(refused=ready.refused, saved_bytes=ready.saved_bytes)
        yield Scan(tuple(cells), len(data), original)
    if not before:
        for ranked in work.rank():
            if ranked is not None:
                cells[ranked[0]] = cells[ranked[0]]._replace(nats=ranked[1])
            yield Scan(tuple(cells), len(data), original, "ranking")
    batch = instrument.pace(data.inputs).batch
    until = (*astuple(tolerance), float(strict))
    going_on = _resumed(before, bank, tolerance, until, design)
    for state in adaptive(fast, bank, data, first, tolerance, strict, batch=batch, state=going_on, asking=work.ask):
        now = tuple(_told(c, i, state) for i, c in enumerate(cells))
        yield Scan(now, len(data), original, "done" if state.done else "measuring", state, until)


def cells_of(network: Network, bank: Bank, knob: str) -> list[Cell]:
    """The cells of a bank, nothing known of them yet."""
    coupled = any(c.steps[0].method in rewrites() for c in bank.cells[:1])
    names = {g.reader: g.name for g in groups(network)} if coupled else {}
    return [Cell(names.get(c.layer, c.layer), c.steps[-1][knob], c.steps[-1]) for c in bank.cells]


def _told(cell: Cell, i: int, state: State) -> Cell:
    if not state.n[i]:  # refused, without effect, or not asked yet
        return cell
    return cell._replace(drop=float(state.drop[i]), half=float(state.half[i]), n=int(state.n[i]), settled=not state.open[i])


def _resumed(arrays: Mapping[str, Any] | None, bank: Bank, tolerance: Tolerance | Verdict, until: tuple[float, ...],
             design: Design) -> State | None:
    """The state to go on from: asked for the same as then, just that; else open are the cells that are wider than asked for now."""
    if not arrays:
        return None
    counts, looks = Counts(*(arrays[f"counted_{name}"] for name in Counts._fields)), int(arrays["looks"])
    opened, wanted = arrays["open"], arrays["wanted"]
    if tuple(arrays["until"]) != until:
        asked = np.isin(np.arange(len(bank.cells)), [i for places in bank.measured.values() for i in places])
        now = judge(counts, design, level(max(1, looks), strict=bool(until[-1])))  # it may have been judged less strictly then
        half = np.where((counts.n > 0).all(1), now.half, 1.0)
        opened = asked & ~tolerance.allows(now.drop, half) & (counts.n < design.sizes).any(1)
        wanted = np.where((opened & ~arrays["open"])[:, None], 0, wanted)
    return State(arrays["drop"], arrays["half"], arrays["n"], opened, looks, counts, wanted, int(arrays["of"]))


def last_safe(cells: tuple[Cell, ...], tolerance: float) -> dict[str, Value]:
    """For each layer the harshest value up to which no measured cell loses more than tolerance (a share of the answers).

    Values are compared by the bytes they save; a layer whose mildest cell already loses more is left out.
    """
    safe: dict[str, Value] = {}
    for layer in dict.fromkeys(c.layer for c in cells):
        for cell in sorted((c for c in cells if c.layer == layer and c.measured), key=lambda c: c.saved_bytes):
            if cell.drop > tolerance:
                break
            safe[layer] = cell.value
    return safe
