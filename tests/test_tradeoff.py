"""Axes, fronts in words, what a plan measures and the tree of what was tried: plain data in, plain data out."""

from math import log10

import pytest

from app.history import MOST, Node, Tried
from app.studying import axes, plan, said
from app.studying.axes import Row
from app.studying.plan import Plan
from compression.evaluate import Estimate, Quality
from compression.measure import Latency
from compression.recipe import Override, Recipe, step
from compression.registry import dial, methods
from compression.search import Point

COSTS, GOODS = axes.costs((1, 64)), axes.goods(False, True)


def quality(good, half=0.01, loss=0.5, agreement=0.9):
    return Quality("digits", "validation", 100, 100, 100, Estimate(good, good - half, good + half), None, None, Estimate(agreement, 0.8, 1.0),
                   0, 0, 0, None, loss, None)


def row(number, size, good, half=0.01, kind="sweep", recipe=None, study=0, **more):
    """size: in KB, of 1,000 weights."""
    made = Recipe(seed=number) if recipe is None else recipe
    return Row(number, study, f"recipe {number}", "a network", Point(made, round(size * 1e3), quality(good, half, **more), 2_500_000), 1000, kind)


def test_axes_read_in_their_units_and_say_what_they_lack():
    one = row(0, 12.5, 0.91)
    assert [COSTS[c].read(one) for c in ("bytes", "multiply-adds", "bits per weight")] == [12.5, 2.5, 100.0]
    assert COSTS["latency, batch of 1"].read(one) is None and COSTS["bytes"].shown(1234.56) == "1,234.6 KB"
    timed = one._replace(timed=(Latency(0.002, 0.001, 0.004, 0.003, 0.7, 0.6, 0.8, 64, 1, 21, "x"),))
    assert COSTS["latency, batch of 64"].read(timed) == 0.7 and COSTS["latency, batch of 64"].spread(timed) == (0.6, 0.8)
    assert COSTS["latency, batch of 1"].read(timed) is None
    assert GOODS["accuracy"].read(one) == 91.0 and GOODS["accuracy"].spread(one) == pytest.approx((90.0, 92.0))
    assert GOODS["loss"].good(one) == -0.5 and GOODS["agreement"].read(one._replace(kind="dense")) is None
    assert list(axes.goods(False, labels=False)) == ["agreement"] and axes.goods(True, True)["loss"].read(one) == pytest.approx(0.7213, abs=1e-3)


def test_ends_of_an_axis_move_only_when_something_would_lie_outside():
    assert axes.reach([], 10.0, 100.0) == axes.reach([11.0, 99.0, 10.0], 10.0, 100.0) == (10.0, 100.0)
    assert axes.reach([3.0, 150.0], 10.0, 100.0) == (2.5, 200.0) and axes.reach([0.5, 101.0], 0.0, 100.0) == (0.0, 200.0)
    assert axes.on_log((10.0, 100.0)) == (1.0, 2.0) == (log10(10), log10(100))
    assert axes.outside([row(0, 5, 0.9), row(1, 50, 0.9)], COSTS["bytes"], (100.0, 10.0)) == 1


def test_what_beats_a_recipe_is_named():
    x, y = COSTS["bytes"], GOODS["accuracy"]
    small, good, bad, equal = row(0, 10, 0.90), row(1, 20, 0.95), row(2, 30, 0.80), row(3, 10, 0.905)
    text, better = said.beaten(bad, [small, good, bad], x, y)
    assert text == ("Not on the front: 2 recipes are smaller and more accurate: recipe 0 (10.0 KB at 90.0 % ± 1.0); "
                    "recipe 1 (20.0 KB at 95.0 % ± 1.0).") and better == [small, good]
    assert said.beaten(good, [small, good, bad], x, y)[0].startswith("On the front") and said.beaten(good, [small, good, bad], x, y)[1] == []
    text, better = said.beaten(small, [small, equal], x, y)
    assert "1 recipe is no larger and no less accurate, and better in one of the two" in text and "could be chance" in text and better == [equal]
    text, _ = said.beaten(bad, [row(i, 10 + i, 0.9) for i in range(5)], x, y)
    assert "5 recipes are" in text and text.endswith("; and 2 more.")
    other = row(5, 15, 0.99, kind="dense", study=1)
    assert "recipe 5, not compressed" in said.beaten(bad, [other, bad], x, y)[0]
    loss = GOODS["loss"]
    assert "lower in loss" in said.beaten(row(0, 30, 0.9, loss=0.9), [row(1, 20, 0.8, loss=0.2)], x, loss)[0]


def test_the_knee_says_how_it_was_scaled_and_the_cheapest_what_was_allowed():
    x, y = COSTS["bytes"], GOODS["accuracy"]
    assert "size logarithmic, as drawn" in said.knee(row(0, 10, 0.9), x, y, True) and "logarithmic" not in said.knee(row(0, 10, 0.9), x, y, False)
    assert "not an optimum" in said.knee(row(0, 10, 0.9), x, y, True) and "takes three points" in said.knee(None, x, y, True)
    assert said.cheapest(row(0, 10, 0.9), x, y, 0.5) == "**Best within 0.5 points**: recipe 0, 10.0 KB at 90.0 % ± 1.0."
    assert said.cheapest(None, x, y, 1.0) == "No recipe measured so far loses at most 1 point."


