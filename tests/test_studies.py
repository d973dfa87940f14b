"""Scans, studies, fronts, links."""

from dataclasses import replace
from math import log

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from compression.apply import compress, smaller
from compression.engine.instrument import Instrument
from compression.engine.sampling import Tolerance
from compression.evaluate import Estimate, evaluate
from compression.joint import together
from compression.link import from_link, to_link
from compression.measure import multiply_adds
from compression.recipe import Override, Recipe, from_json, step, to_json
from compression.registry import answering, methods
from compression.score import changed, size_of
from compression.search import Point, bit_pairs, dominating, front, grid, knee, study, within
from compression.sensitivity import ALL, harsher, last_safe, limits, rungs, scan
from compression.zoo import shipped


class Quality:
    def __init__(self, value):
        self.accuracy = self.agreement = Estimate(value, value, value)


def points(pairs):
    return [Point(Recipe(seed=i), size, Quality(good)) for i, (size, good) in enumerate(pairs)]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 20).map(lambda x: x / 20)), max_size=25))
def test_the_front_is_what_brute_force_finds(pairs):
    every = points(pairs)
    found = {(p.file_bytes, p.good) for p in front(every)}
    assert found == {(a, b) for a, b in pairs if not any((x <= a and y >= b) and (x, y) != (a, b) for x, y in pairs)}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-20, 0)), min_size=1, max_size=20))
def test_on_any_two_axes_a_point_is_on_the_front_or_the_points_that_beat_it_are_named(pairs):
    cost, good = (lambda p: p[0]), (lambda p: p[1])
    best = front(pairs, cost, good)
    for p in pairs:
        better = dominating(p, pairs, cost, good)
        assert bool(better) != (p in best)
        assert all(x <= p[0] and y >= p[1] and (x, y) != p for x, y in better)
    for least in (-20, -10, 1):
        cheapest = within(pairs, least, cost, good)
        assert (cheapest is None) == all(y < least for _, y in pairs)
        assert cheapest is None or (cheapest in best and cheapest[0] == min(x for x, y in pairs if y >= least))


def test_the_knee_is_farthest_from_the_straight_line():
    line = points([(10, 0.2), (20, 0.8), (60, 0.85), (100, 0.9)])
    assert knee(line) is line[1] and knee(line[:2]) is None
    bent = points([(10, 0.2), (30, 0.6), (300, 0.88), (1000, 0.9)])
    assert knee(bent) is bent[2] and knee(bent, cost=lambda p: log(p.file_bytes)) is bent[1], "it depends on the scaling"


@pytest.fixture(scope="module")
def instrument():
    return Instrument(shipped.load("digits-mlp"))


def finished(states):
    """The last state; on the way no cell loses what it had."""
    last = None
    for now in states:
        if now is not None:
            assert last is None or all(b.n >= a.n for a, b in zip(last.cells, now.cells))
            last = now
    return last


def test_a_scan_of_all_examples_measures_every_layer_alone(instrument):
    net, values = instrument.network, rungs("pruning.magnitude", "sparsity")
    data = net.data["validation"]
    found = finished(scan(instrument, "pruning.magnitude", "sparsity", values, data, ALL))
    assert found.stage == "done" and found.settled == len(found.cells)
    assert {(c.layer, c.value) for c in found.cells} == {(layer.name, v) for layer in net.layers for v in values}
    original = size_of(compress(net, Recipe()))
    for c in found.cells:
        alone = compress(net, Recipe(overrides=(Override(c.layer, (c.step,)),)))
        assert original - c.saved_bytes == size_of(alone) and c.nats >= -1e-6
        *_, plain = evaluate(net, changed(alone, alone.weights()), data)
        assert c.drop == pytest.approx(-plain.quality.change.value) and c.half == 0 and c.n in (0, len(data))
    safe = last_safe(found.cells, 0.02)
    for layer, value in safe.items():
        assert all(c.drop <= 0.02 for c in found.cells if c.layer == layer and c.value <= value)


@pytest.mark.parametrize("batch", [16, 64, 256])
def test_a_scan_goes_on_where_it_stopped(batch, instrument, monkeypatch):
    """Stopped anywhere, be it in the middle of a look, kept as arrays, and taken up again, it ends in the same table."""
    data = instrument.network.data["validation"]
    found = instrument.pace(data.inputs)
    monkeypatch.setattr(instrument, "pace", lambda inputs: found._replace(batch=batch))  # else it is what this machine is quickest with
    asked = instrument, "pruning.magnitude", "sparsity", (0.5, 0.8, 0.95), data, Tolerance(0.005, 0.0)
    whole = finished(scan(*asked))
    states = [s for s in scan(*asked) if s is not None]
    for stop in (s for s in states if s.stage == "measuring"):
        again = finished(scan(*asked, before=stop.arrays()))
        assert again.cells == whole.cells
    assert finished(scan(*asked, before=whole.arrays())).cells == whole.cells
    closer = finished(scan(*asked[:-1], ALL, before=whole.arrays()))
    assert closer.cells == finished(scan(*asked[:-1], ALL)).cells, "asked for more, it measures more"


