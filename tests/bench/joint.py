"""How well the sum of single layers' divergences foretells a whole recipe: its divergence, and its drop in accuracy.

    OMP_NUM_THREADS=1 python tests/bench/joint.py [--recipes 30] [--write] [network ...]

One scan of every layer at seven sparsities (nats on 32 training examples of which the network is unsure, drops on validation
examples), then recipes with a rung drawn for every layer, judged together on all validation examples. The last line is one line of
JSON; with --write it is kept in assets/joint.json, where the app reads how good its estimate is.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn import functional as F

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from compression.apply import compress  # noqa: E402
from compression.crew import SHARPENED, doubted  # noqa: E402
from compression.engine.instrument import Instrument  # noqa: E402
from compression.joint import together  # noqa: E402
from compression.recipe import Override, Recipe  # noqa: E402
from compression.sensitivity import rungs, scan  # noqa: E402
from compression.zoo import shipped  # noqa: E402

METHOD, KNOB = "pruning.magnitude", "sparsity"


def divergence(module, weights, inputs):
    with torch.inference_mode():
        old, new = (F.log_softmax(x.float() / SHARPENED, -1) for x in (module(inputs), torch.func.functional_call(module, weights, (inputs,))))
        return float((old.exp() * (old - new)).sum(-1).mean())


def bench(name, count):
    net = shipped.load(name)
    data, instrument = net.data["validation"], Instrument(net)
    *_, found = (s for s in scan(instrument, METHOD, KNOB, rungs(METHOD, KNOB), data) if s)
    at = {(c.layer, c.value): c for c in found.cells}
    inputs = doubted(instrument.fast(data.inputs), net.data["train"])
    rng, rows = np.random.default_rng(0), []
    for i in range(count):
        harsh = 1 + i * 4 // count  # from the mildest rung alone to the four mildest
        chosen = [at[layer.name, rungs(METHOD, KNOB)[rng.integers(harsh)]] for layer in net.layers]
        done = compress(net, Recipe(overrides=tuple(Override(c.layer, (c.step,)) for c in chosen)))
        *_, last = (p for p in instrument.judging(done, data, instrument) if p)
        guess = together(chosen, found.cells)
        rows.append((guess.nats, divergence(net.module, done.weights(), inputs), guess.drop, -last.quality.change.value, guess.beyond))
    nats, joint, guessed, drop, beyond = (np.array(column) for column in zip(*rows))
    inside = ~beyond
    return dict(recipes=count, rank_of_divergence=float(spearmanr(nats, joint)[0]), rank_of_drop=float(spearmanr(nats, drop)[0]),
                joint_over_sum=float(np.median(joint / nats)), error_points=float(100 * np.median(np.abs(guessed - drop)[inside])),
                worst_points=float(100 * np.max(np.abs(guessed - drop)[inside])), beyond=int(beyond.sum()), largest_drop=float(100 * drop.max()))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=["lenet-300-100", "lenet-5", "vgg-small", "resnet-20", "depthwise", "vit", "row-lstm"])
    ask.add_argument("--recipes", type=int, default=30)
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name in asked.names:
        r = results[name] = bench(name, asked.recipes)
        print(f"{name:14} sum of nats against joint nats: rank {r['rank_of_divergence']:.3f}, joint / sum {r['joint_over_sum']:.2f}; "
              f"against the drop: rank {r['rank_of_drop']:.3f}, error {r['error_points']:.1f} points in the middle, "
              f"{r['worst_points']:.1f} at worst (drops to {r['largest_drop']:.0f})", flush=True)
    rounded = {k: {a: round(b, 4) for a, b in r.items()} for k, r in results.items()}
    if asked.write:
        (ROOT / "assets" / "joint.json").write_text(json.dumps(rounded, indent=1) + "\n")
    print(json.dumps(rounded))


if __name__ == "__main__":
    main()
