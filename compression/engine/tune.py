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

    A run of a piece stays within `seconds` on this machine as it is now, or twice the time of one example where that is more.
    """
    each = record_bytes(engine, inputs[:2])
    spent: dict[int, float] = {}
    best, least = SIZES[0], float("inf")
    for size in SIZES:
        if size > len(inputs) or size * each > bytes_kept:
            break
        spent[size] = _time(engine, inputs[:size])
        if spent[size] / size < least * 0.97:
            best, least = size, spent[size] / size
        if spent[size] > seconds and (spent[size] / size > 1.2 * least or spent[size] > 0.5):
            break
    most = seconds if spent.get(SIZES[0], 0.0) <= seconds else max(seconds, 2 * _time(engine, inputs[:1]))
    return Pace(best, max((size for size, time_ in spent.items() if time_ <= most), default=max(1, min(len(inputs), int(most / least)))))


def _time(engine: Engine, inputs: Tensor) -> float:
    """CPU seconds of one run, the middle of three."""
    times = []
    for _ in range(3):
        start = time.thread_time()
        engine.scores(inputs)
        times.append(time.thread_time() - start)
    return sorted(times)[1]
