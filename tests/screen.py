"""Reading and using the app without a browser, for the tests of its pages."""

import json
import re
import time
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import jobs, waiting, words
from compression.apply import compress
from compression.export import pack
from compression.measure import total_error
from compression.recipe import Recipe, step
from compression.zoo import shipped

jobs._give_way = lambda: None  # no browser waits here, and on a busy machine work that gives way never ends

MAIN = str(Path(__file__).parents[1] / "app" / "main.py")
PAGES = ("explore", "sensitivity", "trade-off")
NETWORKS = shipped.available()
DIALS = ("sparsity", "bits", "rank")
OPENING = (step("lowrank.svd", rank=1.0), step("pruning.magnitude", sparsity=0.5), step("quantization.uniform", bits=32))
SMALL, CONVOLUTIONS = "digits-mlp", "vgg-small"


def opened(page="explore", **link) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=300)
    at.query_params.update(link)
    at.run()
    return at if page == "explore" else turned(at, page)


def turned(at, page) -> AppTest:
    """Another page, as a click on its name in the navigation opens it."""
    at._page_hash = next(
        key for key, info in at._registered_pages.items() if info["url_pathname"] == ("" if page == PAGES[0] else page))
    return at.run()


POPOVERS = ("more.sparsity", "more.bits", "more.rank", "more.first", "more.repairs")


def control(at, key):
    """A widget of any kind by its key, in a popover if need be."""
    try:
        return widget(at, key)
    except KeyError:
        for popover in POPOVERS:
            at.session_state[popover] = True
        return widget(at.run(), key)


def widget(at, key):
    for kind in (at.select_slider, at.segmented_control, at.pills, at.selectbox, at.multiselect, at.toggle, at.number_input):
        for found in kind:
            if found.key == key:
                return found
    raise KeyError(key)


def put(at, key, value) -> AppTest:
    control(at, key).set_value(value)
    return at.run()


def press(at, label) -> AppTest:
    next(b for b in at.button if b.label.startswith(label)).click()
    return at.run()


def edit(at, rows) -> AppTest:
    """Edits in the layer table as the browser sends them: all since this table began, {row: {column: value}}."""
    states = at._tree.get_widget_states()
    sent = states.widgets.add()
    sent.id = at.data_editor[0].proto.id
    sent.string_value = json.dumps({"edited_rows": rows, "added_rows": [], "deleted_rows": []})
    return at._run(states)


def figures(at) -> list[tuple]:
    """What the cards show, without what arrives later."""
    return [(m.label, m.value, m.delta) for m in at.metric if m.label in ("Size of the file", "Multiply-adds", "Weight error")]


def charts(at) -> dict[str, str]:
    """What each chart on the page is drawn from, by its key."""
    return {part.proto.id.split("-", 2)[-1]: part.proto.json for part in _parts(at._tree)
            if part.type == "bidi_component" and part.proto.component_name == "chart"}


def _parts(block):
    for part in block.children.values():
        yield from _parts(part) if hasattr(part, "children") else [part]


def texts(at) -> str:
    shown = [(m.label, m.value, m.delta) for m in at.metric], [m.value for m in at.markdown], [h.value for h in at.html]
    return f"{shown}"


def healthy(at) -> AppTest:
    """No exception, nothing that is not a number, nothing blank."""
    assert not at.exception, [(e.message, e.stack_trace) for e in at.exception]
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None|undefined)\b", texts(at)), texts(at)
    assert all(m.value.strip() for m in at.metric)
    return at


@cache
def memo(network) -> dict:
    return {}


def agrees(at, network, recipe) -> None:
    """The screen says of this recipe what plain Python finds."""
    healthy(at)
    net = shipped.load(network)
    done = compress(net, recipe, memo(network))
    length = len(pack(done))
    shown = {m.label: (m.value, m.delta) for m in at.metric}
    assert shown["Size of the file"][0] == words.size(length), recipe
    claim = at.markdown[0].value
    assert f"**{words.size(length)}**" in claim, recipe
    decoded = done.weights()
    wrong = total_error({x.names[0]: x.weight for x in net.layers}, {x.names[0]: decoded[x.names[0]] for x in net.layers})
    zeros = sum(int((decoded[x.names[0]] == 0).sum()) for x in net.layers) / sum(x.weight.numel() for x in net.layers)
    assert shown["Weight error"] == ("exact" if wrong.sqnr == float("inf") else f"{wrong.sqnr:.1f} dB", f"{100 * zeros:.0f} % zero"), recipe
    table = at.data_editor[0].value
    assert list(table["layer"]) == [layer.name for layer in net.layers]
    assert list(table["after"]) == [done.encoded[layer.name].nbytes / 1e3 for layer in net.layers], recipe


def recipe_of(at) -> Recipe:
    return at.session_state["recipe"]


WAITING = ("so far", "measuring", "estimated")


def measured(at, words_of_waiting=WAITING) -> AppTest:
    """Run again, as the ticker does, until the accuracy is that of all examples."""
    for _ in range(1500):
        if not any(word in texts(at).lower() for word in words_of_waiting):
            return healthy(at)
        time.sleep(0.1)
        at.run()
    raise AssertionError("the accuracy never came: " + texts(at))


def wait_for_button(at, label) -> AppTest:
    for _ in range(1500):
        if any(b.label.startswith(label) for b in at.button):
            return healthy(at)
        time.sleep(0.1)
        at.run()
    raise AssertionError(f"“{label}” never came: " + texts(at))


@pytest.fixture(autouse=True)
def nobody_left(monkeypatch):
    """Pages wait for what prepares, and the lens looks nothing up ahead (tests/test_lens.py): here nobody drags it.

    AppTest never ends a session, so its jobs would go on beside the next test's.
    """
    monkeypatch.setattr(waiting, "INLINE", 120.0)
    begin = jobs.long.submit
    monkeypatch.setattr(jobs.long, "submit", lambda owner, *rest, **named: None if owner.endswith(".lens") else begin(owner, *rest, **named))
    yield
    for pool in (jobs.quick, jobs.long, jobs.lasting):
        pool.drop_all("")


@pytest.fixture(autouse=True, scope="module")
def cold():
    """Nothing computed for other tests is taken from the app's memory."""
    st.cache_resource.clear()
    yield
