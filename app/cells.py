"""The cells of a scan as what charts and captions need: tables of numbers and words. Pure."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app import words
from app.jobs import eta
from compression.joint import together
from compression.method import Value
from compression.sensitivity import ALL, Cell, Scan


class Tables(NamedTuple):
    """One row a layer, one column a setting; nan or empty where nothing is known."""

    ranked: bool  # only a ranking so far
    nats: np.ndarray
    lost: np.ndarray  # points
    half: np.ndarray  # points
    notes: list[list[str]]

    @property
    def shown(self) -> np.ndarray:
        return self.nats if self.ranked else self.lost


def tables(found: Scan, layers: Sequence[str], values: Sequence[Value]) -> Tables:
    """All cells, in the order of the layers and settings."""
    at = {(c.layer, c.value): c for c in found.cells}
    rows = [[at.get((layer, value)) for value in values] for layer in layers]
    ranked = not any(c.measured for c in found.cells)

    def numbers(pick: str, times: float) -> np.ndarray:
        return np.array([[times * getattr(c, pick) if c else np.nan for c in row] for row in rows])

    return Tables(ranked, numbers("nats", 1), numbers("drop", 100), numbers("half", 100), [[note(c, ranked) for c in row] for row in rows])


def note(cell: Cell | None, ranked: bool) -> str:
    """What a cell of a heat map says: its drop in points, or its place in a ranking; a dash where the method does not apply."""
    if cell is None:
        return ""
    if cell.refused:
        return "–"
    number = cell.nats if ranked else 100 * cell.drop
    return "" if number != number else words.tenths(number) if not ranked else "<.01" if number < 0.01 else f"{number:.2g}"


def said(cell: Cell) -> str:
    """A cell's drop with its interval, and what it saves."""
    return f"{words.tenths(100 * cell.drop)} ± {100 * cell.half:.1f} points, saves {words.size(cell.saved_bytes)}"


def counted(found: Scan, split: str) -> str:
    """How many examples the cells were judged on."""
    return words.asked([c.n for c in found.cells if c.n], found.of, split)


def seen(found: Scan, label: str, safe: Mapping[str, Value], allowed: float) -> str:
    """What a heat map shows, in a sentence with its numbers: which row can take least, and which loses nothing it should not."""
    measured = [c for c in found.cells if c.measured]
    if not measured:
        return f"{len(found.cells)} cells, none measured yet: darker ones moved the answers more."
    worst = max(measured, key=lambda c: c.drop)
    rows = len({c.layer for c in found.cells})
    return (f"{worst.layer} loses most: {words.tenths(100 * worst.drop)} ± {100 * worst.half:.1f} points in its worst cell. {len(safe)} of {rows} "
            f"rows have a setting along {label.lower()} that loses at most {words.allowed(allowed)}.")


def progress(found: Scan | None, seconds: float) -> tuple[float, str]:
    """How far a scan has come, as a share and in words."""
    if found is None:
        return 0.0, "Asking the original"
    share = found.settled / max(1, len(found.cells))
    counts = f"{found.settled} of {len(found.cells)} cells settled"
    if found.until[:2] == (ALL.flat, ALL.share):  # no cell is settled before the last examples
        share = sum(1.0 if c.settled else c.n / found.of for c in found.cells) / max(1, len(found.cells))
        counts += f", {words.share(share, 0)} of all examples asked"
    doing = {"preparing": "Preparing the layers", "ranking": "A first ranking"}.get(found.stage, counts)
    left = words.remaining(eta(share, 1, seconds))
    return share, f"{doing} · {left}" if left else doing


def jointly(found: Scan, safe: Mapping[str, Value], network: str) -> str:
    """What all the outlined settings would do together, as an estimate that says how good it is."""
    at = {(c.layer, c.value): c for c in found.cells}
    chosen = [at[layer, value] for layer, value in safe.items()]
    if not chosen or found.stage != "done":
        return ""
    guess = together(chosen, found.cells)
    error = _errors().get(network)
    known = (f" On {error['recipes']} recipes measured for this network such an estimate was {error['error_points']:.1f} points off in the "
             f"middle and {error['worst_points']:.1f} at worst." if error else "")
    return (f"All outlined together would save about {words.size(sum(c.saved_bytes for c in chosen))} and lose "
            f"{'at least ' if guess.beyond else ''}an estimated ~{100 * guess.drop:.1f} points: the divergences added up, not measured.{known}")


@cache
def _errors() -> dict[str, dict[str, float]]:
    """How good the estimate was, by network, as tests/bench/joint.py found it."""
    file = Path(__file__).parents[1] / "assets" / "joint.json"
    return json.loads(file.read_text()) if file.exists() else {}
