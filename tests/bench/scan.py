"""How much sooner the engine scans a network than asking it again for every layer and level, and whether the answers agree.

    OMP_NUM_THREADS=1 python tests/bench/scan.py lenet-5 resnet-20 vit char-gpt

Plain and quick alternate in this process on the same images (ABBA), one thread, processor time. Plain is tuned in its favour:
no loader, inference mode, its best batch (the engine has its own); it is timed on all cells and a slice of the examples, and scaled. Everything is
charged to the engine: tracing, trying out, folding, compressing, the pass over the originals, the pilots and timings of the screen
(once, as in a full run). --truth keeps the full grid's answers, from which coverage is simulated over many orders. --threads 2 adds
the wall time of two threads, each with half of the images. --page times what the Sensitivity page does instead: magnitude pruning at its
settings on the validation split, nothing known before, until each cell is known to ± 1 point or a tenth of its drop, against asking the
whole network about all of these examples for each cell; for all networks that ship where none are named. The last line is JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.utils.flop_counter import FlopCounterMode

sys.path[:0] = [str(Path(__file__).parents[2])]
from peak import peak  # noqa: E402
from plain_way import best_batch, cpu, plain_scan, two_threads  # noqa: E402

from compression.crew import first_ranking  # noqa: E402
from compression.engine import sampling, scan  # noqa: E402
from compression.engine.answers import Answers  # noqa: E402
from compression.engine.choose import choose  # noqa: E402
from compression.engine.grid import Bank, full, table  # noqa: E402
from compression.engine.plain import Pairs, skeleton  # noqa: E402
from compression.engine.sampling import Counts, Tolerance  # noqa: E402
from compression.engine.tune import pace  # noqa: E402
from compression.recipe import step  # noqa: E402
from compression.zoo import shipped  # noqa: E402

LEVELS = [step("pruning.magnitude", sparsity=s) for s in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)]
LEVELS += [step("quantization.uniform", bits=b, symmetric=True, per="tensor") for b in (8, 6, 5, 4, 3, 2)]
TOLERANCES = {"tolerant": Tolerance(0.01, 0.1), "half_point": Tolerance(0.005, 0.1), "half_point_flat": Tolerance(0.005, 0.0)}
TARGETS = {"exact": {"lenet-5": 3, "resnet-20": 3, "vit": 2, "char-gpt": 2}, "tolerant": {"lenet-5": 20, "resnet-20": 30, "vit": 15},
           "half_point": dict.fromkeys(("lenet-5", "resnet-20", "vit"), 12), "half_point_flat": dict.fromkeys(("lenet-5", "resnet-20", "vit"), 6),
           "first_picture": dict.fromkeys(("lenet-5", "resnet-20", "vit", "char-gpt"), 100)}
TEXTS = 120  # windows that tell the true drops of a text model
LAST = ("exact", "tolerant", "half_point", "coverage", "disagreements", "share_of_peak", "bound", "bound_bfloat16", "half_point_flat",
        "first_picture", "spearman", "exact_two_threads_wall")


def needed(net, engine, x):
    """Operations of one example: of the network, and of the mean layer's suffix. Attention and LSTM are scaled in."""
    meta = skeleton(net.module).to("meta")
    with FlopCounterMode(display=False) as true:
        meta(x[:1].to("meta"))

    linears = {torch.ops.mkldnn._linear_pointwise: lambda x, weight, *_, **__: 2 * int(np.prod(x)) * weight[0]}

    def count(function, *arguments):
        with FlopCounterMode(display=False, custom_mapping=linears) as counter:
            function(*arguments)
        return counter.get_total_flops() / 2

    seen = count(engine.scores, x[:2])
    _, record = engine.dense(x[:2])
    parts = [count(engine.changed, record, Pairs([dict.fromkeys(layer.names, layer.weight)])) for layer in net.layers]
    whole = true.get_total_flops()
    return whole, whole * float(np.mean(parts)) / seen


