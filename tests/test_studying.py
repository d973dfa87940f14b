"""The Trade-off page without a browser: what it measures is what plain Python measures, kept and never measured twice."""

import csv
import json
import re
import threading
import time
from io import StringIO

import pytest
import streamlit as st
from screen import SMALL, cold, healthy, nobody_left, opened, press, put, recipe_of, texts, turned, wait_for_button  # noqa: F401

from app import compute, long_work
from app.studying import axes, picture, rows, table
from app.studying.plan import Plan
from app.studying.rows import Wish
from compression.apply import compress
from compression.evaluate import evaluate
from compression.export import pack
from compression.measure import multiply_adds
from compression.recipe import Recipe, from_json, step
from compression.score import changed
from compression.takeaway import as_python
from compression.zoo import shipped

NET = shipped.load(SMALL)
SWEPT = (("sparsity", ("pruning.magnitude",)), ("bits", ("quantization.uniform",)))


def few(**link):
    """The page with the fewest settings of each dial, all examples each: 16 recipes, and 12 at random."""
    at = put(opened("trade-off", net=SMALL, **link), "study.settings", "few")
    return put(at, "study.until", "all examples")


def finished(at):
    for _ in range(1500):
        if not any(b.label.startswith("Stop") for b in at.button):
            return healthy(at)
        time.sleep(0.1)
        at.run()
    raise AssertionError("the study never ended: " + texts(at))


def measured():
    at = few()
    return at if "28 of 28 recipes measured" in texts(at) else finished(press(at, ("Measure the recipes", "Go on")))


def known(at, search=0):
    """What the page knows, as its parts see it."""
    base = at.session_state[f"study.base.{SMALL}"]
    return rows.shown(NET, "validation", Wish(Plan(base, SWEPT, "few"), 0.0, True, (), search))


def seen(found, x="bytes", y="accuracy"):
    costs, goods = axes.costs(compute.BATCHES), axes.goods(False, True)
    return picture.view(found, costs[x], goods[y], ("log",), 1.0)


def test_a_study_agrees_with_plain_python_and_is_never_measured_twice(monkeypatch):
    at = measured()
    assert "28 of 28 recipes measured" in texts(at)
    found = list(csv.DictReader(StringIO(table.to_csv(known(at), seen(known(at))))))
    assert len(found) == 28 and [r["kind"] for r in found] == ["sweep"] * 16 + ["random"] * 12
    for row in (found[0], found[7], found[15], found[20]):
        recipe = from_json(row["recipe_json"])
        done = compress(NET, recipe)
        *_, last = evaluate(NET, changed(done, done.weights()), NET.data["validation"])
        q = last.quality
        assert int(row["file_bytes"]) == len(pack(done)) and int(row["multiply_adds"]) == multiply_adds(NET.module, NET.example)
        assert float(row["accuracy"]) == pytest.approx(q.accuracy.value) and float(row["loss_nats"]) == pytest.approx(q.loss, abs=1e-5)
        assert float(row["agreement"]) == pytest.approx(q.agreement.value) and int(row["examples"]) == int(row["of"]) == q.n
        assert float(row["bits_per_weight"]) == pytest.approx(8 * len(pack(done)) / NET.parameters, abs=1e-3)
    shown = at.dataframe[0].value
    assert len(shown) == 28 and list(shown["size (KB)"][:16]) == [int(r["file_bytes"]) / 1e3 for r in found[:16]]
    assert "against random pruning at the same settings: clearly more accurate at" in texts(at)

    turned(at, "explore")
    assert "28 of 28 recipes measured" in texts(turned(at, "trade-off")), "another page in between changes nothing"
    st.cache_resource.clear()
    monkeypatch.setattr(long_work, "studying", lambda *asked: pytest.fail("it was measured before"))
    again = few()
    assert "28 of 28 recipes measured" in texts(healthy(again)), "it is known from the disk"
    assert next(b for b in again.button if b.key == "study.begin").disabled


@pytest.mark.parametrize("x, y, column, good, sign", [
    ("bytes", "accuracy", "file_bytes", "accuracy", 1), ("bits per weight", "loss", "bits_per_weight", "loss_nats", -1),
    ("multiply-adds", "agreement", "multiply_adds", "agreement", 1)])
def test_the_fronts_are_what_brute_force_finds_in_the_download(x, y, column, good, sign):
    at = measured()
    found = known(at)
    lines = list(csv.DictReader(StringIO(table.to_csv(found, seen(found, x, y)))))

    def beaten(row, among):
        here = float(row[column]), sign * float(row[good])
        others = [(float(o[column]), sign * float(o[good])) for o in among]
        return any(a <= here[0] and b >= here[1] and (a, b) != here for a, b in others)

    for on, among in (("on_front_of_study", lambda r: [o for o in lines if o["study"] == r["study"]]),
                      ("on_front_of_all", lambda r: [o for o in lines if o["kind"] == "sweep"])):
        marked = [r for r in lines if r[on] == "True"]
        assert marked and not any(beaten(r, among(r)) for r in marked)
        for r in lines:
            if r[on] == "False" and r["kind"] == "sweep":
                twin = any((r[column], r[good]) == (m[column], m[good]) for m in marked)  # of equals one is marked
                assert beaten(r, among(r)) or twin
    assert all(r["on_front_of_all"] == "False" for r in lines if r["kind"] == "random")


