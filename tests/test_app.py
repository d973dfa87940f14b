"""The app without a browser: every page, dial, method, knob and link, on every network that ships, against plain Python."""

import json
import re
import time
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app import jobs, words
from compression.apply import compress
from compression.evaluate import evaluate
from compression.export import pack
from compression.link import from_link
from compression.measure import total_error
from compression.recipe import Recipe, step
from compression.registry import answering, method
from compression.score import changed
from compression.zoo import shipped

MAIN = str(Path(__file__).parents[1] / "app" / "main.py")
PAGES = ("explore", "sensitivity", "trade-off")
NETWORKS = shipped.available()
DIALS = ("sparsity", "bits", "rank")
OPENING = (step("lowrank.svd", rank=1.0), step("pruning.magnitude", sparsity=0.5), step("quantization.uniform", bits=32))
SMALL, CONVOLUTIONS = "digits-mlp", "vgg-small"


@pytest.fixture(autouse=True)
def nobody_left():
    """AppTest never ends a session, so its jobs would go on beside the next test's."""
    yield
    for pool in (jobs.quick, jobs.long):
        pool.drop_all("")


def opened(page="explore", **link) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=180)
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
    for kind in (at.select_slider, at.segmented_control, at.selectbox, at.toggle, at.number_input):
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
    return [(m.label, m.value, m.delta) for m in at.metric if m.label in ("Size of the file", "Multiply-adds", "SQNR")]


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
    assert shown["SQNR"] == ("exact" if wrong.sqnr == float("inf") else f"{wrong.sqnr:.1f} dB", f"{100 * zeros:.0f} % zero"), recipe
    table = at.data_editor[0].value
    assert list(table["layer"]) == [layer.name for layer in net.layers]
    assert list(table["after"]) == [done.encoded[layer.name].nbytes / 1e3 for layer in net.layers], recipe


def recipe_of(at) -> Recipe:
    return at.session_state["recipe"]


def measured(at, words_of_waiting=("so far", "measuring", "estimated")) -> AppTest:
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


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_on_every_network(page, network):
    at = healthy(opened(page, net=network))
    assert at.title[0].value.lower() == page
    assert control(at, "pick").value == network
    assert not at.warning


@pytest.mark.parametrize("network", NETWORKS)
def test_the_accuracy_is_that_of_plain_python(network):
    at = measured(opened(net=network))
    net, recipe = shipped.load(network), Recipe((step("pruning.magnitude", sparsity=0.5),))
    done = compress(net, recipe)
    quality = list(evaluate(net, changed(done, done.weights()), net.data["validation"]))[-1].quality
    assert quality.complete
    claim = at.markdown[0].value
    assert f"**{words.within(*quality.accuracy)}**" in claim
    assert f"{quality.changed:,} of {quality.predictions:,} " in claim
    shown = {m.label: m for m in at.metric}
    card = shown.get("Accuracy") or shown["Next character"]
    assert card.value == words.share(quality.accuracy.value)
    assert shown["Changed"].value == f"{quality.changed:,}"
    assert shown["Changed"].delta == f"✗ {quality.newly_wrong:,} · ✓ {quality.newly_right:,}"


