"""The processor's speed right now: a large matrix multiplication, in operations a second on one thread."""

import time

import torch


def peak(size: int = 768, times: int = 9) -> float:
    """Operations a second, the median of several products of square matrices, by the processor's own clock for this process."""
    a, b = torch.randn(2, size, size)
    found = []
    for _ in range(times):
        start = time.process_time()
        a @ b
        found.append(2 * size**3 / (time.process_time() - start))
    return sorted(found)[times // 2]


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{peak() / 1e9:.0f} GF/s")
