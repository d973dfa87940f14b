"""The app without a browser: every page, dial, method and knob, on every network that ships, against plain Python."""


import pytest
from screen import (  # noqa: F401 (two of them are fixtures)
    CONVOLUTIONS,
    DIALS,
    NETWORKS,
    OPENING,
    PAGES,
    SMALL,
    WAITING,
    agrees,
    cold,
    control,
    edit,
    figures,
    healthy,
    measured,
    nobody_left,
    opened,
    press,
    put,
    recipe_of,
    texts,
    turned,
)

from app import words
from compression.apply import compress
from compression.evaluate import evaluate
from compression.recipe import Recipe, step
from compression.registry import answering, method
from compression.score import changed
from compression.zoo import shipped


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
    assert shown["Answers changed"].value == f"{quality.changed:,}"
    assert shown["Answers changed"].delta == f"{quality.newly_wrong:,} worse · {quality.newly_right:,} better"


def positions(ladder) -> list:
    """Both ends and the middle."""
    return list(dict.fromkeys((ladder[0], ladder[len(ladder) // 2], ladder[-1])))


def walk(at, network, which, name) -> None:
    """One method of one dial, at its ends and its middle, and then each of its further knobs at an end; all rungs: tests/test_contract.py."""
    put(at, f"method.{which}", name)
    ladder, others = method(name).knob(which).ladder, {}
    for value in positions(ladder):
        put(at, f"dial.{which}", value)
        agrees(at, network, Recipe(OPENING).with_default(step(name, **{which: value})))
    middle = ladder[len(ladder) // 2]
    for knob in method(name).knobs:
        if knob.name != which:
            put(at, f"dial.{which}", middle)
            others[knob.name] = next(v for v in (knob.ladder[-1], knob.ladder[0]) if v != knob.default)
            put(at, f"knob.{name}.{knob.name}", others[knob.name])
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
    measured(at, ("measuring",) if network.startswith("char-") else WAITING)  # all of their windows take a minute
    layers = [layer.name for layer in shipped.load(network).layers]
    edit(at, {row: {"locked": True} for row in range(len(layers))})
    for name in layers:
        recipe = recipe.with_lock(name, True)
    agrees(at, network, recipe)
    assert {m.label: m.value for m in at.metric}["Weight error"] == "exact"
    measured(at)
    assert {m.label: m.value for m in at.metric}["Answers changed"] == "0"
    for page in PAGES[1:]:
        healthy(turned(at, page))


def test_reset_is_exact_in_every_card():
    at = measured(opened())
    before = [(m.label, m.value, m.delta) for m in at.metric], at.markdown[0].value
    for key, value in (("dial.sparsity", 0.93), ("dial.bits", 3), ("dial.rank", 0.3), ("method.bits", "sharing.kmeans"), ("huffman", True)):
        put(at, key, value)
    edit(at, {1: {"sparsity": 20, "locked": True}})
    press(at, "Snapshot")
    press(at, "Reset")
    assert recipe_of(at) == Recipe(OPENING)
    assert any(b.key == "snapshot.1" for b in at.button), "what was kept is kept"
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
    put(at, "preset", "extreme")
    next(b for b in at.button if b.key == "undo").click()
    at.run()
    assert now() == before, "a preset, taken back"
    at = opened(**at.query_params)
    assert now() == before, "the link"


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