def test_each_study_is_held_against_random_pruning_at_its_own_settings():
    recipes = [Recipe((step("pruning.magnitude", sparsity=s),)) for s in (0.0, 0.5, 0.8, 0.9)]
    ours = [row(i, 10, good, recipe=r) for i, (r, good) in enumerate(zip(recipes, (0.95, 0.94, 0.80, 0.20)))]
    chance = [row(9 + i, 10, good, kind="random", recipe=plan.twin(r), study=1) for i, (r, good) in enumerate(zip(recipes[1:], (0.60, 0.795, 0.50)))]
    text, = said.against_chance([*ours, *chance], ["Magnitude pruning", "Random pruning"], COSTS["bytes"], GOODS["accuracy"])
    assert text == ("Magnitude pruning against random pruning at the same settings: clearly more accurate at 1 of 3 settings, worse at 1, "
                    "no clear difference at 1; in the middle 0.5 points better. "
                    "Random pruning beats none of the 1 on its front.")
    text, = said.against_chance([*ours, *chance], ["Magnitude pruning", "Random pruning"], COSTS["bytes"], GOODS["loss"])
    assert "settings: lower in loss at 0 of 3" in text, "nothing is clear without intervals"
    assert plan.twin(recipes[0]) is None and plan.twin(chance[0].recipe) is None
    assert said.against_chance(ours, ["Magnitude pruning"], COSTS["bytes"], GOODS["accuracy"]) == []


def test_networks_that_were_trained_small_have_letters_and_a_verdict():
    x, y = COSTS["bytes"], GOODS["accuracy"]
    front = [row(0, 10, 0.90), row(1, 20, 0.95)]
    dense = [row(2, 30, 0.94, kind="dense", study=1), row(3, 5, 0.5, kind="dense", study=1)]
    text, = said.smaller_dense([*front, *dense], front, x, y)
    assert "a recipe 3 (5.0 KB" in text and "b recipe 2 (30.0 KB" in text and text.endswith("No recipe here beats a: a network trained small "
                                                                                           "can be the better deal.")
    assert "beats every one of them" in said.smaller_dense([*front, dense[0]], front, x, y)[0] and said.smaller_dense(front, front, x, y) == []


@pytest.mark.parametrize("name", [n for which in plan.AIMS["few"] for n in plan.offered(which)])
def test_every_method_can_be_swept_on_rungs_of_its_own(name):
    for settings in plan.AIMS:
        found = plan.levels(name, settings)
        assert len(found) == len(set(found)) >= 2 and set(found) <= set(plan.main(name).ladder)
    assert [s.method for s in plan.steps(name, "few")] == [name] * len(plan.levels(name, "few"))


def test_a_plan_is_every_combination_of_methods_and_settings_with_all_else_kept():
    base = Recipe((step("lowrank.svd", rank=0.5), step("coding.huffman")), (Override("fc1", (step("quantization.uniform", bits=8),)),), ("fc2",))
    both = Plan(base, (("sparsity", ("pruning.magnitude", "pruning.random")), ("bits", ("quantization.uniform",))), "few")
    one, two = plan.sweeps(both)
    assert [s.title for s in (one, two)] == ["Magnitude pruning", "Random pruning"] and len(one.recipes) == len(set(one.recipes)) == 16
    assert all(r.overrides == base.overrides and r.locked == base.locked and {dial(s.method) for s in r.default} ==
               {"rank", "sparsity", "bits", "coding"} for r in one.recipes)
    control = plan.at_random([one])
    assert len(control.recipes) == 12 and set(control.recipes) < set(two.recipes)
    assert len(plan.in_turns([one, two, control])) == 32 and plan.in_turns([one, two])[:2] == [one.recipes[0], two.recipes[0]]
    assert plan.told(one.recipes[5]) == "rank 50 %, 50 % zero, 8 bit" and plan.told(Recipe()) == "original"
    shared = Recipe((step("sharing.hashing", share=0.5),))
    assert plan.told(shared) == f"{methods()['sharing.hashing'].knobs[0].label.lower()} 0.5"
    apart = Recipe().with_pin("a", step("quantization.uniform", bits=2)).with_pin("b", step("quantization.uniform", bits=8))
    assert plan.told(apart) == "2–8 bit by layer"
    same = apart.with_pin("a", step("pruning.magnitude", sparsity=0.5)).with_pin("b", step("pruning.magnitude", sparsity=0.5))
    assert plan.told(same) == "50 % zero, 2–8 bit by layer"


def test_the_tree_of_what_was_tried_keeps_branches_and_forgets_the_oldest_end():
    recipes = [Recipe(seed=i) for i in range(6)]
    tree = Tried((Node(recipes[0], None, "start"),))
    for before, after in ((0, 1), (1, 2), (0, 3), (3, 4), (4, 1), (1, 5)):
        tree = tree.after(recipes[before], recipes[after], f"{before} to {after}")
    assert [n.words for n in tree.nodes] == ["start", "0 to 1", "1 to 2", "0 to 3", "3 to 4", "1 to 5"], "one that was there is found again"
    assert tree.lanes() == [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)] and len(set(tree.lanes())) == 6
    line = Tried((Node(Recipe(), None, "start"),))
    for i in range(1, MOST + 20):
        line = line.after(Recipe(seed=i - 1), Recipe(seed=i), f"step {i}")
    assert len(line.nodes) == MOST and line.nodes[-1].recipe == Recipe(seed=MOST + 19) and [n.parent for n in line.nodes] == [None, *range(MOST - 1)]
    star = Tried((Node(Recipe(), None, "start"),))
    for i in range(1, MOST + 20):
        star = star.after(Recipe(), Recipe(seed=i), f"step {i}")
    assert len(star.nodes) == MOST and star.nodes[0].recipe == Recipe() and all(n.parent == 0 for n in star.nodes[1:])