def test_a_selected_recipe_says_what_beats_it_loads_as_one_step_and_can_be_kept_and_copied():
    at = measured()
    found = known(at)
    worst = next(r for r in found.rows if r.kind == "sweep" and r not in seen(found).front)
    assert "No recipe selected" in texts(at)
    at.session_state["study.selected"] = (worst.network, worst.recipe)
    at.run()
    assert "Not on the front: " in texts(healthy(at)) and f"**{worst.said}**" in texts(at)
    put(at, "study.settings", "some")
    at.session_state["study.selected"] = (worst.network, Recipe((step("pruning.magnitude", sparsity=0.42),)))
    assert "No recipe selected" in texts(healthy(at.run())), "what is not on the chart is not called the original"
    at.session_state["study.selected"] = (worst.network, Recipe())
    assert "**The original.**" in texts(healthy(at.run()))
    put(at, "study.settings", "few")
    at.session_state["study.selected"] = (worst.network, worst.recipe)
    at.run()
    before, steps = recipe_of(at), len(at.session_state["history"].past)
    press(at, "Snapshot as A")
    press(at, "Snapshot as B")
    assert [s.recipe for s in at.session_state["shelf"].values()] == [worst.recipe] and at.session_state["sides"] == (1, 1)
    press(at, "Load")
    assert recipe_of(at) == worst.recipe and len(at.session_state["history"].past) == steps + 1
    tree = at.session_state["tried"]
    assert [n.recipe for n in tree.nodes] == [before, worst.recipe] and "recipes were on screen" not in texts(at)
    press(at, "loaded")  # undo
    assert recipe_of(at) == before

    said = []
    code = as_python(NET, worst.recipe, "validation")
    exec(compile(code, "copied", "exec"), {"print": lambda *given: said.append(given)})
    assert said[0][0] == worst.point.file_bytes and said[1] == (worst.point.quality.accuracy, worst.point.quality.n)


def test_layer_by_layer_it_searches_on_from_the_front_but_not_on_test_examples():
    at = measured()
    put(at, "study.search", 20)
    finished(press(at, "Search layer by layer"))
    found = known(at)
    bred = [r for r in found.rows if r.kind == "search"]
    assert len(bred) == 20 == len({r.recipe for r in bred}) and "by layer" in bred[0].said
    assert any(len({o.steps for o in r.recipe.overrides}) > 1 for r in bred)
    for r in bred[:2]:
        assert r.point.file_bytes == len(pack(compress(NET, r.recipe)))
    finished(press(at, "Search layer by layer"))
    assert sum(r.kind == "search" for r in known(at).rows) == 40, "it goes on"
    put(at, "judge", "test")
    assert "choosing happens on validation examples" in texts(healthy(at))


def test_a_stopped_study_keeps_what_it_has_and_goes_on(monkeypatch):
    """The worker waits after three recipes, until the study was stopped."""
    measure, stopped = long_work.studying, threading.Event()

    def halting(*asked):
        count = 0
        for point in measure(*asked):
            yield point
            count += point is not None
            while count == 3 and not stopped.is_set():
                stopped.wait(0.01)
                yield None

    monkeypatch.setattr(long_work, "studying", halting)
    at = put(few(), "study.sparsity", ["pruning.global_magnitude"])
    before = int(re.search(r"(\d+) of \d+ recipes measured|$", texts(at))[1] or 0)
    press(at, ("Measure the recipes", "Go on"))
    for _ in range(600):
        if any(b.label == "Stop, keep 3" for b in at.button):
            break
        time.sleep(0.1)
        at.run()
    press(at, "Stop")
    stopped.set()
    wait_for_button(at, "Go on")
    kept, total = map(int, re.search(r"(\d+) of (\d+) recipes measured", texts(at)).groups())
    assert kept == before + 3 < total
    finished(press(at, "Go on"))
    assert f"{total} of {total} recipes measured" in texts(at)


def test_what_cannot_be_studied_is_said():
    at = few()
    put(at, "study.sparsity", ["pruning.magnitude", "pruning.wanda"])
    put(at, "study.bits", ["quantization.uniform", "sharing.kmeans"])
    assert "at most 3 can be told apart" in texts(healthy(at)) and next(b for b in at.button if b.key == "study.begin").disabled
    put(at, "study.sparsity", [])
    put(at, "study.bits", [])
    assert "Choose at least one method" in texts(healthy(at))
    put(at, "study.rank", ["lowrank.svd"])
    assert "No study yet" in texts(healthy(at)) or "recipes measured" in texts(at)


def test_another_recipe_on_screen_is_studied_when_asked():
    at = few()
    assert "has others now" not in texts(at)
    put(at, "dial.rank", 0.5)
    assert "has others now" in texts(healthy(at))
    press(at, "Study what is on screen")
    assert "has others now" not in texts(at) and at.session_state[f"study.base.{SMALL}"] == recipe_of(at)
    assert json.loads(table._one_line(Recipe((step("lowrank.svd", rank=0.5),))))["default"][0]["knobs"] == {"rank": 0.5}
