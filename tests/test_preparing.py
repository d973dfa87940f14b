"""Slow preparations go piece by piece: they say how far they are, can be stopped, and are made once."""

import pytest
import torch

from app import compute, readiness
from app.readiness import Wanted
from compression.apply import encode, encoding
from compression.method import Piecewise, drained, mapped
from compression.recipe import Recipe, step
from compression.registry import methods
from compression.zoo import shipped

SLOW = [name for name, known in methods().items() if isinstance(known.prepare, Piecewise)]
GPTQ = step("quantization.gptq", bits=3)


@pytest.fixture
def layer():
    found = shipped.load("resnet-20").layer("stage1.0.conv1")
    found.context.once("synflow", dict).clear()  # what it finds for all layers together may be known from another test
    return found


@pytest.fixture
def memo(monkeypatch):
    """A memory of the test's own."""
    held = {}
    monkeypatch.setattr(compute, "memo", lambda: held)
    return held


def test_a_generator_is_drained_and_mapped():
    def work():
        yield 1
        yield 2
        return "made"

    assert drained(work()) == "made"
    told = mapped(work(), lambda n: n * 10)
    assert [next(told), next(told)] == [10, 20]
    with pytest.raises(StopIteration) as end:
        next(told)
    assert end.value.value == "made"


def test_the_slowest_methods_say_how_far_they_are():
    assert {"quantization.adaround", "quantization.gptq", "lowrank.cp", "pruning.synflow", "pruning.sparse_gpt"} <= set(SLOW)


@pytest.mark.parametrize("name", SLOW)
def test_a_preparation_tells_a_rising_share_and_prepares_the_same(name, layer):
    known, told = methods()[name], []
    found = drained(mapped(known.preparing(layer.weight, layer), told.append))
    assert len(told) >= (2 if name == "pruning.obs" else 5), "the surgeon takes as many outputs at a time as there is room for"
    assert told[0] == 0 and max(told) < 1 and told == sorted(told)
    knobs = dict(step(name).knobs)
    assert torch.equal(known.answer(found, **knobs).decode(), known.answer(known.prepare(layer.weight, layer), **knobs).decode())


def test_a_chain_says_what_it_prepares_and_what_is_known_is_not_prepared_again(layer):
    chain, memo = (step("lowrank.svd", rank=0.5), step("sharing.product", bits=4)), {}
    told = []
    form, refused = drained(mapped(encoding(layer, chain, memo, "net"), told.append))
    assert [now.step for now in told if now.share == 0] == [chain[0]] + [chain[1]] * 4, "both factors, before it begins and as it does"
    again = encode(layer, chain, {})
    assert torch.equal(form.decode(), again[0].decode()) and refused == again[1] == ()
    turned = (chain[0], step("sharing.product", bits=2))
    assert list(encoding(layer, turned, memo, "net")) == [], "only the dial was turned"
    assert torch.equal(encode(layer, turned, memo, "net")[0].decode(), encode(layer, turned, {})[0].decode())


def test_nothing_is_kept_of_a_chain_that_is_left_before_it_is_done(layer):
    memo = {}
    work = encoding(layer, (GPTQ,), memo, "net")
    next(work)
    next(work)
    work.close()
    assert not memo


def test_what_is_quick_is_done_at_once_and_what_is_slow_is_named(memo):
    net = shipped.load("resnet-20")
    quick, slow = Wanted("stage1.0.conv1", (step("pruning.magnitude"),)), Wanted("stage1.0.conv2", (GPTQ,))
    assert readiness.unready(net, [quick, slow]) == [slow] and memo
    pieces = [piece for piece in readiness.preparing(net, [slow]) if piece]
    assert pieces[0].title == "GPTQ" and pieces[0].layer == "stage1.0.conv2"
    assert readiness.unready(net, [quick, slow]) == []


def test_turning_a_dial_of_the_slow_step_is_the_same_work_and_a_step_before_it_is_other_work():
    net = shipped.load("lenet-5")
    def work(*chain):
        return readiness.place(net, [Wanted("fc1", chain)])
    assert work(GPTQ) == work(step("quantization.gptq", bits=2)) != work(step("quantization.adaround"))
    assert work(GPTQ) == work(GPTQ, step("coding.huffman")) != readiness.place(net, [Wanted("fc2", (GPTQ,))])
    product = step("sharing.product")
    assert work(step("pruning.magnitude", sparsity=0.5), product) != work(step("pruning.magnitude", sparsity=0.6), product)


def test_a_recipe_that_waits_is_shown_as_it_was_before(memo):
    net, before = shipped.load("resnet-20"), Recipe((step("quantization.uniform", bits=4),))
    recipe = before.with_default(GPTQ).with_lock("stem.conv", True)
    shown, late = readiness.stand_in(net, recipe, before)
    assert len(late) == len(net.layers) - 1 and "stem.conv" not in late
    assert all(shown.chain(layer.name) == (before.chain(layer.name) if layer.name in late else ()) for layer in net.layers)
    list(readiness.preparing(*readiness.wanted(net, recipe)))
    assert readiness.stand_in(net, recipe, before) == (recipe, ())


def test_a_layer_whose_recipe_before_has_to_wait_as_well_is_shown_as_trained(memo):
    net, recipe = shipped.load("lenet-5"), Recipe((step("quantization.adaround"),))
    shown, late = readiness.stand_in(net, recipe, Recipe((GPTQ,)))
    assert late and all(shown.chain(name) == () for name in late)


def test_estimates_grow_with_the_layer_and_name_the_slow():
    net = shipped.load("lenet-5")
    large, small = (readiness.seconds(net, [Wanted(name, (GPTQ,))]) for name in ("fc1", "fc2"))
    assert large / small == pytest.approx(net.layer("fc1").weight.numel() / net.layer("fc2").weight.numel())
    assert readiness.seconds(net, [Wanted("fc1", (step("pruning.magnitude"),))]) is None
    assert readiness.titles(net, [Wanted("fc1", (step("pruning.magnitude"), GPTQ))]) == ["GPTQ"]
