"""Groups of coupled layers in a scan: what a cell says is what the really smaller network does."""

import pytest
import torch

from compression.apply import compress
from compression.crew import bank_of
from compression.engine.instrument import Instrument
from compression.evaluate import evaluate
from compression.link import from_link, to_link
from compression.recipe import Recipe, from_json, step, to_json
from compression.removal import groups
from compression.score import changed, size_of
from compression.sensitivity import ALL, scan, steps_of
from compression.zoo import shipped

REMOVAL = "rewriting.remove_units"


@pytest.mark.parametrize("name, count", [("digits-mlp", 1), ("lenet-5", 3), ("vgg-small", 5), ("resnet-20", 9), ("vit", 5), ("row-lstm", 0)])
def test_each_group_is_a_layer_and_what_alone_reads_it(name, count):
    net = shipped.load(name)
    found = groups(net)
    assert len(found) == count and [g.number for g in found] == list(range(1, count + 1))
    assert {g.reader for g in found} <= {x.name for x in net.layers} and len({g.reader for g in found}) == count


def test_a_cell_is_the_smaller_network():
    """Accuracy and bytes, of the module without the units: digits MLP whole, the last group of VGG on some images."""
    net = shipped.load("digits-mlp")
    *_, found = (s for s in scan(Instrument(net), REMOVAL, "share", (0.25, 0.75), net.data["validation"], ALL, score="l2") if s)
    assert [c.layer for c in found.cells] == ["fc1 → fc2"] * 2 and found.stage == "done"
    for cell in found.cells:
        small = compress(net, Recipe(first=(cell.step,)))
        *_, plain = evaluate(small.network, changed(small, small.weights()), net.data["validation"])
        assert cell.drop == pytest.approx(-plain.quality.change.value) and cell.saved_bytes == size_of(compress(net, Recipe())) - size_of(small) > 0


def test_zeros_where_units_were_read_answer_as_the_smaller_network_does():
    net = shipped.load("vgg-small")
    rows = steps_of(net, REMOVAL, "share", (0.5,))
    bank = bank_of(net, rows)
    assert [i for i in bank.fill() if i is not None] == list(range(len(bank.cells)))
    x = net.data["validation"].inputs[:32]
    for i in (0, len(bank.cells) - 1):
        small = compress(net, Recipe(first=bank.cells[i].steps)).network.module
        masked = torch.func.functional_call(net.module, bank.weights(i), (x,))
        assert torch.allclose(masked, small(x), atol=1e-3) and not torch.allclose(masked, net.module(x), atol=1e-2)


def test_groups_stand_side_by_side_in_a_recipe_and_one_that_is_not_there_is_passed_over():
    one, two, far = (step(REMOVAL, share=0.5, group=n) for n in (1, 2, 99))
    recipe = Recipe().with_first(one).with_first(two).with_first(step(REMOVAL, share=0.25, group=1))
    assert [(s["share"], s["group"]) for s in recipe.first] == [(0.25, 1), (0.5, 2)]
    assert from_link(to_link(recipe)) == (recipe, []) and from_json(to_json(recipe)) == recipe
    done = compress(shipped.load("digits-mlp"), Recipe(first=(far,)))
    assert done.passed_over == ("Removing of units was asked for group 99 of coupled layers, and there are 1 here.",)


def test_without_coupled_layers_there_is_nothing_to_scan():
    net = shipped.load("row-lstm")
    data = net.data["validation"]
    small = type(data)(data.name, data.split, data.inputs[:64], data.labels[:64], data.classes, data.kind)
    *_, found = (s for s in scan(Instrument(net), REMOVAL, "share", (0.5,), small, ALL) if s)
    assert found.cells == () and found.stage == "done"
