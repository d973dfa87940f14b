"""Snapshots: recipes that were kept, with what was measured of them. Pure; a shelf of them can be saved as a file and read back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from compression.evaluate import Quality
from compression.recipe import Recipe, from_json, to_json

MOST = 9  # one for each of the keys 1 to 9
VERSION = 1


class Judged(NamedTuple):
    """What was measured of a recipe when the snapshot was taken, or since."""

    measure: str  # "accuracy" or, without labels, "agreement"
    value: float
    low: float
    high: float
    split: str
    n: int
    of: int
    changed: int
    predictions: int
    estimated: bool


@dataclass(frozen=True)
class Snapshot:
    """A recipe on a network, with its results."""

    network: str  # name by which it can be opened
    title: str
    digest: str  # of its weights: results belong to these and no others
    recipe: Recipe
    file_bytes: int
    original_bytes: int
    shares: tuple[float, ...]  # of each layer's bytes what is left, in network order
    judged: Judged | None = None

    def better_known(self, quality: Quality | None) -> "Snapshot":
        """The same with a newer judgement, where there is one that is based on more examples or on data that was picked since."""
        if quality is None:
            return self
        new = judged(quality)
        old = self.judged
        return self if old is not None and old.split == new.split and old.n >= new.n else replace(self, judged=new)


def judged(quality: Quality) -> Judged:
    """A judgement in short."""
    best = quality.accuracy or quality.agreement
    return Judged("accuracy" if quality.accuracy else "agreement", *best, quality.split, quality.n, quality.of, quality.changed, quality.predictions,
                  quality.estimated or not quality.complete)


def place(shelf: Mapping[int, Snapshot]) -> int | None:
    """The first free key; None where all are taken.

    >>> place({})
    1
    """
    return next((number for number in range(1, MOST + 1) if number not in shelf), None)


def to_file(shelf: Mapping[int, Snapshot]) -> str:
    """The shelf as JSON that from_file reads back."""
    rows = {number: asdict(s) | {"recipe": json.loads(to_json(s.recipe)), "judged": s.judged and s.judged._asdict()} for number, s in shelf.items()}
    return json.dumps({"shrinkscope snapshots": VERSION, "snapshots": rows}, indent=1)


def from_file(text: str) -> dict[int, Snapshot]:
    """Raises ValueError saying what was found and what was expected."""
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise ValueError(f"This file is not JSON ({error}); expected snapshots saved by Shrinkscope.") from None
    if not isinstance(plain, dict) or plain.get("shrinkscope snapshots") != VERSION:
        raise ValueError(f'This JSON holds no snapshots of version {VERSION}: it needs "shrinkscope snapshots": {VERSION} at the top.')
    try:
        return {_number(key): _snapshot(row) for key, row in plain["snapshots"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"These snapshots are incomplete or have a part of the wrong kind: {error}.") from None


def _number(key: str) -> int:
    if key not in map(str, range(1, MOST + 1)):
        raise ValueError(f"snapshot “{key[:20]}”; they are numbered 1 to {MOST}")
    return int(key)


def _snapshot(row: Mapping[str, Any]) -> Snapshot:
    sizes = [int(row[name]) for name in ("file_bytes", "original_bytes")]
    if min(sizes) <= 0:
        raise ValueError("a file size of nothing")
    told = row["judged"]
    return Snapshot(str(row["network"]), str(row["title"]), str(row["digest"]), from_json(json.dumps(row["recipe"])), *sizes,
                    tuple(min(1.5, max(0.0, float(x))) for x in row["shares"]), None if told is None else _judged(told))


def _judged(told: Mapping[str, Any]) -> Judged:
    kinds = Judged.__annotations__
    return Judged(**{name: kinds[name](told[name]) for name in Judged._fields})