def simulate(differences, margins, tolerance, seed, unit):
    """The adaptive scan on a full table (cells, n): same functions, no network. Estimates, half-widths, examples."""
    design = sampling.design(margins, seed=seed, unit=unit)
    sums = [np.concatenate([np.zeros((len(differences), 1)), np.cumsum(differences[:, o], 1)], 1) for o in design.order]
    squares = [np.concatenate([np.zeros((len(differences), 1)), np.cumsum(differences[:, o] ** 2, 1)], 1) for o in design.order]
    n = np.tile(sampling.start(design, 96), (len(differences), 1))
    drop, half, opened, look = np.zeros(len(n)), np.zeros(len(n)), np.ones(len(n), bool), 0
    while opened.any():
        look += 1
        at = [np.stack([np.take_along_axis(c, n[:, h : h + 1], 1)[:, 0] for h, c in enumerate(t)], 1) for t in (sums, squares)]
        counts = Counts(n, *at)
        judged = sampling.judge(counts, design, sampling.level(look))
        drop, half = np.where(opened, judged.drop, drop), np.where(opened, judged.half, half)
        opened &= ~tolerance.allows(judged.drop, judged.half) & (n < design.sizes).any(1)
        n = sampling.more(counts, judged, design, opened)
    return drop, half, n.sum(1)


def within(drop, truth, tolerance):
    return float((np.abs(drop - truth) <= np.maximum(tolerance.flat, tolerance.share * np.abs(truth)) + 1e-12).mean())


def truth_of(name, fast, bank, data, rows, batch, folder):
    """Differences (cells, n), margins (n,), and the margins' rows: from the folder, or from the full grid now."""
    file = folder / f"{name}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        first = scan.original(fast, data.inputs[rows], batch)
        d = table(full(fast, bank, data.inputs, rows, batch), data.labels)
        np.savez_compressed(file, d=d.reshape(*d.shape[:2], -1).mean(2).astype(np.float32), margins=first.margins, rows=rows.numpy())
    held = np.load(file)
    return held["d"].astype(float), held["margins"], held["rows"]


def ready(net, inputs):
    """The engine, tried out, and how many examples it runs at a time."""
    fast = Answers(choose(net.module, net.layers, inputs[:3]))
    return fast, pace(fast.engine, inputs).batch


