"""What decides which weights go: magnitudes, gradients and curvature against plain calculations, and where two criteria disagree."""

import doctest
from itertools import product

import pytest
import torch
from random_nets import mlp, one_by_one, small
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from compression.context import Context
from compression.encoded import Dense
from compression.method import Layer
from compression.pruning import disagreement as apart
from compression.pruning import (
    fisher,
    global_magnitude,
    gradient_weight,
    magnitude,
    obd,
    random,
)
from compression.pruning.disagreement import disagreement
from compression.pruning.ranking import removed
from compression.zoo import shipped


def test_disagreement_by_hand():
    first = torch.tensor([[1.0, 0.0, 3.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    second = torch.tensor([[1.0, 2.0, 0.0, 0.0], [5.0, 5.0, 0.0, 0.0]])
    found = disagreement(Dense(first), Dense(second))
    assert found.keeps.tolist() == [[3, 1, 2, 0], [3, 3, 0, 0]]
    assert found.counts == (3, 1, 1, 3) and found.share == 0.25 and found.by_chance == 0.5
    assert found.rows.tolist() == [0.5, 0] and found.columns.tolist() == [0, 0.5, 0.5, 0]
    assert doctest.testmod(apart).failed == 0
    with pytest.raises(ValueError, match="two prunings of one layer"):
        disagreement(Dense(first), Dense(second.T))


def test_a_criterion_agrees_with_itself_and_with_a_lot_only_by_chance():
    weight = torch.randn(100, 200, generator=torch.Generator().manual_seed(1))
    ready = magnitude.prepare(weight, Layer("w", weight)), random.prepare(weight, Layer("w", weight))
    best, lot = magnitude.answer(ready[0], 0.7), random.answer(ready[1], 0.7)
    assert disagreement(best, best).share == 0
    found = disagreement(best, lot)
    assert found.by_chance == pytest.approx(0.42) and found.share == pytest.approx(0.42, abs=0.01)
    assert found.counts[1] == found.counts[2]


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.93])
@pytest.mark.parametrize("name", ["lenet-5", "resnet-20", "char-lstm"])
def test_one_threshold_for_all_layers_is_the_one_torch_finds(name, sparsity):
    net = shipped.load(name)
    holders = []
    for layer in net.layers:
        holders.append(nn.Module())
        holders[-1].weight = nn.Parameter(layer.weight.clone())
    prune.global_unstructured([(h, "weight") for h in holders], prune.L1Unstructured, amount=sparsity)
    for holder, layer in zip(holders, net.layers):
        found = global_magnitude.answer(global_magnitude.prepare(layer.weight, layer), sparsity, "magnitude").decode()
        assert torch.equal(found, holder.weight.detach())


def test_equal_scores_are_cut_to_the_very_number_asked_for():
    counts = removed([torch.ones(7), torch.zeros(3), torch.ones(10)], (0.0, 0.1, 0.5, 0.95))
    assert counts.tolist() == [[0, 0, 7, 7], [0, 2, 3, 3], [0, 0, 0, 9]]


def test_lamp_by_a_plain_loop():
    weight = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    for w, found in zip(weight.flatten(), global_magnitude.lamp(weight).flatten()):
        assert float(found) == pytest.approx(float(w**2 / sum(v**2 for v in weight.flatten() if v**2 >= w**2)))


def test_gradients_of_single_examples_are_those_of_backward():
    """And from them SNIP's and Fisher's score; for the last layer also by the formula (p - y) h'."""
    net = mlp()
    last, grads = net.layers[1], one_by_one(net)
    each = torch.stack([g["2.weight"] for g in grads])
    assert torch.allclose(gradient_weight.score(last), (each.mean(0) * last.weight).abs(), atol=1e-7)
    assert torch.allclose(fisher.score(last), (each * last.weight).square().mean(0) / 2, atol=1e-8)
    hidden = torch.tanh(net.context.examples @ net.layers[0].weight.T + net.module[0].bias)
    wrong = net.module(net.context.examples).softmax(1) - F.one_hot(net.context.labels, 3)
    assert torch.allclose(each, wrong[:, :, None] * hidden[:, None], atol=1e-6)
    assert len(grads) == net.context.alone == 6


@pytest.mark.parametrize("module", [gradient_weight, fisher, obd])
def test_scores_decide_what_is_kept(module):
    net = mlp()
    everything = torch.cat([module.score(layer).flatten() for layer in net.layers])
    least = set(everything.argsort()[: round(0.4 * 45)].tolist())
    start = 0
    for layer in net.layers:
        ready, n = module.prepare(layer.weight, layer), layer.weight.numel()
        gone = module.METHOD.answer(ready, 0.4, "network").decode().flatten() == 0
        assert {start + i for i in gone.nonzero().flatten().tolist()} == least & set(range(start, start + n))
        alone = module.METHOD.answer(ready, 0.4, "layer").decode().flatten() == 0
        assert set(alone.nonzero().flatten().tolist()) == set(module.score(layer).flatten().argsort()[: round(0.4 * n)].tolist())
        assert ready.densities[:, 40].tolist() == pytest.approx(
            [1 - len([i for i in least if a <= i < b]) / (b - a) for a, b in ((0, 30), (30, 45))])
        start += n


def test_curvature_over_all_signs_is_the_gauss_newton_diagonal():
    net = mlp()
    x, names = net.context.examples[0], ["0.weight", "2.weight"]
    weights = tuple(layer.weight for layer in net.layers)

    def scores(*w):
        return torch.func.functional_call(net.module, dict(zip(names, w)), (x[None],))[0]

    p = scores(*weights).softmax(0)
    curve = torch.diag(p) - p[:, None] * p
    signs = [torch.tensor(s)[None] for s in product((-1.0, 1.0), repeat=3)]
    for i, jacobian in enumerate(torch.func.jacrev(scores, (0, 1))(*weights)):  # (classes, out, in)
        expected = torch.einsum("cij,cd,dij->ij", jacobian, curve, jacobian)
        pushed = [torch.func.grad(lambda *w, s=s: obd.push(scores(*w)[None], s), i)(*weights).square() for s in signs]
        assert torch.allclose(torch.stack(pushed).mean(0), expected, atol=1e-7)


def test_curvature_of_a_linear_softmax_is_its_hessian():
    """There Gauss and Newton leave nothing out; the random signs come near it."""
    net = small(nn.Linear(4, 3, bias=False), inputs=(240, 4))
    x, y = net.context.examples, net.context.labels
    exact = torch.func.hessian(lambda w: F.cross_entropy(x @ w.T, y))(net.layers[0].weight)
    diagonal = torch.einsum("ijij->ij", exact)
    found = obd.curvature(net.context)["0"]
    assert torch.allclose(found, diagonal, rtol=0.4) and float((found / diagonal).mean()) == pytest.approx(1, abs=0.06)
    assert torch.allclose(obd.score(net.layers[0]) * 2 / net.layers[0].weight.square(), found)


def test_what_the_curvature_says_of_a_single_weight_is_what_its_loss_does_to_the_answers():
    """Twenty weights of LeNet-5, from the least to the most worth: the divergence of the answers when each alone is set to zero."""
    net = shipped.load("lenet-5")
    layer = net.layer("conv2")
    x, said = net.context.examples[: net.context.alone], obd.score(layer).flatten()
    old = F.log_softmax(net.module(x), -1)
    places = said.argsort()[torch.linspace(5000, len(said) - 1, 20).long()]
    found = []
    for place in places:
        weight = layer.weight.clone()
        weight.view(-1)[place] = 0
        new = F.log_softmax(torch.func.functional_call(net.module, {"conv2.weight": weight}, (x,)), -1)
        found.append((old.exp() * (old - new)).sum(-1).mean())
    ratios = torch.stack(found) / said[places]
    assert 0.8 < float(ratios.median()) < 1.25 and float(ratios.min()) > 0.3 and float(ratios.max()) < 3


def test_other_examples_teach_under_another_seed():
    net = shipped.load("lenet-5")
    other = Context(net.module, net.layers, net.data, net.example, seed=1)
    assert other.digest != net.context.digest and not torch.equal(other.examples, net.context.examples)
    assert not torch.equal(other.gradients("conv1").mean, net.context.gradients("conv1").mean)
