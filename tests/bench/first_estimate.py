"""How soon the first measured accuracy of a whole recipe is there, with its interval, and how often that interval holds the full answer.

    OMP_NUM_THREADS=1 python tests/bench/first_estimate.py lenet-5 resnet-20

Recipes change every layer, at random. Processor time, one thread, from the decoded weights to the first number; the engine and the
original's answers are made ready once per network and shown apart. Coverage: many orders, from each recipe's answers to all
examples. The last line is JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[2])]
from peak import peak  # noqa: E402

from compression.apply import compress  # noqa: E402
from compression.engine import sampling, scan  # noqa: E402
from compression.engine.answers import Answers  # noqa: E402
from compression.engine.choose import choose  # noqa: E402
from compression.engine.live import FIRST, TEXT_FIRST, live  # noqa: E402
from compression.engine.sampling import Counts  # noqa: E402
from compression.engine.tune import pace  # noqa: E402
from compression.recipe import Override, Recipe, step  # noqa: E402
from compression.score import changed  # noqa: E402
from compression.zoo import shipped  # noqa: E402
from compression.zoo.data import Data  # noqa: E402

TARGET = {"lenet-300-100": 150, "lenet-5": 150, "resnet-20": 150}


def recipes(net, count, rng):
    """Half the same for all layers, half with a rung of its own for each."""
    def any_step():
        if rng.random() < 0.5:
            return step("pruning.magnitude", sparsity=float(rng.choice([0.3, 0.4, 0.5, 0.6, 0.7])))
        return step("quantization.uniform", bits=int(rng.choice([3, 4, 5, 6, 8])), symmetric=True, per="channel")
    for i in range(count):
        if i % 2:
            yield Recipe((any_step(),))
        else:
            yield Recipe(overrides=tuple(Override(layer.name, (any_step(),)) for layer in net.layers))


def share_right(answers, data):
    """Of each example: 0 or 1, for a window of text the mean."""
    right = (answers == data.labels).double()
    return (right.mean(1) if right.ndim > 1 else right).numpy()


def bench(name, asked):
    net = shipped.load(name)
    every = net.data["test"]
    n = min(asked.examples if every.kind != "text" else asked.examples // 10, len(every))
    data = Data(every.name, every.split, every.inputs[:n], every.labels[:n], every.classes, every.kind)
    start = time.process_time()
    fast = Answers(choose(net.module, net.layers, data.inputs[:3]))
    setup, start = time.process_time() - start, time.process_time()
    first = scan.original(fast, data.inputs, 32 if data.kind == "text" else 128)
    ready = time.process_time() - start
    piece, begin = pace(fast.engine, data.inputs).piece, TEXT_FIRST if data.kind == "text" else FIRST
    was = share_right(first.answers, data)
    times, pieces, holds, halves, errors = [], [], [], [], []
    for recipe in recipes(net, asked.recipes, np.random.default_rng(0)):
        done = compress(net, recipe)
        weights = changed(done, done.weights())
        design, full = sampling.design(first.margins, unit=scan.unit(first)), None
        steps = live(fast, weights, data, first, design, piece)
        start = last = time.process_time()
        found = None
        while found is None:
            found = next(steps)
            pieces.append(time.process_time() - last)
            last = time.process_time()
        times.append(time.process_time() - start)
        for full in steps:  # noqa: B007
            pass
        answers = torch.empty_like(first.answers)
        answers[full.rows] = full.told.top
        d = was - share_right(answers, data)
        for seed in range(asked.seeds):
            design = sampling.design(first.margins, seed=seed + 1, unit=scan.unit(first))
            many = sampling.start(design, begin)
            parts = [d[o[:k]] for o, k in zip(design.order, many)]
            judged = sampling.judge(Counts(many[None], np.array([[p.sum() for p in parts]]), np.array([[(p**2).sum() for p in parts]])), design)
            holds.append(abs(judged.drop[0] - d.mean()) <= judged.half[0] + 1e-12)
            if abs(d.mean()) < 0.05:
                halves.append(judged.half[0])
                errors.append(abs(judged.drop[0] - d.mean()))
    return dict(first_ms=float(np.median(times)) * 1e3, first_ms_worst=max(times) * 1e3, piece_ms=max(pieces) * 1e3, coverage=float(np.mean(holds)),
                half_points=float(np.mean(halves or [0])) * 100, error_points=float(np.mean(errors or [0])) * 100, orders=asked.seeds,
                recipes=asked.recipes, of=n, ready_s=ready, setup_s=setup, target_ms=TARGET.get(name, 400))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=shipped.available())
    for flag, default in dict(examples=2_000, recipes=16, seeds=25).items():
        ask.add_argument(f"--{flag}", type=int, default=default)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    peaks, results = [peak()], {}
    print(f"{'network':14} {'first ms':>9} {'worst':>7} {'piece ms':>9} {'coverage':>9} {'± points':>9} {'error':>7} {'ready s':>8}")
    for name in asked.names:
        r = results[name] = bench(name, asked)
        peaks.append(peak())
        verdict = "reached" if r["first_ms"] <= r["target_ms"] and r["coverage"] >= 0.95 else "missed"
        print(f"{name:14} {r['first_ms']:9.0f} {r['first_ms_worst']:7.0f} {r['piece_ms']:9.0f} {r['coverage']:9.3f} {r['half_points']:9.2f} "
              f"{r['error_points']:7.2f} {r['ready_s']:8.2f}  {verdict}", flush=True)
    moved = max(peaks) / min(peaks) - 1
    print(f"matrix product {', '.join(f'{p / 1e9:.0f}' for p in peaks)} GF/s" + ("; moved too far: no verdict" if moved > 0.2 else ""))
    print(json.dumps({k: {a: round(b, 4) for a, b in r.items()} for k, r in results.items()} | {"verdict": moved <= 0.2}))


if __name__ == "__main__":
    main()
