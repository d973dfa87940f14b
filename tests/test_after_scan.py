"""What follows from a scan: deals, the last safe settings as one step that can be undone, and whether single drops add up."""

import csv
import io

from screen import SMALL, cold, healthy, nobody_left, opened, press, recipe_of, texts, turned, wait_for_button  # noqa: F401

from app import after_scan, cells, jobs
from compression.recipe import Recipe, step
from compression.registry import method
from compression.sensitivity import Cell, Scan

KNOB = method("pruning.magnitude").knob("sparsity")


def cell(layer, value, drop, saved, nats=0.0, half=0.01):
    return Cell(layer, value, step("pruning.magnitude", sparsity=value), "", saved, nats, drop, half, 500, True)


def test_with_all_examples_wanted_progress_counts_examples():
    rows = tuple(cell("a", v, 0.01, 100)._replace(n=50, settled=False) for v in (0.5, 0.9))
    scan = Scan(rows, 200, 0.9, "measuring", until=(0.0, 0.0, 0.0))
    assert cells.progress(scan, 10.0) == (0.25, "0 of 2 cells settled, 25 % of all examples asked · 30 s left")
    assert cells.progress(Scan(rows, 200, 0.9, "measuring", until=(0.01, 0.1, 0.0)), 10.0) == (0.0, "0 of 2 cells settled")


def test_the_best_deal_loses_nothing_and_then_saves_most_for_a_point():
    rows = [cell("a", 0.5, 0.01, 100), cell("a", 0.9, 0.10, 300), cell("b", 0.5, 0.0, 10), cell("b", 0.9, 0.01, 0)]
    found = after_scan.deals(Scan(tuple(rows), 500, 0.9))
    assert [(c.layer, c.value) for c, _ in found] == [("b", 0.5), ("a", 0.5), ("a", 0.9)]
    assert [round(rate) for _, rate in found[1:]] == [100, 30]


def test_the_ranking_is_told_only_where_enough_is_measured():
    rows = [cell("a", 0.5, 0.01 * i, 1, nats=float(i)) for i in range(10)]
    assert "10 measured cells at a rank correlation of 1.00" in after_scan.ranking(Scan(tuple(rows), 500, 0.9))
    assert after_scan.ranking(Scan(tuple(rows[:5]), 500, 0.9)) == ""


def test_locked_layers_are_left_alone_and_what_is_set_already_is_no_change():
    recipe = Recipe((step("pruning.magnitude", sparsity=0.5),), locked=("c",))
    chosen = [cell("a", 0.5, 0.0, 1), cell("b", 0.9, 0.0, 1), cell("c", 0.9, 0.0, 1)]
    found, locked = after_scan.changes(recipe, chosen, KNOB)
    assert [(c.layer, c.now, c.then) for c in found] == [("b", "50 %", "90 %")] and locked == ["c"]


def test_whether_single_drops_add_up_allows_for_both_intervals():
    chosen = [cell("a", 0.5, 0.01, 1, half=0.003), cell("b", 0.5, 0.02, 1, half=0.004)]
    assert "about as much as the sum of their single drops, 3.0 ± 0.5" in after_scan.together(chosen, (-0.032, -0.034, -0.03), False, True)
    assert "more than the sum" in after_scan.together(chosen, (-0.08, -0.082, -0.078), False, True)
    assert "less than" in after_scan.together(chosen, (0.995, 0.994, 0.996), True, False)


def test_the_csv_has_distillers_columns():
    found = Scan((cell("a", 0.5, 0.01, 100), Cell("b", 0.5, step("pruning.magnitude", sparsity=0.5))), 500, 0.9)
    rows = list(csv.DictReader(io.StringIO(after_scan.to_csv(found, "sparsity"))))
    assert list(rows[0])[:5] == ["parameter", "sparsity", "top1", "top5", "loss"] and len(rows) == 1
    assert (rows[0]["parameter"], float(rows[0]["top1"]), rows[0]["top5"]) == ("a", 89.0, "")


def test_the_last_safe_settings_are_one_step_and_are_measured_together():
    at = opened("sensitivity", net=SMALL, v="1")
    press(at, ("Start scan", "Go on"))  # kept from another test, perhaps
    wait_for_button(at, "Scan again")
    assert "rank correlation" in texts(at)
    before = recipe_of(at)
    assert "No setting that was measured" not in texts(at), texts(at)
    press(at, "Set and pin")
    after = recipe_of(at)
    assert after != before and all(o.steps[0].method == "pruning.magnitude" for o in after.overrides)
    assert "has these settings already" in texts(at) and len(at.session_state["history"].past) == 1
    press(at, "last safe settings")
    assert recipe_of(at) == before
    press(at, "Measure them together")
    assert jobs.quick.find(f"{at.session_state['owner']}.scan.together").ended(60)
    assert "Together they lose" in texts(healthy(at.run()))
