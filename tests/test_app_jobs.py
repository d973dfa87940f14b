"""Scans, studies, repairs and rewritings on the pages, without a browser."""

import re
import time

from screen import (  # noqa: F401 (two of them are fixtures)
    CONVOLUTIONS,
    OPENING,
    SMALL,
    agrees,
    cold,
    edit,
    healthy,
    measured,
    nobody_left,
    opened,
    press,
    put,
    recipe_of,
    texts,
    turned,
    wait_for_button,
)

from app import compute, words
from compression.apply import compress
from compression.evaluate import evaluate
from compression.export import pack
from compression.recipe import Recipe, step
from compression.score import changed
from compression.zoo import shipped


def test_a_scan_runs_to_its_end_and_again_and_a_new_session_finds_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SHRINKSCOPE_CACHE", str(tmp_path))
    compute.kept_on_disk.clear()
    compute._instruments.clear()
    at = opened("sensitivity", net=SMALL)
    assert "No scan yet" in texts(at)
    press(at, "Start scan")
    wait_for_button(at, "Scan again")
    layers = len(shipped.load(SMALL).layers)
    assert f"{7 * layers} of {7 * layers} cells settled" in texts(at)
    turned(at, "explore")
    turned(at, "sensitivity")
    assert f"{7 * layers} of {7 * layers} cells settled" in texts(at), "the results stay"
    put(at, "scan.method", "quantization.nf4")
    put(at, "scan.along.quantization.nf4", "block")
    press(at, "Start scan")
    wait_for_button(at, "Scan again")
    assert at.query_params["along"] == "block" and at.query_params["scan"] == "nf4-bits-4", "32 bit, its default, would do nothing"
    link = {key: at.query_params[key] for key in at.query_params}
    again = opened("sensitivity", **link)
    assert "of 8 cells settled before, and kept." in texts(healthy(again)) and "Set and pin" in str([b.label for b in again.button])
    for name in ("sharing.hashing", "lowrank.tucker2", "rewriting.remove_units"):
        put(at, "scan.method", name)
        healthy(at)
        press(at, "Start scan")
        wait_for_button(at, "Scan again")
    before = recipe_of(at)
    press(at, "Set and pin")
    assert [s["group"] for s in recipe_of(at).first] == [1] and "has these settings already" in texts(healthy(at))
    press(at, "Find the pair that hurts") if any(b.label.startswith("Find the pair") for b in at.button) else None
    press(at, "last safe settings")
    assert recipe_of(at) == before


def test_a_stopped_scan_keeps_what_it_has_and_goes_on():
    at = opened("sensitivity", net=CONVOLUTIONS)
    press(at, ("Start scan", "Go on"))
    for _ in range(1200):
        if "Outlined" in texts(at) or not any(b.label.startswith("Stop") for b in at.button):
            break
        time.sleep(0.1)
        at.run()
    if any(b.label.startswith("Stop") for b in at.button):
        press(at, "Stop")
    wait_for_button(at, ("Go on", "Scan again"))
    kept = int(re.search(r"(\d+) of 42 cells settled", texts(at))[1])
    at.run()
    assert f"{kept} of 42 cells settled" in texts(healthy(at))
    if kept < 42:
        press(at, "Go on")
        wait_for_button(at, "Scan again")
    assert "42 of 42 cells settled" in texts(at)


def test_the_limit_of_each_layer_is_found_by_halving():
    at = opened("sensitivity", net=SMALL)
    put(at, "scan.look", "the limit of each layer")
    press(at, "Start scan")
    wait_for_button(at, "Scan again")
    assert "if more never helps" in texts(healthy(at))


def test_two_people_share_no_state():
    one, two = opened(), opened(net="lenet-300-100")
    put(one, "dial.sparsity", 0.9)
    edit(one, {0: {"locked": True}})
    two.run()
    agrees(two, "lenet-300-100", Recipe(OPENING))
    one.run()
    agrees(one, "lenet-5", Recipe(OPENING).with_default(step("pruning.magnitude", sparsity=0.9)).with_lock("conv1", True))


def test_a_click_repairs_and_a_second_takes_it_off():
    at = opened(net="resnet-20")
    put(at, "dial.sparsity", 0.7)
    measured(at)
    before = at.markdown[0].value
    press(at, "Repair in one click")
    recipe = Recipe((step("pruning.magnitude", sparsity=0.7),), repairs=("norms", "survivors"))
    assert recipe_of(at).repairs == recipe.repairs and at.query_params["repair"] == "norms~survivors"
    measured(at, ("so far", "measuring", "estimated", "repairing"))
    done = compress(shipped.load("resnet-20"), recipe)
    data = shipped.load("resnet-20").data["validation"]
    quality = list(evaluate(done.network, changed(done, done.weights()), data))[-1].quality
    assert f"**{words.within(*quality.accuracy)}**" in at.markdown[0].value
    assert all(f"✓ {note.title}" in texts(at) for note in done.notes)
    press(at, "Take the repairs off")
    measured(at)
    assert at.markdown[0].value == before and not recipe_of(at).repairs


def test_a_rewriting_of_the_whole_network_comes_first():
    at = opened(net="resnet-20")
    put(at, "first.rewriting.fold_norms", True)
    recipe = Recipe(OPENING, first=(step("rewriting.fold_norms"),))
    assert recipe_of(at).first == recipe.first and at.query_params["first"] == "fold_norms"
    done = compress(shipped.load("resnet-20"), recipe)
    assert {m.label: m.value for m in at.metric}["Size of the file"] == words.size(len(pack(done)))
    put(at, "first.rewriting.fold_norms", False)
    agrees(at, "resnet-20", Recipe(OPENING))
