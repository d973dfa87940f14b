"""How many examples to run at a time: found once per network by a short timing, kept by the caller."""

import time
from typing import NamedTuple

from torch import Tensor

from compression.engine.choose import Engine

SIZES = (8, 16, 32, 64, 128, 256, 512)


class Pace(NamedTuple):
    """Examples at a time."""

    batch: int  # for scans: where an example costs least, its record within the memory allowed
    piece: int  # for live accuracy: one run takes no longer than a person would notice


def record_bytes(engine: Engine, x: Tensor) -> float:
    """What an engine keeps of one example while its variants run."""
    record = engine.dense(x)[1]
    found: dict[int, int] = {}

    def look(value: object) -> None:
        if isinstance(value, Tensor):
            found[value.data_ptr()] = value.nbytes
        elif isinstance(value, list | tuple):
            for v in value:
                look(v)

    look(record)
    return sum(found.values()) / len(x)


def pace(engine: Engine, inputs: Tensor, bytes_kept: int = 200_000_000, seconds: float = 0.03) -> Pace:
    """Time the network on growing batches, until they cost more, keep too much, or run out.

    A run of a piece stays within `seconds` on this machine as it is now.
    """
    each = record_bytes(engine, inputs[:2])
    best, piece, least = SIZES[0], 1, float("inf")
    for size in SIZES:
        if size > len(inputs) or size * each > bytes_kept:
            break
        times = []
        for _ in range(3):
            start = time.thread_time()
            engine.scores(inputs[:size])
            times.append(time.thread_time() - start)
        spent = sorted(times)[1]
        if spent <= seconds:
            piece = size
        if spent / size < least * 0.97:
            best, least = size, spent / size
        if spent > seconds and (spent / size > 1.2 * least or spent > 0.5):
            break
    if best <= 8 and piece == 1:
        piece = max(1, int(seconds / max(least, 1e-9)))
    return Pace(best, min(piece, len(inputs)))

