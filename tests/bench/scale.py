"""What everything costs as networks grow: weights from 10^5 to 10^8, layers from 10 to 200, examples from 10^3 to 10^5.

    OMP_NUM_THREADS=1 python tests/bench/scale.py [--quick] [--only weights layers examples encoder decoder resnet-20]

Networks with random weights (tests/bench/giants.py), for speed only; and the scan of ResNet-20 on all its test images, for memory.
Every point has a process of its own, one thread. A row: processor seconds, and MB at the highest above what was held when that
work began. A slope is of log cost over log size: 1 is proportional. A point for which there is not memory enough is refused, and
work that takes over --patience seconds is given up, each in a sentence. The last line is one line of JSON.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path[:0] = [str(Path(__file__).parents[2])]
import giants  # noqa: E402
from peak import Cost, cost, free, peak  # noqa: E402

from compression import instant, measure  # noqa: E402
from compression.apply import compress, encode  # noqa: E402
from compression.data import Data  # noqa: E402
from compression.engine import sampling, scan  # noqa: E402
from compression.engine.answers import Answers  # noqa: E402
from compression.engine.choose import choose  # noqa: E402
from compression.engine.grid import Bank, full  # noqa: E402
from compression.engine.live import live  # noqa: E402
from compression.engine.tune import pace  # noqa: E402
from compression.export import file_size, pack  # noqa: E402
from compression.network import network  # noqa: E402
from compression.recipe import Override, Recipe, step  # noqa: E402
from compression.score import changed  # noqa: E402
from compression.zoo import shipped  # noqa: E402

DIALS = {"magnitude": (step("pruning.magnitude", sparsity=0.5), step("pruning.magnitude", sparsity=0.9)),
         "uniform": (step("quantization.uniform", bits=4), step("quantization.uniform", bits=6)),
         "k-means": (step("sharing.kmeans", bits=4), step("sharing.kmeans", bits=5)),
         "svd": (step("lowrank.svd", rank=0.5), step("lowrank.svd", rank=0.25))}
SHARE = 6  # times the bytes of its weights that a network is opened with at the least, or the point is refused
ROOM = 1_000  # MB that are left to others
LEAST = {"cpu": 4e-3, "height": 5.0}  # seconds and MB from which a cost is more than noise
Row = tuple[str, Cost]


def dials(net) -> Iterator[Row]:
    """Each dial on the largest layer: the first rung, and the next one, for which all is prepared."""
    layer = max(net.layers, key=lambda l: l.weight.numel())
    for name, rungs in DIALS.items():
        memo: dict[Any, Any] = {}
        for rung, words in zip(rungs, ("prepare", "answer")):
            yield f"{name}: {words}, one layer", cost(lambda r=rung, m=memo: encode(layer, (r,), m))[0]
    spent, source = cost(lambda: instant.prepare(layer.weight))
    yield "sketch: prepare, one layer", spent
    yield "sketch: 4-bit error, one layer", cost(lambda: instant.quantize(source, 4).relative_error)[0]


def recipes(net) -> Iterator[Row]:
    """A recipe on all layers: the first time, on the next rung, its size, its file, its error."""
    for name in ("uniform", "magnitude"):
        memo: dict[Any, Any] = {}
        first, second = (Recipe((rung,)) for rung in DIALS[name])
        yield f"{name}: prepare, whole", cost(lambda r=first, m=memo: compress(net, r, m))[0]
        spent, done = cost(lambda r=second, m=memo: compress(net, r, m))
        yield f"{name}: answer, whole", spent
        memo.clear()
    yield "file size", cost(lambda: file_size(done))[0]
    spent, data = cost(lambda: pack(done))
    yield "pack", spent
    assert len(data) == sum(file_size(done).values())
    del data
    spent, weights = cost(done.weights)
    yield "decode, whole", spent
    originals = {layer.names[0]: layer.weight for layer in net.layers}
    yield "error, whole", cost(lambda: measure.total_error(originals, {n: weights[n] for n in originals}))[0]
    yield "multiply-adds", cost(lambda: measure.multiply_adds(net.module, net.example))[0]


def asked(net, examples: int, scanned: int) -> Iterator[Row]:
    """The engine: its choice, the original's answers, the first estimates, some cells of a scan."""
    x = net.example
    data = Data("random", "test", torch.cat([_more(x, 512) for _ in range(0, examples, 512)])[:examples], None, (),
                "text" if not x.is_floating_point() else "vectors")
    spent, engine = cost(lambda: choose(net.module, net.layers, _more(x, 3)))
    yield f"engine: choose ({engine.kind})", spent
    fast = Answers(engine)
    spent, speed = cost(lambda: pace(engine, data.inputs))
    yield "engine: best batch", spent
    spent, first = cost(lambda: scan.original(fast, data.inputs, speed.batch))
    yield "original's answers", spent
    design = sampling.design(first.margins, unit=scan.unit(first))
    rung, middle = DIALS["uniform"][0], net.layers[len(net.layers) // 2].name
    for words, recipe in (("all layers", Recipe((rung,))), ("a middle layer", Recipe(overrides=(Override(middle, (rung,)),)))):
        done = compress(net, recipe)
        weights = changed(done, done.weights())
        yield f"first estimate, {words}", cost(lambda w=weights: next(s for s in live(fast, w, data, first, design, speed.piece) if s))[0]
    yield "estimate from all examples", cost(lambda: deque(live(fast, weights, data, first, design, speed.piece), 1))[0]
    spent, bank = cost(lambda: Bank(net.layers[:: -(-len(net.layers) // scanned)], [DIALS["uniform"][0]]))
    yield "scan: cells ready", spent
    spent, _ = cost(lambda: deque(scan.adaptive(fast, bank, data, first, batch=speed.batch), 1))
    yield "scan: one cell", spent._replace(cpu=spent.cpu / len(bank.cells))


def _more(x, count):
    """So many examples like these."""
    return torch.randn(count, *x.shape[1:]) if x.is_floating_point() else torch.randint(1_000, (count, *x.shape[1:]))


def grown(kind: str, examples: int = 1_000, scanned: int = 3, **size: int) -> Iterator[Row]:
    """Everything for one network."""
    module, x = getattr(giants, kind)(**size)
    spent, net = cost(lambda: network(kind, kind, module, example=x[:1]))
    yield "open", spent
    yield from dials(net)
    yield from recipes(net)
    yield from asked(net, examples, scanned)


def examined(kind: str, examples: int, **size: int) -> Iterator[Row]:
    """Only what grows with the examples."""
    module, x = getattr(giants, kind)(**size)
    yield from asked(network(kind, kind, module, example=x[:1]), examples, 1)


def scanned(name: str, examples: int, grid: int) -> Iterator[Row]:
    """A complete scan of a shipped network: every layer, twelve rungs, to the usual tolerance; and the full grid of some images."""
    net = shipped.load(name)
    data = net.data["test"]
    data = Data(data.name, data.split, data.inputs[:examples], data.labels[:examples], data.classes, data.kind)
    levels = [step("pruning.magnitude", sparsity=s) for s in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)]
    levels += [step("quantization.uniform", bits=b, symmetric=True, per="tensor") for b in (8, 6, 5, 4, 3, 2)]

    def complete() -> tuple[Answers, Bank, scan.State]:
        fast = Answers(choose(net.module, net.layers, data.inputs[:3]))
        bank = Bank(net.layers, levels)
        return fast, bank, deque(scan.adaptive(fast, bank, data, scan.original(fast, data.inputs, 128), batch=512), 1).pop()

    spent, (fast, bank, state) = cost(complete)
    assert state.done
    yield f"complete scan, {len(bank.cells)} cells, {len(data):,} images", spent
    if grid:
        yield f"full grid, {grid:,} images", cost(lambda: sum(len(b.rows) for b in full(fast, bank, data.inputs, torch.arange(grid), 128)))[0]


def points(quick: bool) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    """Axis -> (size along it, what to do there)."""
    weights = [10**5, 10**6] if quick else [10**5, 10**6, 10**7, 10**8]
    layers = [10, 50] if quick else [10, 30, 100, 200]
    examples = [10**3, 10**4] if quick else [10**3, 10**4, 10**5]
    return {
        "weights": [(n, dict(do="grown", kind="chain", weights=n, layers=20)) for n in weights],
        "weights, convolutions": [(n, dict(do="grown", kind="convolutions", weights=n, layers=10)) for n in weights if n < 10**8],
        "layers": [(n, dict(do="grown", kind="chain", weights=10**6, layers=n)) for n in layers],
        "examples": [(n, dict(do="examined", kind="chain", weights=10**5, layers=10, examples=n)) for n in examples],
        "encoder": [(22.7e6, dict(do="grown", kind="encoder", weights_about=22_700_000, examples=500))],
        "decoder": [] if quick else [(124.4e6, dict(do="grown", kind="decoder", weights_about=124_400_000, examples=64, scanned=1))],
        "resnet-20": [(n, dict(do="scanned", name="resnet-20", examples=n, grid=n // 10)) for n in ([1_000] if quick else [10_000])],
    }


def child(what: dict[str, Any], patience: int) -> None:
    """One point: a line of JSON for each row as it comes."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measure.multiply_adds(torch.nn.Linear(1, 1), torch.zeros(1, 1))  # the first time torch imports its compiler: a second, 60 MB
    room = int((free() - ROOM) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    signal.signal(signal.SIGPROF, _enough)
    do, about = globals()[what.pop("do")], what.pop("weights_about", None) or what.get("weights", 0)
    if about * 4 * SHARE > room:
        print(json.dumps(["refused", f"{about:,} weights want {about * 4 * SHARE / 1e6:,.0f} MB, and {room / 1e6:,.0f} MB may be used"]))
        return
    rows = do(**what)
    name = "building it"
    while True:
        signal.setitimer(signal.ITIMER_PROF, patience)
        try:
            name, spent = next(rows)
        except StopIteration:
            return
        except TimeoutError:
            print(json.dumps(["refused", f"what comes after “{name}” takes over {patience} seconds of the processor"]))
            return
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            print(json.dumps(["refused", f"what comes after “{name}” wants more than the {room / 1e6:,.0f} MB that may be used"]))
            return
        print(json.dumps([name, spent]), flush=True)


def _enough(*_: Any) -> None:
    raise TimeoutError


def measured(what: dict[str, Any], patience: int) -> tuple[dict[str, Cost], list[str]]:
    """Rows by name, and why some are missing."""
    done = subprocess.run([sys.executable, __file__, "--patience", str(patience), "--point", json.dumps(what)], stdout=subprocess.PIPE, text=True)
    rows, why = {}, []
    for line in done.stdout.splitlines():
        name, value = json.loads(line)
        if name == "refused":
            why.append(value)
        else:
            rows[name] = Cost(*value)
    return rows, why + ([f"the process ended with code {done.returncode} after “{next(reversed(rows), 'the start')}”"] if done.returncode else [])


def slope(sizes: list[float], costs: list[float], least: float) -> float | None:
    """Of log cost over log size, from costs large enough to be told from noise; None where fewer than two are."""
    known = [(s, c) for s, c in zip(sizes, costs) if c >= least]
    return float(np.polyfit(*np.log(np.array(known).T), 1)[0]) if len(known) > 1 else None


def table(axis: str, sizes: list[float], found: list[dict[str, Cost]]) -> dict[str, Any]:
    """Print one axis, and give it as plain data."""
    names = list(dict.fromkeys(n for rows in found for n in rows))
    print(f"\n{axis}\n{'CPU s (MB at the highest)':34}" + "".join(f"{s:>16,.0f}" for s in sizes) + ("   slope  of MB" if len(sizes) > 1 else ""))
    result = {}
    for name in names:
        rows = [r.get(name) for r in found]
        line = "".join(f"{'–':>16}" if r is None else f"{r.cpu:9.3f} {f'({r.height:,.0f})':>6}" for r in rows)
        have = [(s, r) for s, r in zip(sizes, rows) if r]
        slopes = [slope([s for s, _ in have], [getattr(r, what) for _, r in have], least) for what, least in LEAST.items()]
        print(f"{name:34}{line}" + "".join("" if x is None else f"{x:8.2f}" for x in slopes))
        result[name] = {"cpu_s": [r and round(r.cpu, 4) for r in rows], "mb": [r and round(r.height, 1) for r in rows],
                        "slope": slopes[0] and round(slopes[0], 2), "slope_mb": slopes[1] and round(slopes[1], 2)}
    return {"sizes": sizes, "rows": result}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--quick", action="store_true", help="small sizes, under two minutes")
    ask.add_argument("--only", nargs="*", help="some of the axes")
    ask.add_argument("--patience", type=int, default=0, help="processor seconds that one row may take (20 with --quick, else 300)")
    ask.add_argument("--point", help=argparse.SUPPRESS)
    given = ask.parse_args()
    patience = given.patience or (20 if given.quick else 300)
    if given.point:
        child(json.loads(given.point), patience)
        return
    torch.set_num_threads(1)
    result: dict[str, Any] = {"peak_gflops": round(peak() / 1e9), "free_mb": round(free())}
    print(f"matrix product {result['peak_gflops']} GF/s, {result['free_mb']:,} MB free")
    for axis, wanted in points(given.quick).items():
        if not wanted or (given.only and axis.split(",")[0] not in given.only):
            continue
        done = [measured(what, patience) for _, what in wanted]
        result[axis] = table(axis, [size for size, _ in wanted], [rows for rows, _ in done])
        result[axis]["refused"] = [f"{size:,.0f}: {why}" for (size, _), (_, reasons) in zip(wanted, done) for why in reasons]
        print(*result[axis]["refused"], sep="\n", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
