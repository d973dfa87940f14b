"""The Budget page: from a wish to one step that can be undone, with what was measured; and what it says where nothing can be done."""

import time

from screen import SMALL, cold, healthy, nobody_left, opened, press, put, recipe_of, texts, wait_for_button  # noqa: F401

from app import words
from app.budgeting import asking
from compression.apply import compress
from compression.budget import hessian
from compression.budget.plans import SOLVER
from compression.budget.recorded import recorded
from compression.recipe import step
from compression.score import size_of
from compression.zoo import shipped


def wish(at, kb=None, points=None, adds=None):
    net = shipped.load(SMALL)
    for key, value in ((f"budget.kb.{net.digest}", kb), ("budget.points", points), (f"budget.adds.{net.digest}", adds)):
        next(n for n in at.number_input if n.key == key).set_value(value)
    return at.run()


def found(at):
    press(at, "Find the best recipe")
    return until(at, "Done after", "the least these options come to is")


def until(at, *any_of):
    for _ in range(600):
        if any(words_there in f"{texts(at)}{[w.value for w in at.warning]}" for words_there in any_of):
            return healthy(at)
        time.sleep(0.1)
        at.run()
    raise AssertionError(f"{any_of} never came: {texts(at)}")


def test_a_wish_becomes_one_step_that_can_be_undone(monkeypatch):
    monkeypatch.setattr(hessian, "PROBES", 2)
    at = healthy(opened("budget", net=SMALL, do="magnitude-sparsity-0.5", lock="fc2", kb="7"))
    assert "Left as trained, as locked: fc2" in texts(at) and "Not looked for yet" in texts(at)
    assert at.query_params["kb"] == ["7"] or at.query_params["kb"] == "7"
    found(wish(at, kb=6.0))
    assert "6" in at.query_params["kb"]
    said = texts(at)
    assert "Measured together: loses" in said and "≈ Estimated: a divergence of" in said and "adds up to less" in said
    assert "Why fc1 got" in said and "HAWQ (Hessian)" in said and "Beside the solver, on validation examples" in said
    before = recipe_of(at)
    press(at, "Snapshot")  # the sidebar's and the page's have one name; the page's comes first
    kept = at.session_state["shelf"][1]
    press(at, "Apply to")
    after = recipe_of(at)
    assert [o.pattern for o in after.overrides] == ["fc1"] and after.locked == ("fc2",) and len(at.session_state["history"].past) == 1
    net = shipped.load(SMALL)
    size = size_of(compress(net, after))
    assert size <= 6_000 and f"**{words.size(size)}**" in said and kept.file_bytes == size and kept.judged.split == "validation"
    assert "The recipe on screen is this one already." in texts(healthy(at))
    press(at, "budget ")
    assert recipe_of(at) == before


def test_a_report_on_test_examples_and_a_race(monkeypatch):
    monkeypatch.setattr(hessian, "PROBES", 2)
    at = opened("budget", net=SMALL, v="1")
    found(wish(at, kb=2.6, points=None))
    press(at, "Report on test")
    until(at, "Beside the solver, on test examples")
    put(at, "budget.count", 30)
    press(at, "Race")
    wait_for_button(at, "Race again")
    assert "Each search had 30 recipes measured on 256 validation examples" in texts(at)
    assert all(name in texts(at) for name in ("NSGA-II", "TPE", "Particle filter"))
    press(at, "Apply to")
    first = recipe_of(at)
    put(at, "budget.take", "One multiplier")
    press(at, "Apply to")
    assert len({size_of(compress(shipped.load(SMALL), r)) for r in (first, recipe_of(at))}) == 2


def test_a_promise_is_looked_for_and_what_is_impossible_says_what_to_do(monkeypatch):
    monkeypatch.setattr(hessian, "PROBES", 2)
    at = opened("budget", net=SMALL, v="1")
    found(wish(at, points=3.0))
    assert "recipes measured together, on validation examples" in texts(at)
    found(wish(at, kb=0.1))
    assert any("the least these options come to is" in w.value for w in at.warning), [w.value for w in at.warning]
    wish(at)
    assert any("Say what the network may cost" in i.value for i in at.info)
    put(at, "budget.dials", ["Bits per weight: Uniform quantization"])
    wish(at, adds=0.001)
    assert any("Only a lower rank saves multiply-adds" in i.value for i in at.info)
    start = next(b for b in at.button if b.key == "budget.start")
    assert start.disabled


def test_a_link_that_asks_for_nonsense_is_told():
    at = healthy(opened("budget", net=SMALL, v="1", kb="-3", lose="<b>"))
    assert sum("expected a number that is not below 0" in w.value for w in at.warning) == 2
    assert next(n for n in at.number_input if n.key == "budget.points").value is None


def test_settings_in_words():
    assert [asking.setting(s) for s in (None, step("quantization.uniform", bits=3), step("pruning.magnitude", sparsity=0.5),
                                        step("lowrank.svd", rank=0.4))] == ["original", "3 bit", "50 % zero", "rank 40 %"]


def test_what_was_recorded_is_there_before_anything_is_run():
    at = healthy(opened("budget", net=SMALL, v="1"))
    rows = next(b for b in recorded(shipped.load(SMALL))["budgets"] if b["race"])["ways"]
    assert f"the solver loses **{100 * rows[SOLVER]['test']['drop']:.2f} points**" in texts(at) and "Not looked for yet" in texts(at)


def test_whoever_comes_back_finds_what_was_found_and_raced_and_reported(monkeypatch):
    monkeypatch.setattr(hessian, "PROBES", 2)
    at = opened("budget", net=SMALL, v="1", kb="2.9")
    put(at, "budget.dials", ["Bits per weight: Uniform quantization", "Sparsity: Magnitude pruning"])
    put(at, "budget.coded", True)
    found(at)
    put(at, "budget.count", 30)
    press(at, "Race")
    wait_for_button(at, "Race again")
    press(at, "Report on test")
    until(at, "Beside the solver, on test examples")
    link = {key: value[0] if isinstance(value, list) else value for key, value in at.query_params.items()}
    assert set(link["dials"].split("~")) == {"sparsity", "bits"} and link["coded"] == "1"
    later = healthy(opened("budget", **link))
    assert "Done after" in texts(later) and not any(b.key == "budget.start" for b in later.button), "the same is not looked for twice"
    put(later, "budget.count", 30)
    assert "Each search had 30 recipes measured" in texts(later)
    assert "Beside the solver, on test examples" in texts(later) and not any(b.label.startswith("Report on test") for b in later.button)


def test_a_link_that_asks_for_an_unknown_dial_is_told():
    at = healthy(opened("budget", net=SMALL, v="1", dials="bits~warp"))
    assert any("“warp”" in w.value for w in at.warning)
    assert [p.value for p in at.pills if p.key == "budget.dials"] == [["bits"]]