def test_intervals_that_were_not_strict_are_not_taken_for_strict(instrument):
    asked = instrument, "pruning.magnitude", "sparsity", (0.5, 0.8, 0.95), instrument.network.data["validation"], Tolerance(0.03, 0.0)
    loose = finished(scan(*asked))
    strict = finished(scan(*asked, strict=True, before=loose.arrays()))
    assert all(a.n <= b.n for a, b in zip(loose.cells, strict.cells)) and sum(c.n for c in loose.cells) < sum(c.n for c in strict.cells)
    assert finished(scan(*asked, strict=True, before=strict.arrays())).cells == strict.cells


def test_where_a_method_does_not_apply_the_cell_says_so(instrument):
    found = finished(scan(instrument, "lowrank.tucker2", "rank", (0.5,), instrument.network.data["validation"]))
    assert all(not c.measured and c.refused for c in found.cells)


def test_limits_are_the_harshest_safe_rungs(instrument):
    """By halving, as by trying all: where the drop grows along the ladder, next to each limit there is none better."""
    net, data = instrument.network, instrument.network.data["validation"]
    found = finished(limits(instrument, "quantization.uniform", "bits", data, 0.02))
    safe = last_safe(found.cells, 0.02)
    full = finished(scan(instrument, "quantization.uniform", "bits", tuple(harsher("quantization.uniform", "bits")), data, ALL))
    for layer in net.layers:
        drops = [c.drop for c in full.cells if c.layer == layer.name and c.value > 1]
        assert drops == sorted(drops), "this network's drops grow as bits fall to two; one bit has its own two levels"
        assert safe.get(layer.name) == last_safe(full.cells, 0.02).get(layer.name)
    assert len(found.cells) < len(full.cells)


@pytest.mark.parametrize("which, name", [(w, n) for w in ("sparsity", "bits", "rank") for n in answering(w)])
def test_rungs_are_spread_over_the_ladder_without_the_one_that_does_nothing(which, name):
    knob = methods()[name].knob(which)
    working = [v for v in knob.ladder if v != knob.off]
    found = rungs(name, which)
    assert len(found) == len(set(found)) >= min(5, len(working)) and set(found) <= set(working) and len(found) <= 7
    if len(working) <= 5:
        assert set(found) == set(working)


def test_a_study_measures_recipes_as_closely_as_asked():
    net = shipped.load("digits-mlp")
    recipes, held = grid(Recipe(), (0.0, 0.8), (32, 4)), {}

    def instruments(network):
        return held.setdefault(network.digest, Instrument(network))

    for close in (0.0, 0.03):
        found = [p for p in study(net, recipes, net.data["validation"], close, instruments) if p]
        assert [p.recipe for p in found] == recipes and all(p.quality.complete or 0 < p.quality.sampled <= close for p in found)
        assert found[-1].file_bytes < found[0].file_bytes == size_of(compress(net, Recipe()))
        assert {p.multiply_adds for p in found} == {multiply_adds(net.module, net.example)}
    half, = (p for p in study(net, [Recipe((step("lowrank.svd", rank=0.5),))], net.data["validation"], 0.03, instruments) if p)
    assert half.multiply_adds == multiply_adds(smaller(compress(net, half.recipe)), net.example) < found[0].multiply_adds


steps = st.sampled_from(list(methods())).flatmap(lambda name: st.tuples(
    st.just(name), st.fixed_dictionaries({k.name: st.sampled_from(k.ladder) for k in methods()[name].knobs}))).map(lambda p: step(p[0], **p[1]))
switched = st.tuples(steps, st.booleans()).map(lambda pair: replace(pair[0], on=pair[1]))
layers = st.one_of(st.sampled_from(["conv1", "blocks.0.attention.in_proj_weight", "lstm.weight_ih_l0", "a-b~c*?", "stage1.*"]),
                   st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable()))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(steps, max_size=4), st.dictionaries(layers, st.lists(steps, min_size=1, max_size=3), max_size=3),
       st.dictionaries(layers, st.lists(switched, max_size=2), max_size=2), st.lists(layers, max_size=3, unique=True), st.integers(0, 99))
