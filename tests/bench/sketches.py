"""Dials from sketches against looking at every weight: CPU milliseconds, medians, both in one process by turns.

    OMP_NUM_THREADS=1 python tests/bench/sketches.py [--quick]

The last line is one line of JSON. The exact optimum of a million weights takes some minutes. --quick leaves out 25 million weights
and the exact codebooks of a million.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans

sys.path.insert(0, str(Path(__file__).parents[2]))

from compression import instant
from compression.method import Layer
from compression.quantization import uniform
from compression.sketches import codebooks
from compression.sketches.histogram import histogram
from compression.sketches.moments import moments
from compression.sketches.ordered import ordered
from compression.sketches.pruned import pruned
from compression.sketches.spectrum import errors_by_rank

SIZES = (10_000, 1_000_000, 25_000_000)
CODEBOOKS = (10_000, 100_000, 1_000_000)


def cpu(work):
    start = time.process_time()
    result = work()
    return (time.process_time() - start) * 1e3, result


def by_turns(repeats, **ways):
    """Way -> median CPU milliseconds, each way once in every round."""
    spent = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            spent[name].append(cpu(work)[0])
    return {name: statistics.median(times) for name, times in spent.items()}


def many(work, times=20):
    """The same work several times over, for what is too short for the clock."""
    return lambda: [work() for _ in range(times)]


def weights(n):
    return (np.random.default_rng(0).standard_t(6, n) * 0.03).astype(np.float32)


def dials(n):
    """Milliseconds to prepare and to answer, the naive way's, and the largest error of the answers."""
    w = weights(n)
    x = torch.from_numpy(w)
    rungs = np.arange(100) / 100
    prepare = [cpu(lambda: ordered(w)) for _ in range(3 if n < 10**7 else 1)]
    source = prepare[-1][1]
    binning, sketch = cpu(lambda: moments(source))
    grouped, channels = cpu(lambda: instant.by_group(x.reshape(100, -1), "channel"))
    rounds, k = (5 if n < 10**7 else 3), round(0.7 * n)
    rows = {}

    def row(name, ours, naive, naive_rounds=rounds):
        times = {way: by_turns(5, it=many(work))["it"] / 20 for way, work in ours.items()}
        rows[name] = times | {"naive": by_turns(naive_rounds, it=naive)["it"] if naive else None}

    row("threshold, sparsity and lost energy",
        {"sorted": lambda: pruned(source, 0.7), "sketch": lambda: pruned(sketch, 0.7)},
        lambda: (x.abs().kthvalue(k), x.square()[x.abs() <= 0.05].sum()))
    row("threshold by np.partition", {"sorted": lambda: pruned(source, 0.7)}, lambda: np.partition(np.abs(w), k)[k])
    row("curve over 100 sparsities", {"sorted": lambda: pruned(source, rungs), "sketch": lambda: pruned(sketch, rungs)}, None)

    def naive(bits):
        step = float(np.abs(w).max()) / (2 ** (bits - 1) - 1)
        codes = (x * (1 / step)).round_()
        return (codes * step - x).square_().mean(), torch.bincount((codes + 2 ** (bits - 1)).to(torch.int32), minlength=2**bits)

    for bits in (4, 8):
        row(f"quantization error and code counts, {bits} bit",
            {"sorted": lambda b=bits: instant.quantize(source, b), "sketch": lambda b=bits: instant.quantize(sketch, b),
             "per channel": lambda b=bits: instant.quantize_by_group(channels, b)}, lambda b=bits: naive(b))
    row("asymmetric, clipped to 0.8", {"sorted": lambda: instant.quantize(source, 8, False, 0.8),
                                       "sketch": lambda: instant.quantize(sketch, 8, False, 0.8)}, None)
    row("pruned to 0.7, then 8 bit", {"sorted": lambda: instant.quantize(source, 8, sparsity=0.7),
                                      "sketch": lambda: instant.quantize(sketch, 8, sparsity=0.7)}, None)
    counts = instant.quantize(source, 8).counts
    row("entropy and Huffman bytes from counts, 8 bit", {"sorted": lambda: instant.code_bytes(counts, 8)}, None)

    errors = {"sorted": 0.0, "sketch": 0.0, "per channel": 0.0, "sketch lost energy": 0.0}
    total = float(np.square(w, dtype=np.float64).sum())
    for bits in (2, 4, 8):
        layer = Layer("w", x)
        back = uniform.answer(uniform.prepare(x, layer), bits, True, "tensor").decode()
        true = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(back.split(1 << 20), x.split(1 << 20)))
        for way, it in (("sorted", source), ("sketch", sketch)):
            errors[way] = max(errors[way], abs(instant.quantize(it, bits).squared_error / true - 1))
        y = x.reshape(100, -1)
        back = uniform.answer(uniform.prepare(y, layer), bits, True, "channel").decode()
        true = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(back, y))
        errors["per channel"] = max(errors["per channel"], abs(instant.quantize_by_group(channels, bits).squared_error / true - 1))
    exact, near = pruned(source, rungs), pruned(sketch, rungs)
    errors["sketch lost energy"] = float(np.abs(exact.lost - near.lost).max() / total)
    print(f"\n{n:,} weights: sorted {statistics.median(p[0] for p in prepare):.1f} ms, {source.nbytes / 2**20:.1f} MB; from it the sketch "
          f"{binning:.1f} ms, {sketch.nbytes / 2**20:.1f} MB; 100 channels {grouped:.1f} ms")
    print("errors: " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    for name, times in rows.items():
        print(f"  {name:46s} " + "  ".join(f"{way} {t:9.3f}" for way, t in times.items() if t is not None))
    slowest = max(t for times in rows.values() for way, t in times.items() if way != "naive")
    ratios = {name: t["naive"] / min(v for way, v in t.items() if way in ("sorted", "sketch")) for name, t in rows.items() if t["naive"]}
    return {"prepare_ms": round(statistics.median(p[0] for p in prepare), 2), "sketch_ms": round(binning, 2), "slowest_answer_ms": round(slowest, 3),
            "times_naive": {k: round(v, 1) for k, v in ratios.items()}, "errors": {k: float(f"{v:.1e}") for k, v in errors.items()}}


def exact_errors(values, longest, wanted):
    """The least squared error of k runs of sorted values, for k in wanted: divide and conquer over ends (exact, O(k n log n))."""
    n = len(values)
    shifted = values.astype(np.float64) - values.mean(dtype=np.float64)
    first, second = (np.concatenate([[0], np.cumsum(shifted**p)]) for p in (1, 2))

    def cost(i, j):  # of one run from i up to j
        s = first[j] - first[i]
        return second[j] - second[i] - s * s / np.maximum(j - i, 1)

    ends = np.arange(n + 1)
    best, found = cost(np.zeros(n + 1, np.int64), ends), {}
    for k in range(1, longest + 1):
        if k > 1:
            fresh, opt = np.full(n + 1, np.inf), np.zeros(n + 1, np.int64)
            fresh[0], done = 0.0, np.array([0, n + 1])  # ends whose best start is known, with sentinels
            opt_at = np.array([0, n])
            while True:
                middle = (done[:-1] + done[1:]) // 2
                open_ = middle > done[:-1]
                if not open_.any():
                    break
                j, low, high = middle[open_], opt_at[:-1][open_], np.minimum(opt_at[1:][open_], middle[open_] - 1)
                high = np.maximum(high, low)
                length = high - low + 1
                start = np.cumsum(length) - length
                each = np.repeat(np.arange(len(j)), length)
                i = np.arange(length.sum()) - start[each] + low[each]
                value = best[i] + cost(i, j[each])
                least = np.minimum.reduceat(value, start)
                hit = np.flatnonzero(value == least[each])
                where = i[hit[np.unique(each[hit], return_index=True)[1]]]
                fresh[j], opt[j] = least, where
                done, order = np.unique(np.concatenate([done, j]), return_index=True)
                opt_at = np.concatenate([opt_at, where])[order]
            best = fresh
        if k in wanted:
            found[k] = float(best[-1])
    return found


def shared(n, reference):
    """All codebooks up to 64 entries against one run of scikit-learn's KMeans with 16, and against the exact optimum."""
    w = weights(n)
    column = w.reshape(-1, 1)
    ours, theirs, kmeans = [], [], None
    for seed in range(3):
        ours.append(cpu(lambda: codebooks.codebooks(histogram(w), range(1, 65), steps=20))[0])
        theirs.append(cpu(lambda s=seed: KMeans(16, n_init=1, random_state=s).fit(column)))
    found = codebooks.codebooks(histogram(w), range(1, 65), steps=20)
    sorting, source = cpu(lambda: ordered(w))
    full_ms, full = cpu(lambda: codebooks.codebooks(source, range(1, 65)))
    kmeans = min(t[1].inertia_ for t in theirs)
    ratio = statistics.median(t[0] for t in theirs) / statistics.median(ours)
    ks = [k for k in (2, 4, 8, 16, 32, 48, 64) if k <= reference]
    best = exact_errors(np.sort(w), reference, ks)
    true = {k: codebooks.error(source, found[k][0]) for k in (*ks, 16)}
    above = {k: true[k] / best[k] for k in ks}
    above_full = {k: full[k][1] / best[k] for k in ks}
    print(f"\n{n:,} weights: all 64 codebooks {statistics.median(ours):.1f} ms (from sorted weights {sorting:.1f} + {full_ms:.1f}); "
          f"scikit-learn, k = 16, {statistics.median(t[0] for t in theirs):.0f} ms, {ratio:.0f} times as long; "
          f"its squared error {kmeans / best[16]:.4f} of the optimum")
    print("  ours, of the optimum: " + ", ".join(f"k={k} {v:.5f} ({above_full[k]:.5f})" for k, v in above.items()))
    return {"all_ms": round(statistics.median(ours), 1), "sklearn_16_ms": round(statistics.median(t[0] for t in theirs), 1), "times": round(ratio, 1),
            "worst_of_optimum": round(max(above.values()), 6), "sklearn_of_optimum": round(kmeans / best[16], 6),
            "never_above_sklearn": bool(true[16] <= kmeans), "optimum_known_to": reference}


def ranks():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((512, 4608)).astype(np.float32)
    conv = torch.from_numpy(rng.standard_normal((128, 128, 3, 3)).astype(np.float32))
    gram, errors = cpu(lambda: errors_by_rank(matrix))
    direct, singular = cpu(lambda: np.linalg.svd(matrix.astype(np.float64), compute_uv=False))
    true = np.sqrt(np.cumsum(singular[::-1] ** 2)[::-1] / (singular**2).sum())
    tucker, pairs = cpu(lambda: instant.tucker_errors(conv))
    difference = float(f"{np.abs(errors[:-1] - true).max():.1e}")
    print(f"\nspectrum of 512 x 4,608: {gram:.0f} ms, by SVD {direct:.0f} ms, largest difference {difference:.1e}; "
          f"Tucker-2 of 128 x 128 x 3 x 3: all {pairs.size:,} pairs {tucker:.0f} ms")
    return {"gram_ms": round(gram, 1), "svd_ms": round(direct, 1), "difference": difference, "tucker_ms": round(tucker, 1)}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--quick", action="store_true")
    smaller = slice(2 if ask.parse_args().quick else 3)
    torch.set_num_threads(1)
    np.linalg.eigvalsh(np.eye(300))  # loads the library
    result = {"dials": {str(n): dials(n) for n in SIZES[smaller]}, "codebooks": {}, "ranks": ranks()}
    for n in CODEBOOKS[smaller]:
        result["codebooks"][str(n)] = shared(n, 64)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
