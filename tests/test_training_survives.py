"""A training whose process is killed goes on from what it kept; and recorded studies come out again as they were recorded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from app.disk import Disk
from compression.recipe import Recipe
from compression.registry import procedures
from compression.train import loop
from compression.train.procedure import Task
from compression.train.record import STUDIES, begins_from, carried_out, judged, study
from compression.zoo import shipped

NAME, SETTINGS = "sparse.movement", {"epochs": 40}
ROOT = Path(__file__).parents[1]
BEGIN = """
import sys
from pathlib import Path
from tests.test_training_survives import points
print(points(Path(sys.argv[1])), flush=True)
"""
QUICKEST = sorted((name for name in procedures() if (STUDIES / f"{name}.json").is_file()), key=lambda name: study(name)["seconds"])[:3]


def points(folder=None):
    """Steps and accuracies of a training, kept in a folder every little while."""
    loop.KEEP = 0.2
    torch.set_num_threads(1)
    way, task = procedures()[NAME], Task(shipped.load("digits-mlp"), Recipe(), store=Disk(folder) if folder else None)
    *_, last = (p for p in way.run(task, **way.settings(**SETTINGS)) if p)
    return [[(p.step, p.accuracy) for p in run.points] for run in last.runs]


def test_a_killed_training_goes_on_where_it_last_kept_itself(tmp_path, monkeypatch):
    command = [sys.executable, "-c", BEGIN, str(tmp_path)]
    first = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, stdout=subprocess.PIPE)
    while not any(tmp_path.rglob("*.npz")) and first.poll() is None:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    said, _ = first.communicate()
    assert not said and any(tmp_path.rglob("*.npz")), "it was killed before its end, with something kept"
    steps, rate = [], loop.one_cycle
    monkeypatch.setattr(loop, "one_cycle", lambda step, total: steps.append(step) or rate(step, total))
    again, gone_on_with = points(tmp_path), len(steps)
    steps.clear()
    assert again == points(), "it ends as if nothing had happened"
    assert 0 < gone_on_with < len(steps), "and not all of it was done twice"


@pytest.mark.parametrize("name", QUICKEST)
def test_a_recorded_study_comes_out_again(name):
    """Its first setting with its first seed: within what the seeds spread, and half of one seed's own interval."""
    told = study(name)
    net, recipe = begins_from(name)
    row = told["rows"][0]
    last = carried_out(procedures()[name], Task(shipped.load(net), recipe, told["seeds"][0]), row["setting"])
    for run, recorded in zip(last.runs, row["runs"], strict=True):
        assert run.title == recorded["title"]
        out = [seed for seed in recorded["seeds"] if "test" in seed]
        if not out:
            continue
        found, good = judged(run), [seed["test"]["accuracy"] for seed in out]
        room = (out[0]["test"]["high"] - out[0]["test"]["low"]) / 4
        assert min(good) - room <= found["test"]["accuracy"] <= max(good) + room, (run.title, found["test"], good)
        assert found["file_bytes"] == pytest.approx(out[0]["file_bytes"], rel=0.02)
