"""Tables of a layer as the browser takes them: what can be read, and one run of bytes for all numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from app import words
from app.dials import DIALS
from app.lens.ladder import Array, Cut, Ladder, Removed, Rounded, Spread, joined, shown_bins
from app.lens.tables import Tables
from compression.method import Value

NAMES = {"float64": "f8", "float32": "f4", "uint32": "u4", "int16": "i2"}  # as lens.js knows them
UNKNOWN = float("nan")


def pack(tables: Tables) -> tuple[dict[str, Any], Array]:
    """What can be read, as plain JSON; and the arrays, (bytes,) uint8, that its "parts" lists: path, kind of number, count.

    Each array begins at a multiple of eight bytes. A number that is not known yet is not a number (NaN).
    """
    read: dict[str, Any] = {
        "layer": tables.name, "shape": " × ".join(map(str, tables.shape)), "weights": _spread(tables.weights),
        "leaf": _spread(tables.leaf) if tables.leaf else None, "bins": shown_bins(tables.weights.count),
        "corner": list(tables.corner.shape), "spectra": [{"what": s.what, "full": s.full} for s in tables.spectra],
        "breakEven": _break_even(tables),
        "ladders": {each.dial: _readable(each) for each in tables.ladders},
    }
    parts, chunks, place = [], [], 0
    for path, array in _arrays(tables):
        raw = np.ascontiguousarray(array).tobytes()
        parts.append([path, NAMES[str(array.dtype)], array.size, place])
        chunks.append(raw + bytes(-len(raw) % 8))
        place += len(chunks[-1])
    return read | {"parts": parts}, np.frombuffer(b"".join(chunks), np.uint8)


def label(which: str, value: Value) -> str:
    """A rung as people read it: 64 %, 4."""
    return str(value) if which == "bits" else words.share(float(value), 0)


def _spread(some: Spread) -> dict[str, Any]:
    return {"what": some.what, "count": some.count, "zeros": some.zeros, "most": some.most, "far": some.far}


def _break_even(tables: Tables) -> float | None:
    """The rank mn / (m + n) above which two factors hold more numbers than the matrix."""
    if len(tables.spectra) != 1:
        return None
    m, n = tables.shape[0], int(np.prod(tables.shape[1:]))
    return m * n / (m + n)


def _readable(each: Ladder) -> dict[str, Any]:
    return {"title": each.title, "values": list(each.values), "texts": [label(each.dial, v) for v in each.values], "now": each.now,
            "off": each.off, "refused": each.refused,
            "moved": any(isinstance(r.picture, Removed) and r.picture.moved for r in each.rungs),
            "of": [r.picture.of if isinstance(r.picture, Rounded) else "" for r in each.rungs]}


def _arrays(tables: Tables) -> Iterator[tuple[str, Array]]:
    yield "weights.counts", tables.weights.counts.astype(np.uint32)
    if tables.leaf:
        yield "leaf.counts", joined(tables.leaf.counts, shown_bins(tables.leaf.count)).astype(np.uint32)
    yield "cells", tables.corner.astype(np.float32)
    for i, spectrum in enumerate(tables.spectra):
        yield f"spectra.{i}.values", spectrum.values.astype(np.float32)
        yield f"spectra.{i}.energy", spectrum.energy.astype(np.float32)
    for which in DIALS:
        each = tables.ladder(which)
        yield f"ladders.{which}.nbytes", _numbers([r.nbytes for r in each.rungs])
        yield f"ladders.{which}.sqnr", _numbers([r.sqnr for r in each.rungs])
        blank = np.full(tables.corner.shape, UNKNOWN, np.float32)
        yield f"ladders.{which}.cells", np.concatenate([blank if r.corner is None else r.corner for r in each.rungs] or [blank]).astype(np.float32)
        yield from ((f"ladders.{which}.{name}", array) for name, array in _PICTURES[which]([r.picture for r in each.rungs], tables))


def _numbers(found: list[float | None]) -> Array:
    return np.array([UNKNOWN if x is None else x for x in found], np.float64)


def _removed(pictures: list[Removed | None], tables: Tables) -> Iterator[tuple[str, Array]]:
    yield "zeros", _numbers([None if p is None else p.zeros for p in pictures])
    yield "threshold", _numbers([None if p is None else p.threshold for p in pictures])
    kept = [p.kept for p in pictures if p is not None and p.kept is not None]
    have = np.array([p is not None and p.kept is not None for p in pictures])
    yield "row", np.where(have, have.cumsum() - 1, -1).astype(np.int16)
    yield "kept", np.concatenate(kept or [np.empty(0)]).astype(np.uint32)


def _rounded(pictures: list[Rounded | None], tables: Tables) -> Iterator[tuple[str, Array]]:
    known = [p.levels if p is not None else np.empty(0, np.float32) for p in pictures]
    yield "ends", np.cumsum([len(x) for x in known] or [0]).astype(np.uint32)
    yield "levels", np.concatenate(known or [np.empty(0)]).astype(np.float32)
    yield "counts", np.concatenate([p.counts for p in pictures if p is not None] or [np.empty(0)]).astype(np.uint32)
    yield "beyond", _numbers([None if p is None else p.beyond for p in pictures])


def _cut(pictures: list[Cut | None], tables: Tables) -> Iterator[tuple[str, Array]]:
    count = len(tables.spectra)
    cuts = [p.ranks if p is not None and len(p.ranks) == count else (UNKNOWN,) * count for p in pictures]
    yield "ranks", np.array(cuts, np.float64).ravel()
    yield "energy", _numbers([None if p is None else p.energy for p in pictures])


_PICTURES = {"sparsity": _removed, "bits": _rounded, "rank": _cut}
