"""Find "Balanced" and "Extreme" for every network that ships and record what all presets come to.

    OMP_NUM_THREADS=1 python tests/bench/presets.py [--write] [network ...]

They are chosen on all validation examples; every preset is then reported on validation and on test examples. The last line is
one line of JSON; with --write it is kept in assets/presets.json, which the app shows.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from compression.apply import compress  # noqa: E402
from compression.engine.instrument import Instrument  # noqa: E402
from compression.presets import ALLOWED, PRESETS, RECORDED, coded, preset  # noqa: E402
from compression.recipe import to_json  # noqa: E402
from compression.score import size_of  # noqa: E402
from compression.search import study  # noqa: E402
from compression.zoo import shipped  # noqa: E402

SPARSITIES, BITS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), (8, 7, 6, 5, 4, 3, 2)


def bench(name):
    net, held = shipped.load(name), {}

    def instruments(network):
        return held.setdefault(network.digest, Instrument(network))

    def measured(recipes, split, close=0.0):
        return [p for p in study(net, recipes, net.data[split], close, instruments) if p is not None]

    smallest = sorted((coded(s, b) for b in BITS for s in SPARSITIES), key=lambda r: size_of(compress(net, r)))
    chosen = {}
    for recipe in smallest:
        lost = -measured([recipe], "validation")[0].quality.change.value
        chosen |= {which: recipe for which, allowed in ALLOWED.items() if which not in chosen and lost <= allowed}
        if len(chosen) == len(ALLOWED):
            break
    found = {}
    for which in PRESETS:
        recipe = chosen.get(which) or preset(which, net)
        row = {"recipe": json.loads(to_json(recipe))} if which in chosen else {}
        row |= {"file_bytes": size_of(compress(net, recipe))}
        for split in ("validation", "test"):
            q = measured([recipe], split)[0].quality
            row[split] = {"accuracy": q.accuracy.value, "low": q.accuracy.low, "high": q.accuracy.high, "n": q.n, "changed": q.changed,
                          "predictions": q.predictions}
        found[which] = row
        print(f"{name:14} {which:9} {row['file_bytes']:10,} bytes", *(f"{s} {100 * row[s]['accuracy']:.2f} %" for s in ("validation", "test")))
    return {"digest": net.digest, "presets": found}


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("network", nargs="*", default=shipped.available())
    ask.add_argument("--write", action="store_true")
    asked = ask.parse_args()
    result = {name: bench(name) for name in asked.network}
    if asked.write:
        RECORDED.write_text(json.dumps((json.loads(RECORDED.read_text()) if RECORDED.exists() else {}) | result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
