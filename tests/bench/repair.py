"""Every repair on ResNet-20 and LeNet-5: accuracy before and after, divergence on held-out examples, CPU seconds.

    OMP_NUM_THREADS=1 python tests/bench/repair.py [--examples 2000]

Seconds are of one repair alone from a compressed network, its judging included; what is learnt of the original network once
for all recipes is listed apart. "click" is charged everything: drawing examples, asking the original, all repairs and judging.
The last line is one line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from compression.apply import compress
from compression.calibrate import calibrate, sample
from compression.evaluate import ask, order
from compression.recipe import Recipe, step
from compression.repair import biases, last, norms, survivors
from compression.repair.click import suggested
from compression.repair.compensate import compensate
from compression.repair.repaired import begin, known_of, learnt
from compression.zoo.shipped import load

RECIPES = {
    "70 % pruned": Recipe((step("pruning.magnitude", sparsity=0.7),)),
    "85 % pruned": Recipe((step("pruning.magnitude", sparsity=0.85),)),
    "3 bit": Recipe((step("quantization.uniform", bits=3),)),
    "70 % pruned, 4 bit": Recipe((step("pruning.magnitude", sparsity=0.7), step("quantization.uniform", bits=4))),
}


def cpu(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def accuracy(network, examples, weights=None):
    data = network.data["validation"]
    rows = order(data)[:examples]
    hits = [(ask(network.module, weights, data, part).top == data.labels[part]).double() for part in rows.split(256)]
    return 100 * float(torch.cat(hits).mean())


def ways(compressed, taken, known):
    """Every repair by name, from the same compressed network."""
    start = begin(compressed)
    return {
        "norms": lambda: norms.re_estimate(start, taken), "biases": lambda: biases.correct(start, known),
        "last layer": lambda: last.refit(start, taken), "norms, last layer": lambda: last.refit(norms.re_estimate(start, taken), taken),
        "survivors": lambda: survivors.fit(start, known), "compensation": lambda: compensate(start, known), "click": lambda: clicked(compressed),
    }


def clicked(compressed):
    """The whole of it, drawing examples and asking the original included; what is needed to judge it afterwards."""
    learnt.cache_clear()
    known_of.cache_clear()
    recipe = replace(compressed.recipe, repairs=suggested(compressed.network, compressed.recipe))
    done = compress(compressed.network, recipe)
    after = [note.after for note in done.notes if note.accepted]
    return replace(begin(done), before=done.notes[0].before, after=after[-1] if after else done.notes[0].before)


def table(network, recipe, taken, known, dense, examples):
    """Way -> what it did, printed as it goes."""
    compressed = compress(network, recipe)
    before = accuracy(network, examples, compressed.weights())
    print(f"    before: {before:.1f} %")
    rows = {"before": round(before, 2)}
    for way, work in ways(compressed, taken, known).items():
        runs = [cpu(work) for _ in range(3 if way == "click" else 1)]
        seconds, state = statistics.median(r[0] for r in runs), runs[0][1]
        if state.before != state.before:  # it does not apply
            print(f"    {way:18s} {state.described}")
            continue
        after = accuracy(state.compressed.network, examples, state.weights())
        regained = (after - before) / (dense - before) if dense > before else float("nan")
        rows[way] = {"after": round(after, 2), "regained": round(regained, 3), "cpu_s": round(seconds, 3), "accepted": state.accepted}
        print(f"    {way:18s} {seconds:6.2f} s  {after:5.1f} %  {100 * regained:5.0f} % of the drop  KL {state.before:.4f} -> {state.after:.4f}"
              f"{'' if state.accepted else '  (last step refused)'}", flush=True)
    return rows


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--examples", type=int, default=2000, help="of the validation split")
    examples = ask.parse_args().examples
    torch.set_num_threads(1)
    result = {"examples": examples}
    for name in ("resnet-20", "lenet-5"):
        network = load(name)
        clicked(compress(network, RECIPES["70 % pruned"]))  # warm
        drawing, taken = cpu(lambda n=network: sample(n))
        learning, known = cpu(lambda t=taken: calibrate(t, products=False))
        dense = accuracy(network, examples)
        print(f"\n{network.title}: {dense:.1f} % on {examples:,} validation examples. "
              f"Once for all recipes: {drawing:.2f} s to draw and ask, {learning:.2f} s to calibrate")
        result[name] = {"dense": round(dense, 2)}
        for words, recipe in RECIPES.items():
            print(f"  {words}")
            result[name][words] = table(network, recipe, taken, known, dense, examples)
    click = result["resnet-20"]["70 % pruned"]["click"]
    print(f"\nOne click on ResNet-20 at 70 %: {100 * click['regained']:.0f} % of the drop in {click['cpu_s']:.2f} s of CPU")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
