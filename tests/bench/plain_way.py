"""What the engine is measured against: the whole network asked for each cell, with its best batch, and how both are timed."""

import sys
import threading
import time
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2])]

from compression.engine.plain import installed  # noqa: E402


def cpu(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def plain_scan(module, weights, x, batch):
    """(cells, n, ...) answers, the whole network asked for each."""
    found = []
    with torch.inference_mode():
        for w in weights:
            with installed(module, w):
                found.append(torch.cat([module(part).argmax(-1) for part in x.split(batch)]))
    return torch.stack(found)


def best_batch(module, x):
    speed = {}
    with torch.inference_mode():
        for _ in range(3):
            for b in (16, 32, 64, 128, 256) if x.ndim > 2 else (8, 16, 32):
                t, _ = cpu(module, x[:b])
                speed.setdefault(b, []).append(t / min(b, len(x)))
    return min(speed, key=lambda b: sorted(speed[b])[1])


def two_threads(work, items):
    """Wall seconds of work(item) with each item in a thread of its own."""
    threads = [threading.Thread(target=work, args=item) for item in items]
    start = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.perf_counter() - start
