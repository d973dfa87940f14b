"""What is measured after a scan: the pair of layers that hurts, and losses, are what plain arithmetic on all examples finds."""

from itertools import pairwise

import pytest
import torch

from compression.apply import compress
from compression.crew import bank_of
from compression.engine.instrument import Instrument
from compression.evaluate import evaluate
from compression.interplay import interplay
from compression.recipe import Recipe, step
from compression.scan_losses import losses
from compression.score import changed
from compression.sensitivity import Cell
from compression.zoo import shipped


def cell(layer, sparsity):
    return Cell(layer, sparsity, step("pruning.magnitude", sparsity=sparsity))


def right(net, data, *cells):
    """(n,) whether the network with these cells answers each example rightly, by the plain path."""
    recipe = Recipe()
    for c in cells:
        recipe = recipe.with_pin(c.layer, c.step)
    done = compress(net, recipe)
    *_, last = evaluate(net, changed(done, done.weights()), data)
    return (last.after.top == data.labels[last.places])[last.places.argsort()].double()


def test_the_excess_is_paired_on_all_examples():
    net = shipped.load("lenet-300-100")
    data = net.data["validation"]
    data = type(data)(data.name, data.split, data.inputs[:1500], data.labels[:1500], data.classes, data.kind)
    chosen = [cell("fc1", 0.95), cell("fc2", 0.9), cell("fc3", 0.8)]
    found = [s for s in interplay(Instrument(net), chosen, data, count=2, close=0.0) if s]
    last = found[-1]
    assert len(last) == 2 and last[0].excess >= last[1].excess and {b.n for b in last} == {1500}
    assert all(a[0].n < b[0].n for a, b in pairwise(found))
    was = right(net, data)
    for both in last:
        alone = [was - right(net, data, c) for c in (both.first, both.second)]
        joint = was - right(net, data, both.first, both.second)
        assert both.alone == pytest.approx([float(d.mean()) for d in alone]) and both.together == pytest.approx(float(joint.mean()))
        excess = joint - alone[0] - alone[1]
        assert both.excess == pytest.approx(float(excess.mean())) and both.half == pytest.approx(2.2414 * float(excess.std()) / 1500**0.5, rel=1e-3)


def test_it_ends_when_it_knows_enough_and_one_layer_makes_no_pair():
    net = shipped.load("digits-mlp")
    instrument, data = Instrument(net), net.data["validation"]
    *_, soon = (s for s in interplay(instrument, [cell("fc1", 0.5), cell("fc2", 0.5)], data, close=1.0) if s is not None)
    assert soon[0].n <= len(data)
    *_, none = (s for s in interplay(instrument, [cell("fc1", 0.5)], data) if s is not None)
    assert none == ()


def test_groups_of_coupled_layers_can_hurt_each_other_too():
    net = shipped.load("lenet-300-100")
    data = net.data["validation"]
    data = type(data)(data.name, data.split, data.inputs[:128], data.labels[:128], data.classes, data.kind)
    chosen = [Cell(name, 0.5, step("rewriting.remove_units", share=0.5, score="l2", group=n)) for n, name in ((1, "fc1 → fc2"), (2, "fc2 → fc3"))]
    *_, found = (s for s in interplay(Instrument(net), chosen, data, close=0.0) if s)
    bank = bank_of(net, {"fc2": (chosen[0].step,), "fc3": (chosen[1].step,)})
    assert len(list(bank.fill())) >= 2
    with torch.inference_mode():
        was, now = net.module(data.inputs), torch.func.functional_call(net.module, bank.weights(0) | bank.weights(1), (data.inputs,))
    was, now = ((scores.argmax(1) == data.labels).double() for scores in (was, now))
    assert found[0].together == pytest.approx(float((was - now).mean())) and found[0].together > 0


@pytest.mark.parametrize("name", ["digits-mlp", "char-lstm"])
def test_losses_of_cells_are_those_of_the_plain_path(name):
    net = shipped.load(name)
    data = net.data["validation"]
    data = type(data)(data.name, data.split, data.inputs[:24], data.labels[:24], data.classes, data.kind)
    layer = net.layers[-1]
    chosen = [cell(layer.name, 0.9), cell(layer.name, 0.5)]
    *_, found = (s for s in losses(Instrument(net), chosen, data) if s)
    for c in chosen:
        done = compress(net, Recipe().with_pin(c.layer, c.step))
        *_, last = evaluate(net, changed(done, done.weights()), data)
        with torch.inference_mode():
            scores = torch.func.functional_call(net.module, changed(done, done.weights()), (data.inputs,))
        top = (scores.topk(5, -1).indices == data.labels[..., None]).any(-1).double().mean()
        assert found[c.layer, c.value].loss == pytest.approx(last.quality.loss, rel=1e-4) and found[c.layer, c.value].n == 24
        assert found[c.layer, c.value].top5 == pytest.approx(float(top), abs=1e-3)
    without = type(data)(data.name, data.split, data.inputs, None, data.classes, data.kind)
    with pytest.raises(ValueError, match="needs labels"):
        next(losses(Instrument(net), chosen, without))