def test_any_recipe_survives_a_link_and_json(default, pins, whole, locked, seed):
    recipe = Recipe(locked=tuple(locked), seed=seed)
    for s in default:
        recipe = recipe.with_default(s)
    for name, own in pins.items():
        for s in own:
            recipe = recipe.with_pin(name, s)
    for name, chain in whole.items():
        recipe = recipe.with_override(Override(name, tuple(chain), whole=True))
    assert from_json(to_json(recipe)) == recipe
    assert from_link(to_link(recipe)) == (recipe, [])


def test_no_method_is_named_like_a_knob_or_a_value():
    knobs = {k.name for m in methods().values() for k in m.knobs}
    assert not knobs & {name.split(".")[1] for name in methods()}, "a link could not tell them apart"


HOSTILE = [
    {"do": "magnitude"}, {"do": "magnitude-sparsity"}, {"do": "magnitude-sparsity-2"}, {"do": "magnitude-sparsity-0.123"},
    {"do": "rm-rf"}, {"do": "-"}, {"do": "~~~"}, {"do": "magnitude-bits-4"}, {"do": "magnitude-sparsity-0.5-sparsity"},
    {"do": "uniform-bits-True"}, {"do": "uniform-symmetric-1"}, {"do": "x" * 5000}, {"pin": "fc1"}, {"pin": "-magnitude-sparsity-0.5"},
    {"pin": "fc1-nothing-x-1"}, {"lock": "~" * 100}, {"seed": "-1"}, {"seed": "1e9"}, {"seed": "<script>"}, {"only": "fc1-uniform-bits-99"},
    {"do": "\u0000"}, {"do": "magnitude-sparsity-nan"}, {"do": "magnitude-sparsity-inf"}, {"do": "__import__-os-1"}, {"do": "%"},
    {"pin": "%zz-uniform-bits-4"},
]


@pytest.mark.parametrize("words", HOSTILE, ids=lambda w: str(w)[:40])
def test_a_hostile_link_gives_sentences_and_a_recipe(words):
    recipe, trouble = from_link(words)
    assert from_link(to_link(recipe)) == (recipe, [])
    assert all(t.endswith(".") and len(t) < 400 for t in trouble)


@pytest.mark.parametrize("text, says", [
    ("", "not JSON"), ("[]", "no recipe"), ("{}", "no recipe"), ('{"shrinkscope": 1}', "incomplete"),
    ('{"shrinkscope": 1, "default": [{"method": "a.b", "knobs": {}}], "overrides": [], "locked": [], "seed": 0}', "unknown method"),
    ('{"shrinkscope": 1, "default": [{"method": "pruning.magnitude", "knobs": {"sparsity": 7}}], "overrides": [], "locked": [], "seed": 0}',
     "ladder"),
])
def test_a_wrong_recipe_file_says_what_is_wrong(text, says):
    with pytest.raises(ValueError, match=says):
        from_json(text)


def test_a_whole_recipe_is_guessed_from_single_layers(instrument):
    data = instrument.network.data["validation"]
    found = finished(scan(instrument, "pruning.magnitude", "sparsity", (0.5, 0.8, 0.95), data, ALL))
    mild, harsh = ([c for c in found.cells if c.value == v] for v in (0.5, 0.95))
    one, two = together(mild, found.cells), together(harsh, found.cells)
    assert one.nats == pytest.approx(sum(c.nats for c in mild)) and one.drop <= two.drop
    alone = together(harsh[:1], found.cells)
    assert alone.drop == pytest.approx(harsh[0].drop, abs=0.05) and not alone.beyond and two.beyond
    with pytest.raises(ValueError, match="no cell of this scan was measured"):
        together(mild, [c._replace(drop=float("nan")) for c in found.cells])


def test_pairs_of_bits_are_the_recipes_that_one_would_write():
    rounding = step("rewriting.activations", bits=8, range="mse")
    found = bit_pairs((32, 4), (32, 6), rounding)
    assert found == [Recipe(), Recipe(first=(step("rewriting.activations", bits=6, range="mse"),)), Recipe((step("quantization.uniform", bits=4),)),
                     Recipe((step("quantization.uniform", bits=4),), first=(step("rewriting.activations", bits=6, range="mse"),))]
    net, known = shipped.load("digits-mlp"), {}

    def instruments(of):
        return known.setdefault(of.digest, Instrument(of))

    *_, last = (p for p in study(net, found, net.data["validation"], 0.0, instruments) if p)
    done = compress(net, found[-1])
    *_, plain = evaluate(done.network, done.weights(), net.data["validation"])
    assert last.quality.accuracy.value == plain.quality.accuracy.value
