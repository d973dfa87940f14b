"""Scans, studies, fronts, links."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from compression.apply import compress
from compression.evaluate import Estimate
from compression.link import from_link, to_link
from compression.recipe import Override, Recipe, from_json, step, to_json
from compression.registry import answering, methods
from compression.score import size_of
from compression.search import Point, front, grid, knee, study
from compression.sensitivity import last_safe, lost, rungs, scan
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


def test_the_knee_is_farthest_from_the_straight_line():
    line = points([(10, 0.2), (20, 0.8), (60, 0.85), (100, 0.9)])
    assert knee(line) is line[1] and knee(line[:2]) is None


def test_a_scan_measures_every_layer_alone():
    net = shipped.load("digits-mlp")
    values = rungs("pruning.magnitude", "sparsity")
    cells = list(scan(net, "pruning.magnitude", "sparsity", values, net.data["validation"], 10_000))
    assert {(c.layer, c.value) for c in cells} == {(layer.name, v) for layer in net.layers for v in values}
    original = size_of(compress(net, Recipe()))
    for c in cells:
        alone = compress(net, Recipe(overrides=(Override(c.layer, (c.step,)),)))
        assert original - c.saved_bytes == size_of(alone) and c.quality.complete
    safe = last_safe(cells, 0.02)
    for layer, value in safe.items():
        assert all(lost(c.quality) <= 0.02 for c in cells if c.layer == layer and c.value <= value)


def test_where_a_method_does_not_apply_the_cell_says_so():
    net = shipped.load("digits-mlp")
    cells = list(scan(net, "lowrank.tucker2", "rank", (0.5,), net.data["validation"], 100))
    assert all(c.quality is None and c.refused for c in cells)


@pytest.mark.parametrize("which, name", [(w, n) for w in ("sparsity", "bits", "rank") for n in answering(w)])
def test_rungs_are_spread_over_the_ladder_without_the_one_that_does_nothing(which, name):
    knob = methods()[name].knob(which)
    working = [v for v in knob.ladder if v != knob.off]
    found = rungs(name, which)
    assert len(found) == len(set(found)) >= min(5, len(working)) and set(found) <= set(working) and len(found) <= 7
    if len(working) <= 5:
        assert set(found) == set(working)


def test_a_study_measures_recipes_on_the_same_examples():
    net = shipped.load("digits-mlp")
    recipes = grid(Recipe(), (0.0, 0.8), (32, 4))
    found = list(study(net, recipes, net.data["validation"], 100))
    assert [p.recipe for p in found] == recipes and len({p.quality.n for p in found}) == 1
    assert found[-1].file_bytes < found[0].file_bytes == size_of(compress(net, Recipe()))


steps = st.sampled_from(list(methods())).flatmap(lambda name: st.tuples(
    st.just(name), st.fixed_dictionaries({k.name: st.sampled_from(k.ladder) for k in methods()[name].knobs}))).map(lambda p: step(p[0], **p[1]))
layers = st.one_of(st.sampled_from(["conv1", "blocks.0.attention.in_proj_weight", "lstm.weight_ih_l0", "a-b~c*?", "stage1.*"]),
                   st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable()))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.lists(steps, max_size=4), st.dictionaries(layers, st.lists(steps, min_size=1, max_size=3), max_size=3),
       st.dictionaries(layers, st.lists(steps, max_size=2), max_size=2), st.lists(layers, max_size=3, unique=True), st.integers(0, 99))
def test_any_recipe_survives_a_link_and_json(default, pins, whole, locked, seed):
    recipe = Recipe(locked=tuple(locked), seed=seed)
    for s in default:
        recipe = recipe.with_default(s)
    for name, own in pins.items():
        for s in own:
            recipe = recipe.with_pin(name, s)
    recipe = Recipe(recipe.default, recipe.overrides + tuple(Override(n, tuple(s), True) for n, s in whole.items()), recipe.locked, seed)
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
    {"do": "\u0000"}, {"do": "magnitude-sparsity-nan"}, {"do": "magnitude-sparsity-inf"}, {"do": "__import__-os-1"}, {"do": "%"}, {"pin": "%zz-uniform-bits-4"},
]


@pytest.mark.parametrize("words", HOSTILE, ids=lambda w: str(w)[:40])
def test_a_hostile_link_gives_sentences_and_a_recipe(words):
    recipe, trouble = from_link(words)
    assert from_link(to_link(recipe)) == (recipe, [])
    assert all(t.endswith(".") and len(t) < 400 for t in trouble)


@pytest.mark.parametrize("text, says", [
    ("", "not JSON"), ("[]", "no recipe"), ("{}", "no recipe"), ('{"shrinkscope": 1}', "incomplete"),
    ('{"shrinkscope": 1, "default": [{"method": "a.b", "knobs": {}}], "overrides": [], "locked": [], "seed": 0}', "unknown method"),
    ('{"shrinkscope": 1, "default": [{"method": "pruning.magnitude", "knobs": {"sparsity": 7}}], "overrides": [], "locked": [], "seed": 0}', "ladder"),
])
def test_a_wrong_recipe_file_says_what_is_wrong(text, says):
    with pytest.raises(ValueError, match=says):
        from_json(text)
