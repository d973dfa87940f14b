"""How soon every method answers its dials on a layer of about a million weights, once it has prepared; and what all codebooks cost.

    OMP_NUM_THREADS=1 python tests/bench/answers.py [--only lowrank,sharing.kmeans,codebooks] [--write]

Two layers are tried, a matrix and a convolution, in a network with random examples. For every method: CPU seconds to prepare, and
CPU milliseconds at each rung for the form and its bytes, and then for the form decoded and its error. Codebooks of every size up
to 64 are timed against one scikit-learn KMeans run at 16, in turns. The last line is one line of JSON; --write puts the methods'
part into assets/answers.json, where the screen finds which methods are slower than the target.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from compression.data import Data  # noqa: E402
from compression.measure import error  # noqa: E402
from compression.method import Layer  # noqa: E402
from compression.network import network  # noqa: E402
from compression.recipe import step  # noqa: E402
from compression.registry import methods  # noqa: E402
from compression.sketches.codebooks import codebooks  # noqa: E402
from compression.sketches.codebooks import error as squared_error  # noqa: E402
from compression.sketches.ordered import ordered  # noqa: E402

TARGET = 50.0  # ms, median
RUNGS = 12  # of a knob at most
PATIENCE = 60.0  # CPU seconds in one method's answers
KINDS = {"linear": (1000, 1000), "conv": (336, 336, 3, 3)}
ABOUT = {"target_ms": TARGET, "weights": {kind: int(np.prod(shape)) for kind, shape in KINDS.items()}}


def about(kind: str) -> Layer:
    """A layer of a million weights with heavy tails, the second of three in a network with random examples."""
    out, into, *kernel = KINDS[kind]
    generator = torch.Generator().manual_seed(0)
    owner = nn.Conv2d(into, out, kernel, padding=1) if kernel else nn.Linear(into, out)
    before = nn.Conv2d(3, into, 1) if kernel else nn.Linear(64, into)
    after = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(out, 10)] if kernel else [nn.ReLU(), nn.Linear(out, 10)]
    module = nn.Sequential(before, nn.ReLU(), owner, *after)
    weight = torch.from_numpy(np.random.default_rng(0).standard_t(5, KINDS[kind]).astype(np.float32)) / owner.weight[0].numel() ** 0.5
    owner.weight = nn.Parameter(weight)
    inputs = torch.randn((128, 3, 6, 6) if kernel else (512, 64), generator=generator)
    labels = torch.randint(10, (len(inputs),), generator=generator)
    data = Data("random", "train", inputs, labels, tuple("0123456789"), "images" if kernel else "vectors")
    return network("large", "Large", module, {"train": data}).layer("2")


def given(name: str, layer: Layer) -> torch.Tensor:
    """The weight, or for a coder as many codes of four bits, of which small ones are frequent."""
    if methods()[name].consumes == "values":
        return layer.weight
    codes = np.random.default_rng(0).geometric(0.3, layer.weight.numel()).clip(1, 16) - 1
    return torch.from_numpy(codes.astype(np.uint8))


def turned(name: str) -> list[dict]:
    """Knobs turned one at a time through their rungs, or a dozen of them, the others at their defaults."""
    found = [dict(step(name).knobs)]
    for knob in methods()[name].knobs:
        rungs = knob.ladder if len(knob.ladder) <= RUNGS else [knob.ladder[i * (len(knob.ladder) - 1) // (RUNGS - 1)] for i in range(RUNGS)]
        found += [dict(step(name, **{knob.name: rung}).knobs) for rung in rungs if rung != knob.off and rung != knob.default]
    return found


def timed(work) -> tuple[object, float]:
    begin = time.process_time()
    done = work()
    return done, 1e3 * (time.process_time() - begin)


def answered(name: str, layer: Layer) -> dict | str:
    """Times of one method on one layer, or the sentence why it does not apply."""
    known, tensor = methods()[name], given(name, layer)
    why = known.why_not(tensor, layer)
    if why is not None:
        return why
    ready, spent = timed(lambda: known.prepare(tensor, layer))
    bytes_, errors, slowest, start = [], [], (0.0, {}), time.process_time()
    for knobs in turned(name):
        form, first = timed(lambda knobs=knobs: known.answer(ready, **knobs))
        _, more = timed(lambda form=form: form.nbytes)
        _, after = timed(lambda form=form: error(tensor, form.decode()) if known.consumes == "values" else form.decode())
        bytes_.append(first + more)
        errors.append(first + more + after)
        slowest = max(slowest, (first + more, knobs), key=lambda pair: pair[0])
        if time.process_time() - start > PATIENCE:
            break
    return {"prepare_s": round(spent / 1e3, 2), "bytes_ms": round(statistics.median(bytes_), 1), "error_ms": round(statistics.median(errors), 1),
            "slowest_ms": round(slowest[0], 1), "slowest_at": slowest[1], "rungs": len(bytes_)}


def verdict(rows: dict[str, dict]) -> bool:
    """Whether a method's bytes and error come within the target on every layer that it applies to."""
    return all(row["error_ms"] <= TARGET for row in rows.values())


