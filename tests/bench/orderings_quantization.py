"""The literature's orderings of quantization methods on our own networks: does the better one do better here, too?

    OMP_NUM_THREADS=1 python tests/bench/orderings_quantization.py [--draws 3] [--examples 1000] [--networks vit …] [--record]

All layers are changed, those apart that a method which needs inputs cannot take: these stay in float for every method. Judged on
1,000 validation images, or a window of text for every 16, by the mean divergence of the answers from the original's (nats) and by accuracy.
What learns from examples does so three times, from other training examples each time: values are means, and a line says how many of
the draws agree. "Other way" marks where ours differs from the literature, "no difference" where two lie within 5 % of each other.
--record keeps each network's answers in assets/orderings.json. The last line is one line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import record
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2]))

from compression.apply import compress, rewritten
from compression.evaluate import order, skeleton
from compression.network import network
from compression.recipe import Recipe, step
from compression.registry import method
from compression.repair.repaired import put
from compression.zoo.shipped import load

NETWORKS = ("lenet-5", "resnet-20", "vit", "char-gpt", "depthwise")
KNOWN = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
KNOWN.add_argument("--draws", type=int, default=3)
KNOWN.add_argument("--examples", type=int, default=1000, help="of the validation split")
KNOWN.add_argument("--networks", nargs="+", default=NETWORKS)
KNOWN.add_argument("--record", action="store_true", help="keep what is found in assets/orderings.json")
ASKED = KNOWN.parse_args()
DRAWS = ASKED.draws
SAME = 0.05
WHO = {"GPTQ over nearest": "Frantar et al. 2022", "AdaRound over nearest": "Nagel et al. 2020", "GPTQ: loudest first": "Frantar et al., act-order",
       "AWQ": "Lin et al. 2023", "GPTQ over AWQ": "none: both claim it", "per channel": "Krishnamoorthi 2018", "per group": "Frantar et al. 2022",
       "clip mse": "Banner et al. 2018", "clip laplace": "Banner et al. 2018", "clip gauss": "Banner et al. 2018", "clip 99": "Krishnamoorthi 2018",
       "clip kl": "Migacz 2017", "centroids": "Han et al. 2016, section 3.2", "activations: MSE": "Banner et al. 2018",
       "activations: KL": "Migacz 2017", "activations: dynamic": "Krishnamoorthi 2018", "activations: per token": "Yao et al. 2022",
       "SmoothQuant": "Xiao et al. 2022", "rotated": "Ashkboos et al. 2024", "LLM.int8()": "Dettmers et al. 2022", "equaliz": "Nagel et al. 2019"}
VERDICT = {"as in the literature": "holds", "no difference": "as good", "other way": "differs"}


def drawn(name, seed):
    """The shipped network with its training examples in another order, so that others teach."""
    net = load(name)
    if seed == 0:
        return net
    train = net.data["train"]
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(100 + seed))
    data = dict(net.data) | {"train": replace(train, inputs=train.inputs[rows], labels=train.labels[rows])}
    return network(net.name, net.title, net.module, data, net.example)


class Judge:
    """Asks a network's validation examples once, then any recipe on any draw; what was prepared for a draw is kept."""

    def __init__(self, name):
        self.name, self.draws = name, [drawn(name, seed) for seed in range(DRAWS)]
        net = self.draws[0]
        data = net.data["validation"]
        rows = order(data)[: max(1, ASKED.examples // 16) if data.kind == "text" else ASKED.examples]
        self.x, self.labels = data.inputs[rows], data.labels[rows]
        self.old = self.asked(net.module)
        self.dense = self.right(self.old)
        self.memos = [{} for _ in self.draws]
        self.locked = tuple(layer.name for layer in net.layers if method("quantization.gptq").why_not(layer.weight, layer))

    def asked(self, module):
        with torch.inference_mode():
            return torch.cat([F.log_softmax(module(x).float(), -1) for x in self.x.split(250 if self.x.ndim == 4 else 16)])

    def right(self, logs):
        return 100 * float((logs.argmax(-1) == self.labels).float().mean())

    def __call__(self, *steps, first=(), draws=1):
        """(divergence, accuracy) for each draw."""
        found = []
        for net, memo in list(zip(self.draws, self.memos))[:draws]:
            done = compress(net, Recipe(steps, locked=self.locked, first=first), memo)
            module = skeleton(done.network.module)
            put(module, done.weights())
            logs = self.asked(module)
            found.append((float((self.old.exp() * (self.old - logs)).sum(-1).mean()), self.right(logs)))
        return found


ROWS = []


def compared(judge, claim, setting, better, worse):
    """One row: does what the literature calls better come nearer to the original's answers?"""
    if len(worse) < len(better):
        worse = worse * len(better)
    wins = sum(b[0] < w[0] for b, w in zip(better, worse))
    kl, accuracy = ([statistics.mean(v[i] for v in side) for side in (better, worse)] for i in (0, 1))
    verdict = "no difference" if abs(kl[0] - kl[1]) <= SAME * max(kl) else "as in the literature" if kl[0] < kl[1] else "other way"
    ROWS.append({"claim": claim, "network": judge.name, "setting": setting, "better_kl": kl[0], "worse_kl": kl[1], "better_accuracy": accuracy[0],
                 "worse_accuracy": accuracy[1], "draws": len(better), "agree": wins, "verdict": verdict})
    print(f"  {claim:44s} {setting:26s} {kl[1]:9.4f} -> {kl[0]:9.4f} nats  {accuracy[1]:5.1f} -> {accuracy[0]:5.1f} %  "
          f"{wins}/{len(better)}  {verdict}", flush=True)


def uniform(bits, **knobs):
    return step("quantization.uniform", bits=bits, **knobs)


def learned(judge):
    """GPTQ, AdaRound and AWQ against nearest rounding to the very same levels."""
    for bits in (4, 3, 2):
        plain = judge(uniform(bits, symmetric=False))
        gptq = judge(step("quantization.gptq", bits=bits), draws=DRAWS)
        compared(judge, "GPTQ over nearest", f"{bits} bits, channel", gptq, plain)
        compared(judge, "AdaRound over nearest", f"{bits} bits, channel", judge(step("quantization.adaround", bits=bits), draws=DRAWS), plain)
        compared(judge, "GPTQ: loudest first over as stored", f"{bits} bits, channel", gptq,
                 judge(step("quantization.gptq", bits=bits, order="stored"), draws=DRAWS))
    for bits in (4, 3):
        for per in ("group", "channel"):
            compared(judge, "AWQ over nearest", f"{bits} bits, {per}", judge(step("quantization.awq", bits=bits, per=per), draws=DRAWS),
                     judge(uniform(bits, symmetric=False, per=per)))
        compared(judge, "GPTQ over AWQ", f"{bits} bits, channel", judge(step("quantization.gptq", bits=bits), draws=DRAWS),
                 judge(step("quantization.awq", bits=bits, per="channel"), draws=DRAWS))


def plain(judge):
    """What needs no examples: granularity, clip rules, starts of centroids."""
    for bits in (4, 3):
        compared(judge, "per channel over per tensor", f"{bits} bits", judge(uniform(bits)), judge(uniform(bits, per="tensor")))
        compared(judge, "per group over per channel", f"{bits} bits", judge(uniform(bits, per="group")), judge(uniform(bits)))
        none = judge(uniform(bits, per="tensor"))
        for rule in ("mse", "laplace", "gauss", "99.9th", "kl"):
            compared(judge, f"clip {rule} over min-max", f"{bits} bits, tensor", judge(uniform(bits, per="tensor", clip=rule)), none)
    for bits in (4, 3, 2):
        linear, density, chance = (judge(step("sharing.lloyd", bits=bits, start=start)) for start in ("linear", "density", "random"))
        compared(judge, "centroids: linear over random start", f"{bits} bits", linear, chance)
        compared(judge, "centroids: linear over density start", f"{bits} bits", linear, density)


def activations(judge):
    """Weights x activations, ranges, and what outliers do to them."""
    grid = {}
    for a in (2, 4, 6, 8, 32):
        first = () if a == 32 else (step("rewriting.activations", bits=a, range="mse"),)
        for w in (2, 3, 4, 8, 32):
            grid[w, a] = judge(uniform(w, clip="mse"), first=first)[0]
    print("  accuracy, weights down, activations across: " + "".join(f"{'A' + str(a):>7s}" for a in (2, 4, 6, 8, 32)))
    for w in (2, 3, 4, 8, 32):
        print(f"{'W' + str(w):>47s} " + "".join(f"{grid[w, a][1]:7.1f}" for a in (2, 4, 6, 8, 32)))
    for a in (8, 4):
        first = {r: judge(first=(step("rewriting.activations", bits=a, range=r),), draws=DRAWS if r in ("minmax", "mse", "kl") else 1)
                 for r in ("minmax", "mse", "kl", "example", "token")}
        compared(judge, "activations: MSE range over min-max", f"A{a}", first["mse"], first["minmax"])
        compared(judge, "activations: KL range over min-max", f"A{a}", first["kl"], first["minmax"])
        compared(judge, "activations: dynamic over static", f"A{a}", first["example"] * DRAWS, first["minmax"])
        compared(judge, "activations: per token over per example", f"A{a}", first["token"], first["example"])
    if rewritten(judge.draws[0], (step("rewriting.inject"),))[1]:
        return grid
    spikes, smooth = step("rewriting.inject", size=64, share=0.05), step("rewriting.smooth", alpha=0.5)
    for a in (8, 6):
        act = step("rewriting.activations", bits=a)
        for words, before in (("as it is", ()), ("outliers put in", (spikes,))):
            compared(judge, "SmoothQuant over none", f"A{a} W8, {words}", judge(uniform(8), first=(*before, smooth, act), draws=DRAWS),
                     judge(uniform(8), first=(*before, act), draws=DRAWS))
            compared(judge, "rotated activations over none", f"A{a} W8, {words}",
                     judge(uniform(8), first=(*before, step("rewriting.activations", bits=a, rotate=True)), draws=DRAWS),
                     judge(uniform(8), first=(*before, act), draws=DRAWS))
    heavy = step("rewriting.inject", size=64, share=0.05, side="weights")
    for words, before in (("as it is", ()), ("in activations", (spikes,)), ("in weights", (heavy,))):
        none = judge(uniform(4), first=before)
        compared(judge, "rotated weights over none", f"W4, {words}", judge(step("quantization.hadamard", bits=4), first=before), none)
        compared(judge, "LLM.int8() columns over none", f"W4, {words}",
                 judge(step("quantization.mixed_columns", bits=4, columns=0.05), first=before, draws=DRAWS), none)
    return grid


def equalized(judge):
    """One scale per tensor on a depthwise network, batch normalisations folded: the case that equalization was made for."""
    folded = step("rewriting.fold_norms")
    for bits in (8, 6):
        even = judge(uniform(bits, per="tensor"), first=(folded, step("rewriting.equalize")))
        compared(judge, "equalization over none", f"{bits} bits, tensor", even, judge(uniform(bits, per="tensor"), first=(folded,)))
        compared(judge, "equalized tensor over plain channel", f"{bits} bits", even, judge(uniform(bits), first=(folded,)))


def kept(judge):
    """The rows of one network as assets/orderings.json has them."""
    rows = []
    for row in (row for row in ROWS if row["network"] == judge.name):
        better, _, worse = row["claim"].partition(" over ")
        who = next(said for claim, said in WHO.items() if row["claim"].startswith(claim))
        numbers = [float(f"{row[which]:.3g}") for which in ("better_kl", "worse_kl")]
        rows.append({"better": better, "worse": worse, "who": who, "setting": row["setting"], "numbers": numbers, "verdict": VERDICT[row["verdict"]]})
    return rows


def main():
    torch.set_num_threads(1)
    start, grids, dense = time.process_time(), {}, {}
    for name in ASKED.networks:
        judge = Judge(name)
        dense[name] = judge.dense
        kept_in_float = f"; in float: {', '.join(judge.locked)}" if judge.locked else ""
        print(f"\n{judge.draws[0].title}: {judge.dense:.1f} % on {len(judge.x):,} validation examples{kept_in_float}")
        if name == "depthwise":
            equalized(judge)
        else:
            learned(judge)
            plain(judge)
            grids[name] = {f"W{w} A{a}": [round(v, 4) for v in value] for (w, a), value in activations(judge).items()}
        if ASKED.record:
            about = {"draws": DRAWS, "examples": len(judge.x), "untouched": round(judge.dense, 2), "numbers": "divergence (nats)"}
            record.keep("quantization", name, about, kept(judge))
    print("\nOver all networks and settings:")
    for claim in dict.fromkeys(row["claim"] for row in ROWS):
        rows = [row["verdict"] for row in ROWS if row["claim"] == claim]
        words = ", ".join(f"{rows.count(v)} {v}" for v in ("as in the literature", "no difference", "other way") if v in rows)
        print(f"  {claim:44s} {words}")
    print(json.dumps({"examples": ASKED.examples, "draws": DRAWS, "dense": dense, "rows": ROWS, "grids": grids,
                      "cpu_s": round(time.process_time() - start)}))


if __name__ == "__main__":
    main()
