"""While a method prepares the page says so and stays usable: progress, Stop, and no work begun twice or for nothing."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app import compute, jobs, pace, readiness, waiting, words
from app.memory import Bounded
from app.readiness import Piece
from compression.apply import compress
from compression.link import to_link
from compression.recipe import Override, Recipe, step
from compression.score import size_of
from compression.zoo import shipped

MAIN = str(Path(__file__).parents[1] / "app" / "main.py")
LONG = 300  # seconds until a test that hangs fails


class Held:
    """The real preparations, which begin only when they are let."""

    def __init__(self):
        self.go, self.begun = threading.Event(), []
        self.real = readiness.preparing

    def until(self, count):
        """Those begun, once there are so many: a worker takes a moment to begin."""
        end = time.monotonic() + LONG
        while len(self.begun) < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.begun

    def __call__(self, net, chains):
        self.begun.append((chains[0].chain[-1].method, chains[0].layer))
        yield Piece("GPTQ", chains[0].layer, 0.25, True)
        while not self.go.wait(0.01):
            yield None
        yield from self.real(net, chains)


@pytest.fixture
def held(monkeypatch):
    """Nothing is prepared yet, and nothing will be before the test lets it."""
    fresh, gate = Bounded(1 << 30), Held()
    monkeypatch.setattr(compute, "memo", lambda: fresh)
    monkeypatch.setattr(readiness, "preparing", gate)
    yield gate
    gate.go.set()
    for pool in (jobs.quick, jobs.long):
        pool.drop_all("")


def methods_page(**link) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=LONG)
    at.query_params.update(link)
    at.run()
    at._page_hash = next(key for key, info in at._registered_pages.items() if info["url_pathname"] == "methods")
    return at.run()


def choose(at, name) -> AppTest:
    family = name.split(".")[0]
    at.session_state["bench.family"], at.session_state[f"bench.method.{family}"] = family, name
    return at.run()


def bars(at):
    return [bar.proto.text for bar in at.get("progress")]


def labels(at):
    return [m.label for m in at.metric]


def press(at, label) -> AppTest:
    next(b for b in at.button if b.label == label).click()
    return at.run()


def test_the_page_stays_usable_and_shows_the_method_when_it_is_ready(held):
    at = choose(methods_page(net="resnet-20", layer="stage1.0.conv1"), "quantization.gptq")
    assert len(bars(at)) == 1 and bars(at)[0].startswith("Preparing GPTQ on stage1.0.conv1")
    assert "This layer" not in labels(at) and not at.exception
    at.segmented_control(key="bench.quantization.gptq.per").set_value("group").run()
    assert bars(at) and held.until(1) == [("quantization.gptq", "stage1.0.conv1")], "turning a dial begins no other work"
    held.go.set()
    assert jobs.long.find(f"{at.session_state['owner']}.bench.ready").ended(LONG)
    at.run()
    assert "This layer" in labels(at) and held.begun.count(("quantization.gptq", "stage1.0.conv1")) == 1


def test_it_can_be_stopped_and_begun_again(held):
    at = choose(methods_page(net="resnet-20", layer="stage1.0.conv1"), "quantization.gptq")
    press(at, "Stop preparing")
    assert not bars(at) and "GPTQ has to prepare on stage1.0.conv1" in at.info[0].value and "This layer" not in labels(at)
    held.go.set()
    press(at, "Prepare it")
    assert jobs.long.find(f"{at.session_state['owner']}.bench.ready").ended(LONG)
    assert "This layer" in labels(at.run()) and held.begun[:2] == [("quantization.gptq", "stage1.0.conv1")] * 2


def test_another_method_takes_the_place_of_one_that_prepares(held):
    at = choose(methods_page(net="resnet-20", layer="stage1.0.conv1"), "quantization.gptq")
    before = jobs.long.find(f"{at.session_state['owner']}.bench.ready")
    choose(at, "pruning.sparse_gpt")
    assert before.done and held.until(2)[-1] == ("pruning.sparse_gpt", "stage1.0.conv1") and len(bars(at)) == 1
    choose(at, "pruning.magnitude")
    assert "This layer" in labels(at) and not bars(at), "what is quick waits for nobody"


def test_what_takes_long_is_begun_by_a_button_that_says_how_long(held, monkeypatch):
    monkeypatch.setattr(waiting, "ASK", 0.01)
    at = choose(methods_page(net="lenet-5", layer="fc2"), "quantization.adaround")
    assert not bars(at) and not held.begun
    assert "AdaRound has to prepare on fc2" in at.info[0].value and "That takes about 1 s." in at.info[0].value
    press(at, "Prepare it")
    assert bars(at) and len(held.until(1)) == 1


def test_a_failure_is_told_in_a_sentence(held, monkeypatch):
    def broken(net, chains):
        raise ValueError("These inputs are not finite.")
        yield

    monkeypatch.setattr(readiness, "preparing", broken)
    at = choose(methods_page(net="resnet-20", layer="stage1.0.conv1"), "quantization.gptq")
    assert at.info[0].value == "These inputs are not finite." and not at.exception


SLOW = Recipe((step("pruning.magnitude", sparsity=0.5),), (Override("fc2", (step("quantization.gptq", bits=4),), whole=True),))


def size_shown(at):
    return next(m.value for m in at.metric if m.label == "Size of the file")


def recipe_job(at):
    return jobs.long.find(f"{at.session_state['owner']}.recipe")


def test_explore_shows_what_it_can_while_a_layer_is_late_and_says_so(held):
    net = shipped.load("lenet-5")
    at = AppTest.from_file(MAIN, default_timeout=LONG)
    at.query_params.update({"net": net.name, **to_link(SLOW)})
    at.run()
    assert len(bars(at)) == 1 and bars(at)[0].startswith("Preparing GPTQ on fc2") and not at.exception
    assert held.until(1) == [("quantization.gptq", "fc2")]
    without = replace(SLOW, overrides=(Override("fc2", (), whole=True),))
    assert size_shown(at) == words.size(size_of(compress(net, without)))
    said = [m.value for m in at.markdown]
    assert any(m.startswith("Until then fc2 is shown as before") for m in said) and any("1 layer still as before" in m for m in said)
    assert next(b for b in at.button if b.key == "snapshot").disabled, "a snapshot would keep another recipe's results"
    assert at.session_state["recipe"].override("fc2") == SLOW.override("fc2"), "what was asked for is not changed"
    held.go.set()
    assert recipe_job(at).ended(LONG)
    at.run()
    assert size_shown(at) == words.size(size_of(compress(net, SLOW))) and not bars(at)
    assert not any("as before" in m.value for m in at.markdown) and not next(b for b in at.button if b.key == "snapshot").disabled


def test_explore_keeps_a_layers_last_recipe_while_the_next_prepares_and_goes_on_when_that_is_stopped(held):
    net, quick = shipped.load("lenet-5"), Recipe((step("quantization.uniform", bits=3),))
    at = AppTest.from_file(MAIN, default_timeout=LONG)
    at.query_params.update({"net": net.name, **to_link(quick)})
    at.run()
    before = size_shown(at)
    assert before == words.size(size_of(compress(net, quick))) and not held.begun
    at.session_state["recipe"] = at.session_state["recipe"].with_override(Override("fc1", (step("quantization.gptq", bits=3),), whole=True))
    at.run()
    assert held.until(1) == [("quantization.gptq", "fc1")] and size_shown(at) == before
    press(at, "Stop preparing")
    assert not bars(at) and "GPTQ has to prepare on fc1" in at.info[0].value and size_shown(at) == before
    press(at, "Prepare it")
    held.go.set()
    assert recipe_job(at).ended(LONG)
    assert size_shown(at.run()) == words.size(size_of(compress(net, at.session_state["recipe"])))


def test_the_bar_says_how_far_and_how_long():
    assert waiting.told(Piece("GPTQ", "fc1", 0.25, True), 10.0, None) == (
        0.25, "Preparing GPTQ on fc1 · about 30 s left")
    assert waiting.told(Piece("GPTQ", "fc1", 0.0, False), 2.0, 12.0)[1].endswith("about 10 s left")
    assert waiting.told(Piece("GPTQ", "fc1", 0.0, False), 99.0, 12.0) == (0.95, "Preparing GPTQ on fc1 · longer than expected")
    assert waiting.told(Piece("GPTQ", "fc1", 0.0, False), 2.0, None)[1].endswith("on fc1")
    assert waiting.told(None, 0.0, None)[0] == 0


def test_every_method_that_was_measured_says_how_soon_it_answers():
    assert pace.badge("pruning.magnitude") == "answers at once" and pace.badge("quantization.no such") == ""
    assert pace.badge("quantization.adaround").startswith("prepares in about ")
    assert [pace.told(s) for s in (0.2, 7.4, 43, 187)] == ["1 s", "7 s", "40 s", "3 min"]
    assert step("quantization.gptq").method == "quantization.gptq"