def all_codebooks(layer: Layer, turns: int = 3) -> dict:
    """CPU seconds of codebooks of all sizes to 64, sorting included, and of one KMeans at 16; and their squared errors at 16."""
    from sklearn.cluster import KMeans

    values = layer.weight.numpy().ravel()
    ours, theirs = [], []
    for _ in range(turns):
        books, spent = timed(lambda: codebooks(ordered(values), range(1, 65)))
        ours.append(spent / 1e3)
        _, spent = timed(lambda: KMeans(16, n_init=1, random_state=0).fit(values[:, None]))
        theirs.append(spent / 1e3)
    sizes = (2, 4, 8, 16, 32, 64)
    fits = {k: KMeans(k, n_init=1, random_state=0).fit(values[:, None]).cluster_centers_ for k in sizes}
    source = ordered(values)
    shares = {k: books[k][1] / squared_error(source, np.sort(centres.ravel()).astype(np.float32)) for k, centres in fits.items()}
    return {"ours_all_64_s": round(min(ours), 3), "kmeans_at_16_s": round(min(theirs), 3), "ratio": round(min(ours) / min(theirs), 3),
            "sse_beside_kmeans": {k: round(share, 5) for k, share in shares.items()}, "never_above": max(shares.values()) <= 1 + 1e-9}


def written(found: dict[str, dict]) -> None:
    """Put what was found into the file that ships, beside the methods already in it that are still here."""
    path = ROOT / "assets" / "answers.json"
    before = json.loads(path.read_text())["methods"] if path.is_file() else {}
    every = {name: row for name, row in sorted((before | found).items()) if name in methods()}
    slow = [name for name, row in every.items() if not row["live"]]
    path.write_text(json.dumps(ABOUT | {"slow": slow, "methods": every}, indent=1) + "\n")


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--only", default="", help="families or methods, by comma, or codebooks")
    ask.add_argument("--write", action="store_true", help="put the methods' part into assets/answers.json")
    asked = ask.parse_args()
    torch.set_num_threads(1)
    layers = {kind: about(kind) for kind in KINDS}
    only = [word for word in asked.only.split(",") if word]
    chosen = [name for name in methods() if not only or name in only or name.split(".")[0] in only]
    found: dict[str, dict] = {}
    print(f"{'CPU, ms, median over rungs':34}{'layer':>8}{'prepare s':>11}{'bytes':>9}{'+ error':>9}{'slowest':>9}   verdict")
    for name in chosen:
        rows = {}
        for kind, layer in layers.items():
            row = answered(name, layer)
            if isinstance(row, str):
                continue
            rows[kind] = row
            told = "live" if row["error_ms"] <= TARGET else f"slower than {TARGET:.0f} ms"
            times = f"{row['bytes_ms']:9.1f}{row['error_ms']:9.1f}{row['slowest_ms']:9.1f}"
            print(f"{name:34}{kind:>8}{row['prepare_s']:11.2f}{times}   {told}", flush=True)
        if rows:
            found[name] = {"live": verdict(rows)} | rows
            if asked.write:
                written(found)
    slow = sorted(name for name, row in found.items() if not row["live"])
    print(f"\n{len(found)} methods, {len(slow)} slower than {TARGET:.0f} ms: {', '.join(slow) or 'none'}")
    result: dict = ABOUT | {"slow": slow, "methods": found}
    if not only or "codebooks" in only:
        result["codebooks"] = all_codebooks(layers["linear"])
        print(f"codebooks: all sizes to 64 in {result['codebooks']['ours_all_64_s']} s, KMeans at 16 in {result['codebooks']['kmeans_at_16_s']} s; "
              f"squared error never above: {result['codebooks']['never_above']}")
    result["load_average"] = os.getloadavg()[0]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
