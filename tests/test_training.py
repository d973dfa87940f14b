"""Training: the loop, what it holds, what is kept when it is interrupted, and what it gives."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from compression import export
from compression.apply import compress, encode
from compression.encoded import Codes
from compression.recipe import Recipe, step
from compression.registry import methods, procedures
from compression.score import size_of
from compression.train.loop import accuracy, fit, watched
from compression.train.made import Made
from compression.train.plan import Plan, batches, one_cycle
from compression.train.procedure import Task
from compression.train.recover.fine_tune import told
from compression.train.stored import Stored, trainable
from compression.zoo import shipped

DEEP = Recipe((step("pruning.magnitude", sparsity=0.8), step("sharing.kmeans", bits=3), step("coding.huffman")))
PLAN = Plan("adamw", 1e-3, 0.0, 64, 2)


@pytest.fixture
def net():
    return shipped.load("digits-mlp")


def trained(net, plan=PLAN, seed=0, **given):
    model = Made(net, {})
    return model, list(fit(model, net.data["train"], net.data["validation"], plan, seed, **given))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_first_point_is_of_the_network_as_it_came_and_the_last_of_what_it_became(net):
    model, points = trained(net)
    seen = [p for p in points if p]
    assert seen[0].step == 0 and isnan(seen[0].loss) and seen[-1].step == PLAN.total(len(net.data["train"]))
    assert seen[0].accuracy == accuracy(net.module, net.data["validation"]) and seen[-1].accuracy == accuracy(model, net.data["validation"])
    assert not any(p.requires_grad for p in net.module.parameters()) and same(net.module, shipped.load("digits-mlp").module)


def test_the_seed_alone_decides(net):
    torch.manual_seed(1)
    one, _ = trained(net)
    torch.manual_seed(2)
    again, _ = trained(net)
    other, _ = trained(net, seed=1)
    assert same(one, again) and not same(one, other)


def test_a_training_that_was_cut_off_goes_on_as_if_it_never_had_been(net, monkeypatch):
    monkeypatch.setattr("compression.train.loop.KEEP", -1.0)
    whole, points = trained(net)
    store, half = {}, Made(net, {})
    for point in fit(half, net.data["train"], net.data["validation"], PLAN, 0, store=store, key="k"):
        if point and point.step > 8:
            break
    rest, after = trained(net, store=store, key="k")
    assert same(whole, rest)
    assert [(p.step, p.accuracy) for p in points if p] == [(p.step, p.accuracy) for p in after if p]
    assert all(isinstance(x, np.ndarray) for x in store["k"].values()), "kept without pickle"


def test_the_best_is_told_while_the_model_holds_it_also_after_a_cut(net, monkeypatch):
    monkeypatch.setattr("compression.train.loop.KEEP", -1.0)
    store = {}
    trained(net, store=store, key="k")
    model = Made(net, {})
    for point in fit(model, net.data["train"], net.data["validation"], PLAN, 0, store=store, key="k"):
        if point and point.best:
            assert accuracy(model, net.data["validation"]) == point.accuracy


def test_the_rate_rises_once_and_falls_to_nearly_nothing():
    rates = [one_cycle(i, 100) for i in range(100)]
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(1 / 25) and max(rates) == pytest.approx(1) and rates[-1] < 1e-5
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


def test_every_example_comes_once_in_a_pass(net):
    data = replace(net.data["train"], labels=torch.arange(len(net.data["train"])))
    source = batches(data, Plan("sgd", 0.1, 0.0, 100, 1), torch.Generator().manual_seed(0))
    seen = torch.cat([next(source)[1] for _ in range(len(data) // 100)])
    assert len(seen.unique()) == len(seen)


@pytest.mark.parametrize("name", [name for name, known in methods().items() if known.consumes == "values"])
def test_every_form_is_trained_as_it_decodes_and_keeps_its_length(name):
    for network, layer in (("lenet-300-100", "fc3"), ("lenet-5", "conv1")):
        layer = shipped.load(network).layer(layer)
        form, refused = encode(layer, (step(name), step("coding.huffman")))
        if refused or not trainable(form):
            continue
        maker = Stored(form)
        assert torch.equal(maker(), form.decode())
        maker().square().sum().backward()
        assert all(p.grad is not None for p in maker.numbers), "a number that no gradient reaches"
        with torch.no_grad():
            for p in maker.numbers:
                p.mul_(0.9)
        after = maker.form()
        assert torch.equal(after.decode(), maker().detach()) and after.nbytes == form.nbytes == len(after.to_bytes())


def test_a_centroids_gradient_is_the_sum_over_the_weights_that_share_it():
    layer = shipped.load("lenet-300-100").layer("fc3")
    form, _ = encode(layer, (step("sharing.kmeans", bits=2),))
    maker, wanted = Stored(form), torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0))
    (maker() * wanted).sum().backward()
    codes = form.codes.decode().long().flatten()
    assert torch.allclose(maker.numbers[0].grad, torch.zeros(4).index_add(0, codes, wanted.flatten()), atol=1e-4)


def test_what_stores_no_real_number_is_refused():
    with pytest.raises(ValueError, match="nothing that can be trained"):
        Stored(Codes(torch.zeros(3, dtype=torch.uint8), 1))


def test_fine_tuning_keeps_zeros_codes_and_length_and_flows_on_like_any_network(net):
    *_, last = (p for p in procedures()["recover.fine_tune"].run(Task(net, DEEP), epochs=2, taught="labels", images="as they are", rate=1e-3) if p)
    run, before = last.runs[0], compress(net, DEEP)
    after = compress(run.trained.network, run.trained.recipe)
    assert run.best.accuracy > run.points[0].accuracy
    for layer in net.layers:
        was, now = before.encoded[layer.name], after.encoded[layer.name]
        assert torch.equal(was.decode() == 0, now.decode() == 0) and was.nbytes == now.nbytes
        assert len(now.decode().unique()) <= 9
    decoded = export.unpack(export.pack(after))
    module = shipped.ZOO["digits-mlp"].build().eval()
    module.load_state_dict(decoded)
    assert accuracy(module, watched(net.data["validation"])) == run.best.accuracy
    assert run.trained.network.reference is net and size_of(after) < size_of(compress(net, Recipe())) / 10
    further = compress(run.trained.network, Recipe((step("pruning.magnitude", sparsity=0.9),)))
    assert not any(further.refused.values()) or set(further.encoded) == set(after.encoded)


def test_tied_and_recurrent_and_attention_weights_are_trained_once():
    for name in ("char-gpt", "row-lstm", "vit"):
        net = shipped.load(name)
        done = compress(net, Recipe((step("pruning.magnitude", sparsity=0.5),)))
        model = Made(net, {layer.name: Stored(done.encoded[layer.name]) for layer in net.layers})
        data = net.data["train"]
        scores = model(data.inputs[:2])
        F.cross_entropy(scores.flatten(0, -2), data.labels[:2].flatten()).backward()
        assert all(p.grad is not None for maker in model.makers for p in maker.numbers)
        assert sum(len(names) for names in model.names.values()) >= len(model.makers) == len(net.layers)


def test_pruning_in_rounds_and_at_once_take_as_many_steps_and_the_last_mask_gets_the_passes_at_the_end(net):
    task = Task(net, Recipe((step("pruning.magnitude", sparsity=0.95),)))
    settings = procedures()["recover.iterative"].settings(rounds=2, epochs=1, last=3, taught="soft targets")
    *_, last = (p for p in procedures()["recover.iterative"].run(task, **settings) if p)
    slowly, at_once = last.runs
    assert slowly.points[-1].step == at_once.points[-1].step == slowly.steps
    left = [p.traced["weights left (%)"] for p in slowly.points]
    steps = [p.step for p in slowly.points if p.traced["weights left (%)"] == left[-1]]
    assert steps[-1] - steps[0] == slowly.steps * 4 / 5, "four of the five passes"


def test_what_the_network_said_is_learnt_without_a_label(net):
    task, examples = Task(net, Recipe()), net.data["train"]
    inputs, labels = examples.inputs[:50], examples.labels[:50]
    loss, half = told(task, "soft targets"), Made(net, {})
    with torch.no_grad():
        half.body.get_parameter(next(n for n, _ in half.body.named_parameters())).mul_(0.5)
        assert told(task, "labels") is None and float(loss(net.module, inputs, labels)) == pytest.approx(0, abs=1e-6)
        assert float(loss(half, inputs, labels)) == float(loss(half, inputs, labels.roll(1))) > 1e-3