def positions(ladder) -> list:
    """Both ends and the middle."""
    return list(dict.fromkeys((ladder[0], ladder[len(ladder) // 2], ladder[-1])))


def walk(at, network, which, name) -> None:
    """One method of one dial, at its ends and its middle, and then each of its further knobs likewise."""
    put(at, f"method.{which}", name)
    ladder, others = method(name).knob(which).ladder, {}
    for value in positions(ladder):
        put(at, f"dial.{which}", value)
        agrees(at, network, Recipe(OPENING).with_default(step(name, **{which: value})))
    middle = ladder[len(ladder) // 2]
    for knob in method(name).knobs:
        if knob.name != which:
            put(at, f"dial.{which}", middle)
            for value in positions(knob.ladder):
                others[knob.name] = value
                put(at, f"knob.{name}.{knob.name}", value)
                agrees(at, network, Recipe(OPENING).with_default(step(name, **{which: middle}, **others)))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_dial_says_what_plain_python_computes(network):
    at = opened(net=network)
    first = figures(at)
    agrees(at, network, Recipe(OPENING))
    for s, which in zip(OPENING, ("rank", "sparsity", "bits"), strict=True):
        walk(at, network, which, s.method)
        press(at, "Reset")
        agrees(at, network, Recipe(OPENING))
        assert figures(at) == first


@pytest.mark.parametrize(("which", "name"), [(which, name) for which in DIALS for name in answering(which)])
def test_every_method_and_knob_says_what_plain_python_computes(which, name):
    at = opened(net=SMALL)
    walk(at, SMALL, which, name)
    press(at, "Reset")
    agrees(at, SMALL, Recipe(OPENING))


@pytest.mark.parametrize(("which", "name"), [("sparsity", "pruning.wanda"), ("sparsity", "pruning.filters"), ("sparsity", "pruning.bn_gamma"),
                                             ("bits", "sharing.kmeans"), ("bits", "quantization.binary"), ("rank", "lowrank.tucker2")])
def test_a_method_of_each_kind_opens_on_convolutions(which, name):
    """The others are opened on a convolution by the tests of the Methods page."""
    at = opened(net=CONVOLUTIONS)
    put(at, f"method.{which}", name)
    agrees(at, CONVOLUTIONS, Recipe(OPENING).with_default(step(name, **{which: control(at, f"dial.{which}").value})))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_harshest_settings_show_no_blank_and_no_nan(network):
    at = opened(net=network)
    recipe = Recipe(OPENING)
    for which, value in (("rank", 0.02), ("bits", 2), ("sparsity", 0.99)):
        put(at, f"dial.{which}", value)
        recipe = recipe.with_default(step(next(s.method for s in OPENING if which in dict(s.knobs)), **{which: value}))
        agrees(at, network, recipe)
    put(at, "huffman", True)
    recipe = recipe.with_default(step("coding.huffman"))
    agrees(at, network, recipe)
    measured(at)
    layers = [layer.name for layer in shipped.load(network).layers]
    edit(at, {row: {"locked": True} for row in range(len(layers))})
    for name in layers:
        recipe = recipe.with_lock(name, True)
    agrees(at, network, recipe)
    assert {m.label: m.value for m in at.metric}["SQNR"] == "exact"
    measured(at)
    assert {m.label: m.value for m in at.metric}["Changed"] == "0"
    for page in PAGES[1:]:
        healthy(turned(at, page))


def test_reset_is_exact_in_every_card():
    at = measured(opened())
    before = [(m.label, m.value, m.delta) for m in at.metric], at.markdown[0].value
    for key, value in (("dial.sparsity", 0.93), ("dial.bits", 3), ("dial.rank", 0.3), ("method.bits", "sharing.kmeans"), ("huffman", True)):
        put(at, key, value)
    edit(at, {1: {"sparsity": 20, "locked": True}})
    press(at, "Reset")
    assert recipe_of(at) == Recipe(OPENING)
    measured(at)
    assert ([(m.label, m.value, m.delta) for m in at.metric], at.markdown[0].value) == before


def test_one_control_never_moves_another():
    at = opened()
    settings = {
        "pick": "lenet-5", "judge": "test", "layer": "conv2", "method.sparsity": "pruning.random", "dial.sparsity": 0.7,
        "method.bits": "quantization.uniform", "dial.bits": 5, "knob.quantization.uniform.per": "tensor",
        "knob.quantization.uniform.symmetric": False, "method.rank": "lowrank.tucker2", "dial.rank": 0.8, "huffman": True,
    }
    for key, value in settings.items():
        put(at, key, value)
    edit(at, {0: {"bits": "6"}})

    def now():
        return {key: control(at, key).value for key in settings}, recipe_of(at).overrides

    assert now()[0] == settings
    moves = {"judge": "validation", "layer": "fc1", "method.sparsity": "pruning.magnitude", "dial.sparsity": 0.2, "dial.bits": 3,
             "knob.quantization.uniform.per": "group", "knob.quantization.uniform.symmetric": True, "method.rank": "lowrank.svd",
             "dial.rank": 0.35, "huffman": False}
    for key, value in moves.items():
        before = now()
        put(at, key, value)
        healthy(at)
        assert now() == (before[0] | {key: value}, before[1]), key
    before = now()
    turned(at, "sensitivity")
    turned(at, "trade-off")
    turned(at, "explore")
    assert now() == before, "a visit to the other pages"


def test_a_dial_clicked_off_keeps_its_value():
    at = put(opened(), "dial.bits", 4)
    put(at, "dial.bits", None)
    assert control(at, "dial.bits").value == 4
    put(at, "judge", None)
    assert control(at, "judge").value == "validation"
    agrees(at, "lenet-5", Recipe(OPENING).with_default(step("quantization.uniform", bits=4)))


def test_a_changed_method_takes_over_the_value():
    at = put(opened(), "dial.bits", 6)
    put(at, "method.bits", "sharing.kmeans")
    assert control(at, "dial.bits").value == 6
    put(at, "method.bits", "quantization.uniform")
    assert control(at, "dial.bits").value == 6


def test_the_dials_stay_when_another_network_is_picked():
    at = put(opened(), "dial.sparsity", 0.8)
    edit(at, {0: {"sparsity": 10, "locked": True}})
    for network in NETWORKS:
        put(at, "pick", network)
        agrees(at, network, Recipe(OPENING).with_default(step("pruning.magnitude", sparsity=0.8)))


def test_edits_in_the_layer_table_are_pins_and_locks():
    at = opened()
    base, edits = Recipe(OPENING), {}

    def after(row, column, value) -> Recipe:
        edits.setdefault(row, {})[column] = value
        edit(at, edits)
        return recipe_of(at)

    expected = base.with_pin("conv2", step("pruning.magnitude", sparsity=0.9))
    assert after(1, "sparsity", 90) == expected
    agrees(at, "lenet-5", expected)
    put(at, "dial.sparsity", 0.3)
    expected = expected.with_default(step("pruning.magnitude", sparsity=0.3))
    assert recipe_of(at) == expected, "the dial leaves the pin alone"
    agrees(at, "lenet-5", expected)
    expected = expected.with_pin("fc1", step("quantization.uniform", bits=4))
    assert after(2, "bits", "4") == expected
    expected = expected.with_pin("fc1", step("lowrank.svd", rank=0.25))
    assert after(2, "rank", "25") == expected
    agrees(at, "lenet-5", expected)
    expected = expected.with_lock("fc2", True)
    assert after(3, "locked", True) == expected
    agrees(at, "lenet-5", expected)
    assert "1 layers follow the dials, 2 pinned, 1 locked" in texts(at)
    expected = expected.without_pin("fc1", "bits")
    assert after(2, "bits", None) == expected, "a cleared cell follows again"
    expected = expected.without_pin("conv2", "sparsity")
    assert after(1, "sparsity", None) == expected
    expected = expected.with_lock("fc2", False)
    assert after(3, "locked", False) == expected
    agrees(at, "lenet-5", expected)
    press(at, "Release pins")
    assert recipe_of(at) == expected.without_pin("fc1")
    agrees(at, "lenet-5", recipe_of(at))


def test_a_width_only_another_method_has_is_pinned_with_that_method():
    at = opened()
    edit(at, {2: {"bits": "1"}})
    assert healthy(at)
    assert recipe_of(at).overrides[0].steps == (step("sharing.kmeans", bits=1),)


def test_a_link_brings_the_same_recipe():
    at = opened(net="lenet-300-100")
    for key, value in (("dial.sparsity", 0.85), ("method.bits", "sharing.kmeans"), ("dial.bits", 5), ("dial.rank", 0.4), ("huffman", True),
                       ("method.sparsity", "pruning.random"), ("judge", "test")):
        put(at, key, value)
    edit(at, {0: {"sparsity": 40, "bits": "3"}, 2: {"locked": True}})
    put(at, "layer", control(at, "layer").options[1])
    link = dict(at.query_params)
    assert len("&".join(f"{k}={v}" for k, v in link.items())) < 2_000
    again = opened(**link)
    assert recipe_of(again) == recipe_of(at)
    assert not again.warning
    assert figures(again) == figures(at)
    assert {k: control(again, k).value for k in ("pick", "judge", "layer", "dial.bits", "huffman")} == {
        k: control(at, k).value for k in ("pick", "judge", "layer", "dial.bits", "huffman")}
    assert dict(again.query_params) == link
    assert from_link(link)[1] == []


def test_a_link_with_every_dial_off_stays_off():
    at = put(opened(), "dial.sparsity", 0.0)
    again = opened(**at.query_params)
    assert control(again, "dial.sparsity").value == 0.0
    assert figures(again) == figures(at)


HOSTILE = {
    "no such network": dict(net="gpt-5"),
    "somebody's own network": dict(net="own-0123abcd"),
    "a path for a network": dict(net="../../etc/passwd"),
    "HTML for a network": dict(net="<script>alert(1)</script>"),
    "a picture for a network": dict(net="![x](http://example.org/x.png)"),
    "an endless network": dict(net="x" * 50_000),
    "another alphabet": dict(net="网络🧠", do="剪枝-稀疏-0.5"),
    "a right-to-left mark": dict(net="\u202elenet"),
    "a zero byte": dict(net="lenet\x00-5"),
    "no such method": dict(do="melting-heat-9"),
    "only dashes": dict(do="-----"),
    "a rung off the ladder": dict(do="magnitude-sparsity-0.555"),
    "a share of nan": dict(do="magnitude-sparsity-nan"),
    "an endless number": dict(do="magnitude-sparsity-" + "9" * 400),
    "a negative width": dict(do="uniform-bits--4"),
    "a knob without a value": dict(do="magnitude-sparsity"),
    "no such knob": dict(do="magnitude-colour-red"),
    "an overlong recipe": dict(do="magnitude-sparsity-0.5~" * 500),
    "HTML for a recipe": dict(do="<img src=x onerror=alert(1)>"),
    "a link for a recipe": dict(do="[free](http://example.org)-sparsity-1"),
    "code for a recipe": dict(do="__import__('os').system('id')"),
    "JSON for a recipe": dict(do='{"default": []}'),
    "a pin without a step": dict(pin="fc1"),
    "a pin that says nothing": dict(pin="fc1-magnitude-sparsity-2"),
    "a pin on no layer": dict(pin="fc9-magnitude-sparsity-0.9"),
    "a lock on no layer": dict(lock="conv77"),
    "a whole chain that is none": dict(only="fc1-what"),
    "a whole chain on no layer": dict(only="nowhere-magnitude-sparsity-0.9"),
    "a wrong layer": dict(layer="fc77"),
    "HTML for a layer": dict(layer="<b>fc1</b>"),
    "a wrong split": dict(on="holdout"),
    "an old split": dict(on="train "),
    "data that may not judge": dict(on="train"),
    "an endless word": dict(do="magnitude-" + "k" * 1_900 + "-1"),
    "nine hundred strange words": dict(do="~".join(["x"] * 900)),
    "stars for a layer": dict(pin="*" * 60 + "q-magnitude-sparsity-0.9"),
    "a seed in words": dict(seed="seven"),
    "an endless seed": dict(seed="9" * 5_000),
    "everything at once": dict(net="?", do="~~~--~~", pin="----~~--", only="~-~", lock="%00", seed="-1", layer="", on="\n"),
}


@pytest.mark.parametrize("link", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_link_gets_a_sentence_and_a_working_page(link):
    at = healthy(opened(**link))
    assert 1 <= len(at.warning) <= 6, "one sentence for each thing that was left out, and no flood"
    for warning in at.warning:
        assert warning.value.endswith(".")
        assert len(warning.value) < 500, warning.value
        assert not re.search(r"(?<!\\)(!?\[|<|\*|`|\$)", warning.value), f"unescaped markdown in {warning.value}"
    assert control(at, "pick").value == "lenet-5"
    put(at, "dial.sparsity", 0.9)
    assert not at.warning, "it is told once"
    expected = recipe_of(at)
    agrees(at, "lenet-5", expected)
    assert {"net": "lenet-5", "v": "1"}.items() <= dict(at.query_params).items()


@pytest.mark.parametrize("link", [dict(unknown="x"), dict(net="lenet-5"), dict(utm_source="mail")])
def test_parameters_that_are_not_ours_do_no_harm(link):
    agrees(opened(**link), "lenet-5", Recipe(OPENING))


def test_a_scan_runs_to_its_end_and_again():
    at = opened("sensitivity", net=SMALL)
    assert "No scan yet" in texts(at)
    press(at, "Start scan")
    wait_for_button(at, "Scan again")
    layers = len(shipped.load(SMALL).layers)
    assert f"{7 * layers} of {7 * layers} cells settled" in texts(at)
    turned(at, "explore")
    turned(at, "sensitivity")
    assert f"{7 * layers} of {7 * layers} cells settled" in texts(at), "the results stay"
    for name in ("pruning.wanda", "lowrank.svd", "lowrank.tucker2", "sharing.kmeans", "quantization.uniform"):
        put(at, "scan.method", name)
        healthy(at)
        press(at, ("Start scan", "Scan again"))
        wait_for_button(at, "Scan again")


def test_a_stopped_scan_keeps_what_it_has_and_goes_on():
    at = opened("sensitivity", net="resnet-20")
    press(at, "Start scan")
    for _ in range(1200):
        if "Outlined" in texts(at) or not any(b.label.startswith("Stop") for b in at.button):
            break
        time.sleep(0.1)
        at.run()
    if any(b.label.startswith("Stop") for b in at.button):
        press(at, "Stop")
    wait_for_button(at, ("Go on", "Scan again"))
    kept = int(re.search(r"(\d+) of 154 cells settled", texts(at))[1])
    at.run()
    assert f"{kept} of 154 cells settled" in texts(healthy(at))
    if kept < 154:
        press(at, "Go on")
        wait_for_button(at, "Scan again")
    assert "154 of 154 cells settled" in texts(at)


def test_the_limit_of_each_layer_is_found_by_halving():
    at = opened("sensitivity", net=SMALL)
    put(at, "scan.look", "the limit of each layer")
    press(at, "Start scan")
    wait_for_button(at, "Scan again")
    assert "if more never helps" in texts(healthy(at))


def test_a_study_runs_to_its_end_and_its_table_agrees_with_plain_python():
    at = opened("trade-off", net=SMALL)
    assert "No study yet" in texts(at)
    put(at, "study.until", "all examples")
    press(at, "Measure the recipes")
    wait_for_button(at, "Measure again")
    assert "36 of 36 recipes measured" in texts(at)
    table = at.dataframe[0].value
    assert len(table) == 36
    net = shipped.load(SMALL)
    for row in (0, 17, 35):
        found = re.fullmatch(r"(?:(\d+) % zero)?(?:, )?(?:(\d+) bit)?|original", table["recipe"][row])
        sparsity, bits = int(found[1] or 0) / 100, int(found[2] or 32)
        recipe = Recipe((step("pruning.magnitude", sparsity=sparsity), step("quantization.uniform", bits=bits)))
        done = compress(net, recipe)
        assert table["size KB"][row] == pytest.approx(len(pack(done)) / 1e3)
        quality = list(evaluate(net, changed(done, done.weights()), net.data["validation"]))[-1].quality
        assert table["accuracy %"][row] == pytest.approx(100 * quality.accuracy.value)
    best = table[table["on the front"]].sort_values("size KB")
    assert best["accuracy %"].is_monotonic_increasing
    for _, row in table.iterrows():
        beaten = ((table["size KB"] <= row["size KB"]) & (table["accuracy %"] >= row["accuracy %"])
                  & ((table["size KB"] < row["size KB"]) | (table["accuracy %"] > row["accuracy %"]))).any()
        assert row["on the front"] == (not beaten) or not row["on the front"]


def test_a_stopped_study_keeps_what_it_has():
    at = opened("trade-off")
    press(at, "Measure the recipes")
    for _ in range(600):
        if any(re.match(r"Stop, keep [1-9]", b.label) for b in at.button):
            break
        time.sleep(0.1)
        at.run()
    press(at, "Stop")
    wait_for_button(at, "Measure again")
    kept = re.search(r"(\d+) of 36 recipes measured", texts(at))
    assert 1 <= int(kept[1]) < 36
    assert len(at.dataframe[0].value) == int(kept[1])


def test_two_people_share_no_state():
    one, two = opened(), opened(net="lenet-300-100")
    put(one, "dial.sparsity", 0.9)
    edit(one, {0: {"locked": True}})
    two.run()
    agrees(two, "lenet-300-100", Recipe(OPENING))
    one.run()
    agrees(one, "lenet-5", Recipe(OPENING).with_default(step("pruning.magnitude", sparsity=0.9)).with_lock("conv1", True))


@pytest.fixture(autouse=True, scope="module")
def cold():
    """Nothing computed for other tests is taken from the app's memory."""
    st.cache_resource.clear()
    yield


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
