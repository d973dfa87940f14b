"""What the machine gives right now, and what a piece of work takes of it: operations a second, processor time, memory.

    OMP_NUM_THREADS=1 python tests/bench/peak.py
"""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

MB = 1_000_000


def peak(size: int = 768, times: int = 9, dtype: torch.dtype = torch.float32) -> float:
    """Operations a second, the median of several products of square matrices, by the processor's own clock for this process."""
    a, b = torch.randn(2, size, size).to(dtype)
    found = []
    for _ in range(times):
        start = time.process_time()
        a @ b
        found.append(2 * size**3 / (time.process_time() - start))
    return sorted(found)[times // 2]


class Cost(NamedTuple):
    """What a piece of work took."""

    cpu: float  # seconds of this process, all threads
    height: float  # MB at its highest, above what the process held when it began
    kept: float  # MB that the process holds more than before, its result included


def cost(work: Callable[[], Any]) -> tuple[Cost, Any]:
    """Do it, and say what it took. Memory is what lies in real memory, as Linux counts it.

    What the process let go of is given back first, or the work would use it again unseen, and the high-water mark is set back.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _held("VmRSS"), time.process_time()
    result = work()
    spent = time.process_time() - start
    return Cost(spent, _held("VmHWM") - before, _held("VmRSS") - before), result


def free() -> float:
    """MB that could be had without swapping."""
    return _line("/proc/meminfo", "MemAvailable")


def _held(what: str) -> float:
    return _line("/proc/self/status", what)


def _line(file: str, name: str) -> float:
    text = next(line for line in Path(file).read_text().splitlines() if line.startswith(f"{name}:"))
    return int(text.split()[1]) * 1024 / MB


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{peak() / 1e9:.0f} GF/s, {free():,.0f} MB free")