def bench(name, asked):
    net = shipped.load(name)
    data, cells, found = net.data["test"], len(net.layers) * len(LEVELS), {}
    n = min(asked.examples, len(data))
    module = skeleton(net.module)
    batch = best_batch(module, data.inputs)
    setup, (fast, own) = cpu(ready, net, data.inputs)
    packing, bank = cpu(Bank, net.layers, LEVELS)
    x = data.inputs[: asked.slice if data.kind != "text" else max(16, asked.slice // 16)]
    each_cell = [i for i in range(len(bank.cells)) if i not in bank.refused and i not in bank.same]
    weights = [bank.weights(i) for i in each_cell]

    def quick():
        return torch.cat([b.cells for b in full(fast, bank, x, torch.arange(len(x)), own)], 1)

    plain_scan(module, weights[:1], x, batch)
    list(full(Answers(fast.engine, screened=False), bank, x, torch.arange(len(x)), own))  # what any first run costs, the screen aside
    made, _ = cpu(quick)  # with the screen's making, its timing of each layer, and a pilot of each cell
    if fast.screen():
        fast.screen().known.clear()
    piloted, _ = cpu(quick)
    times, wrong, total = {"plain": [], "quick": []}, 0, 0
    for _ in range(asked.rounds):
        a, right = cpu(plain_scan, module, weights, x, batch)
        b, answers = cpu(quick)
        c, _ = cpu(quick)
        d, _ = cpu(plain_scan, module, weights, x, batch)
        times["plain"] += [a, d]
        times["quick"] += [b, c]
        wrong, total = wrong + int((answers[each_cell] != right).sum()), total + right.numel()
    each = {k: float(np.median(v)) / len(x) / len(weights) for k, v in times.items()}  # seconds for one example of one cell
    plain = each["plain"] * cells * n + packing
    trying = max(0.0, made - piloted) + max(0.0, piloted - float(np.median(times["quick"]))) if fast.screen() else 0.0
    exact = plain / (each["quick"] * cells * n + packing + setup + trying)
    ratios = [p / q for p, q in zip(times["plain"], times["quick"])]
    whole, suffix = needed(net, fast.engine, data.inputs)
    seen = list(fast.screen().known.values()) if fast.screen() else []
    found |= dict(screened=bool(seen), settled_share=sum(k.settled for k in seen) / max(1, sum(k.screened for k in seen)), trying_s=trying)
    found |= dict(exact=exact, disagreements=wrong, of=total, plain_us=each["plain"] * 1e6, batch=batch, batch_quick=own, engine=fast.engine.kind,
                  setup_s=setup, exact_low=min(ratios), exact_high=max(ratios), reached=suffix / each["quick"],
                  needed_mflop=suffix / 1e6)
    if asked.threads == 2:
        half = [x[: len(x) // 2], x[len(x) // 2 :]]
        twins, modules = [fast, fast.twin()], [module, skeleton(module)]
        list(full(twins[1], bank, half[1], torch.arange(len(half[1])), own))  # its pilots, which the first has behind it
        slow = two_threads(lambda m, h: plain_scan(m, weights, h, batch), list(zip(modules, half)))
        soon = two_threads(lambda f, h: list(full(f, bank, h, torch.arange(len(h)), own)), list(zip(twins, half)))
        found |= dict(exact_two_threads_wall=slow / soon)
    seconds, ranked = cpu(lambda: dict(first_ranking(fast, bank, net.data["train"])))
    found |= dict(first_picture=plain / (seconds + setup + packing), first_picture_ms=seconds * 1e3)
    if asked.exact_only:
        return found | dict(suffix_share=suffix / whole)
    if data.kind == "text":  # whose full grid, the truth for the other scans, would take most of an hour
        n = min(n, TEXTS)
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(1))[: min(asked.truth_examples, n)]
    differences, margins, _ = truth_of(name, fast, bank, data, rows, own, asked.truth)
    truth, places = differences.mean(1), [i for c in bank.measured.values() for i in c]
    found |= dict(truth_examples=differences.shape[1]) | dict(spearman=float(spearmanr(list(ranked.values()), truth[list(ranked)]).statistic))
    if data.kind == "text":
        return found | dict(suffix_share=suffix / whole)
    spent, first = cpu(scan.original, fast, data.inputs[:n], own)
    spent, state, covered = spent + setup + packing, None, []
    passes = {"distiller: all examples for each cell (sensitivity.py)": cells * n,
              "fasterai: the same, and the original once for each level": (cells + len(LEVELS)) * n,
              "AIMET: the caller's function for each cell, 1,000 examples usual": (cells + 1) * min(n, 1000),
              "ours, exact: each layer's suffix, the original once": n + cells * n * suffix / whole}
    few_data = type(data)(data.name, data.split, data.inputs[:n], data.labels[:n], data.classes, data.kind)
    for key, tolerance in TOLERANCES.items():
        if state is not None:  # go on from the looser tolerance's end
            state = scan.State(**{**vars(state), "open": np.isin(np.arange(len(bank.cells)), places) & (state.n < n)})
        took, states = cpu(lambda t=tolerance, s=state: list(scan.adaptive(fast, bank, few_data, first, t, state=s, batch=asked.batch)))
        spent, state = spent + took, states[-1]
        runs = [simulate(differences[places], margins, tolerance, seed, scan.unit(first)) for seed in range(asked.seeds)]
        inside = [within(drop, truth[places], tolerance) for drop, _, _ in runs]
        holds = float(np.mean([(np.abs(d - truth[places]) <= h + 1e-12).mean() for d, h, _ in runs]))
        covered.append(float(np.mean(inside)))
        found |= {key: plain / spent, f"{key}_cpu_s": spent, f"{key}_examples_a_cell": float(state.n[places].mean()),
                  f"{key}_in_tolerance": covered[-1], f"{key}_worst_seed": min(inside), f"{key}_intervals_hold": holds}
        if differences.shape[1] == n == len(data):
            found[f"{key}_executed_in_tolerance"] = within(state.drop, truth, tolerance)
        passes[f"ours, {key}"] = n + float(state.n.sum()) * suffix / whole
    print(f"{name}: forward passes through the whole network, or their equal, for {cells} cells and {n:,} examples")
    for way, count in passes.items():
        print(f"    {way:64} {count:>14,.0f}   {cells * n / count:7.1f} times fewer")
    return found | dict(coverage=min(covered), plain_cpu_s=plain, suffix_share=suffix / whole)


def page(name, asked):
    """CPU seconds of the page's own path, and of the plain way on the same cells, timed on a slice before and after and scaled."""
    from app import compute, long_work
    from compression.sensitivity import rungs

    net, values = shipped.load(name), rungs("pruning.magnitude", "sparsity")
    data = net.data["validation"]
    module, few = skeleton(net.module), data.inputs[: max(1, asked.slice // (4 if data.kind != "text" else 64))]
    batch = best_batch(module, data.inputs)
    bank = Bank(net.layers, [step("pruning.magnitude", sparsity=v) for v in values])
    weights = [bank.weights(i) for i in range(0, len(bank.cells), max(1, len(bank.cells) // 16))]
    before, _ = cpu(plain_scan, module, weights, few, batch)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SHRINKSCOPE_CACHE"] = folder
        compute.kept_on_disk.clear()
        start = time.perf_counter()
        seconds, states = cpu(lambda: deque((s for s in long_work.scanning(
            net, "pruning.magnitude", "sparsity", values, "validation", Tolerance(), False) if s), 1))
        wall = time.perf_counter() - start
    after, _ = cpu(plain_scan, module, weights, few, batch)
    plain = (before + after) / 2 / len(few) / len(weights) * len(bank.cells) * len(data)
    found = states.pop()
    assert found.stage == "done"
    asked_each = float(np.mean([c.n for c in found.cells if not c.refused]))
    return dict(cells=len(bank.cells), page_cpu_s=seconds, page_wall_s=wall, plain_cpu_s=plain, times_sooner=plain / seconds,
                examples=len(data), examples_a_cell=asked_each)


def pages(names, asked):
    results = {}
    for name in names:
        r = results[name] = page(name, asked)
        print(f"{name:14} {r['cells']:4} cells   page {r['page_cpu_s']:8.1f} s   plain {r['plain_cpu_s']:9.1f} s   "
              f"{r['times_sooner']:6.1f} times sooner   {r['examples_a_cell']:,.0f} of {r['examples']:,} examples a cell", flush=True)
    print(json.dumps({name: {k: round(v, 3) for k, v in r.items()} for name, r in results.items()}))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*")
    ask.add_argument("--page", action="store_true", help="what the Sensitivity page does, for every network")
    for flag, default in dict(examples=10_000, slice=256, rounds=2, seeds=8, threads=1, truth_examples=10_000, batch=512).items():
        ask.add_argument(f"--{flag.replace('_', '-')}", type=int, default=default)
    ask.add_argument("--exact-only", action="store_true", help="neither truth nor tolerant scans")
    ask.add_argument("--truth", type=Path, default=Path("/tmp/shrinkscope-truth"))
    asked = ask.parse_args()
    torch.set_num_threads(1)
    if asked.page:
        pages(asked.names or shipped.available(), asked)
        return
    asked.names = asked.names or ["lenet-5", "resnet-20", "vit", "char-gpt"]
    peaks, results, quickest = [peak()], {}, peak(dtype=torch.bfloat16)
    for name in asked.names:
        r = results[name] = bench(name, asked)
        peaks.append(peak())
        now = (peaks[-2] + peaks[-1]) / 2
        r["share_of_peak"] = r.pop("reached") / now  # above 1 where bfloat16 does part of the work
        r["bound"] = r["plain_us"] * now / r["needed_mflop"] / 1e12  # how many times quicker than plain at the processor's peak
        r["bound_bfloat16"] = r["bound"] * quickest / now
        for key, value in r.items():
            target = TARGETS.get(key, {}).get(name)
            verdict = "" if target is None else f"   target {target}: {'reached' if value >= target else 'missed'}"
            print(f"{name:14} {key:32} {value if isinstance(value, str) else round(value, 4):>14}{verdict}")
    moved = max(peaks) / min(peaks) - 1
    print(f"matrix product {', '.join(f'{p / 1e9:.0f}' for p in peaks)} GF/s; load {os.getloadavg()[0]:.1f}")
    if moved > 0.2:
        print(f"the processor's speed moved by {moved:.0%} in this run: no verdict, run it again")
    print(json.dumps({name: {k: round(r[k], 4) if k in r else None for k in LAST} for name, r in results.items()}))


if __name__ == "__main__":
    main()
