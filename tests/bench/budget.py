"""The budget solver against uniform, greedy, one multiplier, HAWQ and searches, at the same bytes.

    OMP_NUM_THREADS=1 python tests/bench/budget.py [--all] [--write] [--widths 4 3 2] [--race 3] [--evaluations 30] [--seeds 1]
        [--no-hessian] [network ...]

Options: uniform bits, magnitude pruning and SVD, each layer alone, its divergence (nats) on 32 training examples, and how far it moves the
scores of 256. Budgets: the bytes of all layers at 4, 3 and 2 bits. Every choice is then measured as a whole: validation examples chose,
test examples only report, differences from the solver are paired; the divergence together is that of 1,024 validation examples, by which
the solver chooses. Searches, at one budget, minimize that of 256, with as many measurements each as the solver had options measured; of
their seeds the middle one is reported. The last line is one line of JSON; with --write it is kept in assets/budget.json, which the app shows.
"""

import argparse
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from compression.apply import compress  # noqa: E402
from compression.budget.hessian import traces  # noqa: E402
from compression.budget.joint import FINAL, divergence  # noqa: E402
from compression.budget.options import measuring, original_operations  # noqa: E402
from compression.budget.plans import ALONE, SOLVER, TITLES, Bench, Wish, drop  # noqa: E402
from compression.budget.problem import Choice, total  # noqa: E402
from compression.budget.proposing import proposing  # noqa: E402
from compression.budget.recorded import RECORDED  # noqa: E402
from compression.budget.tables import merged  # noqa: E402
from compression.compare import compare  # noqa: E402
from compression.engine.instrument import Instrument  # noqa: E402
from compression.method import drained  # noqa: E402
from compression.recipe import Recipe, step, to_json  # noqa: E402
from compression.score import size_of  # noqa: E402
from compression.searching.space import Space, race  # noqa: E402
from compression.searching.ways import WAYS  # noqa: E402
from compression.sensitivity import harsher, rungs  # noqa: E402
from compression.zoo import shipped  # noqa: E402

DIALS = (("quantization.uniform", "bits"), ("pruning.magnitude", "sparsity"), ("lowrank.svd", "rank"))


def told(progress):
    q = progress.quality
    lost, low, high = drop(q)
    return {"accuracy": q.accuracy.value, "drop": lost, "drop_low": low, "drop_high": high, "n": q.n}


def in_order(progress):
    place, answers = progress.places.argsort(), progress.after
    return type(answers)(answers.top[place], answers.confidence[place], None if answers.loss is None else answers.loss[place])


def row(bench, plan, nats, best, tested):
    """One way's numbers; best: the solver's progress by split, to be compared with. tested: what test examples said of recipes."""
    if plan.recipe not in tested:
        tested[plan.recipe] = last(bench.judged(replace(plan, progress=None), data=bench.network.data["test"])).progress
    done = {"test": tested[plan.recipe]}
    done |= {"validation": plan.progress} if plan.progress else {}
    found = {"file_bytes": plan.file_bytes, "nats_added": plan.choice.cost, "nats_moved": plan.together, "nats_together": nats}
    found |= {split: told(progress) for split, progress in done.items()}
    for split in done.keys() & best.keys():
        data = bench.network.data[split]
        apart = compare(data, torch.arange(len(data)), in_order(done[split]), in_order(best[split]))
        gain = apart.quality.change
        found[split] |= {"solver_gains": gain.value, "gains_low": gain.low, "gains_high": gain.high, "chance": apart.chance}
    return found, done


def last(steps):
    *_, end = (s for s in steps if s is not None)
    return end


