"""Record studies: run ways of training with several seeds, judge what comes out on all examples, and write assets/studies.

    python -m compression.train.record recover.iterative --seeds 0 1 2        (or nothing, for all)

Each study begins from the network, the recipe and the settings that the procedure names. The app shows what is written here, with the
spread between seeds, before anything is run again.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from compression.evaluate import Quality
from compression.method import Value
from compression.recipe import Recipe, to_json
from compression.registry import procedures
from compression.score import score
from compression.train.procedure import Procedure, Task
from compression.train.progress import Point, Progress, Run
from compression.zoo import shipped
from compression.zoo.data import ASSETS

STUDIES = ASSETS / "studies"
CURVE = 21  # points of a recorded curve at most
log = logging.getLogger("record")


def carried_out(procedure: Procedure, task: Task, settings: dict[str, Value]) -> Progress:
    """The end of one run of a procedure. Raises ValueError where it does not apply."""
    why = procedure.why_not(task)
    if why:
        raise ValueError(why)
    *_, last = (p for p in procedure.run(task, **procedure.settings(**settings)) if p is not None)
    return last


def judged(run: Run) -> dict[str, Any]:
    """What came out of a run: file bytes, and accuracy on all validation and all test examples, beside the original's."""
    if run.trained is None:
        return {}
    net, recipe = run.trained.network, run.trained.recipe
    found = {split: score(net, recipe, split) for split in ("validation", "test")}
    return {"file_bytes": found["test"].file_bytes, "original_bytes": found["test"].original_bytes,
            **{split: _told(s.quality) for split, s in found.items()}}


def _told(q: Quality) -> dict[str, Any]:
    return {"accuracy": round(q.accuracy.value, 6), "low": round(q.accuracy.low, 6), "high": round(q.accuracy.high, 6),
            "original": round(q.original.value, 6), "n": q.n}


def thinned(points: Sequence[Point]) -> list[Point]:
    """A curve's first and last point, and as many between, evenly apart, as are kept.

    >>> [p.step for p in thinned([Point(i, 0.0, 0.0, 0.0) for i in range(42)])][-3:]
    [36, 39, 41]
    """
    apart = max(1, -(-(len(points) - 1) // (CURVE - 1)))
    return [p for i, p in enumerate(points) if i % apart == 0 or i == len(points) - 1]


def recorded(name: str, seeds: list[int]) -> Iterator[dict[str, Any]]:
    """One row for each setting of a procedure's study."""
    procedure = procedures()[name]
    network = shipped.load(procedure.shown_on)
    for recipe, setting in procedure.recorded():
        runs: dict[str, dict[str, Any]] = {}
        for seed in seeds:
            begun = time.process_time()
            last = carried_out(procedure, Task(network, recipe, seed), setting)
            log.info("%s %s seed %d: %.0f s", name, setting, seed, time.process_time() - begun)
            for run in last.runs:
                row = runs.setdefault(run.title, {"title": run.title, "control": run.control, "seeds": []})
                points = [[p.step, round(p.seconds, 2), float(f"{p.loss:.5g}") if p.loss == p.loss else None, round(p.accuracy, 6),
                           {name: round(x, 4) for name, x in p.traced.items()}] for p in thinned(run.points)]
                row["seeds"].append({"seed": seed, "points": points, **judged(run)})
        yield {"setting": setting, "recipe": json.loads(to_json(recipe)), "watched": last.watched, "runs": list(runs.values())}


@cache
def study(name: str) -> dict[str, Any] | None:
    """The recorded study of a procedure; None where there is none."""
    file = STUDIES / f"{name}.json"
    return json.loads(file.read_text()) if file.is_file() else None


def begins_from(name: str) -> tuple[str, Recipe]:
    """The network and the recipe that a procedure's study begins from."""
    return procedures()[name].shown_on, procedures()[name].recipe


def main() -> None:
    """Run what was asked for and write a file for each."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", help=", ".join(procedures()))
    ask.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    ask.add_argument("--out", type=Path, default=STUDIES)
    asked = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.names or procedures():
        begun = time.process_time()
        net, recipe = begins_from(name)
        rows: list[dict[str, Any]] = []
        for row in recorded(name, asked.seeds):  # written after each, so that one that is stopped keeps what is done
            rows.append(row)
            seconds = (time.process_time() - begun) / (len(rows) * max(1, len(asked.seeds)))
            told = {"procedure": name, "network": net, "recipe": json.loads(to_json(recipe)), "seeds": asked.seeds, "torch": torch.__version__,
                    "seconds": round(seconds, 1), "rows": rows}
            (asked.out / f"{name}.json").write_text(json.dumps(told, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
