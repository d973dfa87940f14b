"""What the lens's tables cost: the first ones, a whole ladder told from sketches beside the same rungs carried out, and what is sent.

    OMP_NUM_THREADS=1 python tests/bench/lens.py [--giant]

CPU time of one thread, on random weights, with nothing in the memo. A rung carried out is encoded, decoded, compared and counted, by the
very function that does so where no sketch knows; rungs are carried out between the measurements of the sketches, so that both see
the same machine. --giant adds 38 million weights, which takes minutes. The last line is one line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.lens.rungs import Aside, leaves, measured
from app.lens.shipping import pack
from app.lens.steps import place, running, settings
from app.lens.tables import tables
from compression.apply import encode
from compression.method import Layer, drained
from compression.recipe import Recipe, step

SIZES = {"10 k": (80, 128), "400 k": (500, 800), "2.4 M": (1500, 1600), "38 M": (4096, 9277)}
RECIPES = {
    "sparsity": Recipe((step("pruning.magnitude", sparsity=0.5),)),
    "sparsity, then 4 bits and Huffman": Recipe(
        (step("pruning.magnitude", sparsity=0.8), step("quantization.uniform", bits=4), step("coding.huffman"))),
    "bits": Recipe((step("quantization.uniform", bits=4, per="tensor"),)),
}
TRIED = 5  # rungs that are carried out, spread over the ladder


def row(layer: Layer, name: str) -> dict[str, float | str]:
    """Milliseconds of CPU time: of the first tables, of a rung from sketches, of a rung carried out; and the kilobytes sent."""
    which, steps = name.split(",")[0], settings(RECIPES[name], layer.name)
    start, first, memo = time.process_time(), None, {}
    for found in tables(layer, steps, memo, "bench", (which,)):
        if found is None:
            continue
        first = first or time.process_time()
        if all(r.known for r in found.ladder(which).rungs):
            break
    end = time.process_time()
    values, at = found.ladder(which).values, place(steps, which)
    leaf = max(leaves(encode(layer, running(steps[:at]))[0]), key=lambda part: part.values.numel())
    rungs = [values[i * (len(values) - 1) // (TRIED - 1)] for i in range(TRIED)]
    aside = Aside(memo, len(running(steps[:at])))
    drained(measured(layer, steps, at, rungs[0], aside, "bench", found.weights, leaf))  # what all rungs share is prepared
    begin = time.process_time()
    for value in rungs:
        drained(measured(layer, steps, at, value, aside, "bench", found.weights, leaf))
        aside.clear()
    carried = (time.process_time() - begin) / len(rungs)
    read, numbers = pack(found)
    told = (end - first) / len(values)
    return {"first_ms": 1e3 * (first - start), "told_ms": 1e3 * told, "carried_out_ms": 1e3 * carried, "times_quicker": carried / max(told, 1e-6),
            "kilobytes": (len(numbers) + len(json.dumps(read))) / 1e3}


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--giant", action="store_true", help="also 38 million weights")
    sizes = dict(list(SIZES.items()) if ask.parse_args().giant else list(SIZES.items())[:-1])
    torch.set_num_threads(1)
    rows = {}
    print(f"{'weights':8}{'ladder':36}{'first tables':>14}{'a rung told':>14}{'carried out':>14}{'ratio':>8}{'sent':>10}")
    for size, shape in sizes.items():
        layer = Layer("w", torch.randn(shape, generator=torch.Generator().manual_seed(0)) / 50)
        for name in RECIPES:
            found = rows[f"{size}, {name}"] = row(layer, name)
            print(f"{size:8}{name:36}{found['first_ms']:>11.1f} ms{found['told_ms']:>11.2f} ms{found['carried_out_ms']:>11.1f} ms"
                  f"{found['times_quicker']:>8.1f}{found['kilobytes']:>7.0f} KB", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