def bench(name, widths, racing_at, evaluations, seeds, hessian):
    net = shipped.load(name)
    held, memo, validation = {}, {}, net.data["validation"]

    def instruments(network):
        return held.setdefault(network.digest, Instrument(network))

    options = []
    for method, knob in DIALS:
        values = harsher(method, knob) if knob == "bits" else rungs(method, knob)
        options += last(measuring(instruments(net), [step(method, **{knob: v}) for v in values])).options
    original = size_of(compress(net, Recipe()))
    evaluations = len(options) if evaluations is None else evaluations
    table = merged([layer.name for layer in net.layers], options, original, original_operations(net))
    curved = last(traces(net)) if hessian else None
    work = Bench(net, table, validation, instruments, memo)
    result = {"digest": net.digest, "original_bytes": original, "options": sum(map(len, table.rows)), "layers": len(table.rows), "budgets": []}
    for width in widths:
        most = size_of(compress(net, Recipe((step("quantization.uniform", bits=width),))))
        found = last(proposing(work, Wish(most)))
        raced, measure = (divergence(instruments(net), table, validation, memo, n) for n in (None, FINAL[validation.kind]))
        ways, best = {}, {}
        tested = {}
        for plan in (*found.plans, *([last(work.judged(work.curved(found, curved.by_layer)))] if curved else [])):
            ways[plan.way], done = row(work, plan, -drained(measure(plan.choice.places)), best, tested)
            best = best or done
            said(name, width, TITLES[plan.way], ways[plan.way])
        ways[ALONE] |= {"gap": next(p for p in found.plans if p.way == ALONE).choice.gap}
        ways[SOLVER] |= {"nats_raced": -drained(raced(found.best.choice.places)), "recipe": json.loads(to_json(found.best.recipe))}
        start = next(p.choice.places for p in found.plans if p.way == "uniform")
        racing, finals = {}, {}
        for way, known in WAYS.items() if width == racing_at and evaluations else ():
            runs = []
            for seed in range(seeds):
                trials = [t for t in race(known.begin(Space(found.problem, (start,)), seed), raced, evaluations) if t]
                runs.append(sorted(trials, key=lambda t: -t.good)[0])
                racing.setdefault(way, []).append([-max(t.good for t in trials[: i + 1]) for i in range(len(trials))])
            middle = sorted(runs, key=lambda t: t.good)[len(runs) // 2]
            plan = work.plan(way, Choice(middle.places, total(found.problem.cost, middle.places)))
            finals[way], _ = row(work, plan, -drained(measure(plan.choice.places)), best, tested)
            said(name, width, known.title, finals[way])
        result["budgets"].append({"said": f"all layers at {width} bits", "most_bytes": most, "ways": ways, "searches": finals, "race": racing})
    return result


def said(name, width, title, r):
    gains = f"solver is {100 * r['test']['solver_gains']:+.2f} points, p {r['test']['chance'] or 1:.2g}" if "solver_gains" in r["test"] else ""
    print(f"{name:14} {width} bit {title:26} {r['file_bytes']:9,} bytes  "
          f"added {r['nats_added']:.4f} moved {r['nats_moved']:.4f} together {r['nats_together']:.4f} nats  lost "
          + "  ".join(f"{s} {100 * r[s]['drop']:6.2f} ± {50 * (r[s]['drop_high'] - r[s]['drop_low']):.2f}" for s in ("validation", "test") if s in r)
          + f"  {gains}", flush=True)


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=["resnet-20", "vit"])
    ask.add_argument("--all", action="store_true", help="every network that ships")
    ask.add_argument("--widths", type=int, nargs="+", default=[4, 3, 2], help="bits that give the budgets")
    ask.add_argument("--race", type=int, default=3, help="bits of the budget at which searches run")
    ask.add_argument("--no-hessian", action="store_true")
    ask.add_argument("--evaluations", type=int, help="recipes each search may measure: as many as there are options where not given, 0: no race")
    ask.add_argument("--seeds", type=int, default=1)
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name in shipped.available() if asked.all else asked.names:
        results[name] = rounded(bench(name, asked.widths, asked.race, asked.evaluations, asked.seeds, not asked.no_hessian)) | {"made": {
            "command": f"tests/bench/budget.py {' '.join(sys.argv[1:])}", "torch": torch.__version__,
            "machine": platform.machine(), "options": [f"{m} {k}" for m, k in DIALS]}}
        if asked.write:
            known = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
            RECORDED.write_text(json.dumps(known | {name: results[name]}, separators=(",", ":")) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
