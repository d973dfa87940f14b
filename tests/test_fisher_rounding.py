"""Rounding learnt against the Fisher-weighted error: the weights by small steps, the objective by a plain loop, the rounding by trying all."""

import pytest
import torch
from random_nets import small
from torch import nn

from compression.layer_inputs import places
from compression.quantization import adaround, fisher_rounding, uniform
from compression.zoo import shipped


def around(module, **more):
    """The layer that a network begins with."""
    net = small(*module, **more)
    return net, net.layers[0]


def bent(net, shape):
    """Diagonal of the curvature of the loss along each number of the first part's output, example by example: p (1 - p) pulled back by a Jacobian."""
    first, *rest = net.module
    found = []
    for x in net.context.examples:
        z = first(x[None])
        slopes = torch.autograd.functional.jacobian(lambda z: nn.Sequential(*rest)(z)[0], z).flatten(1)  # (classes, numbers)
        p = nn.Sequential(*rest)(z)[0].softmax(-1)
        found.append((slopes * ((torch.diag(p) - torch.outer(p, p)) @ slopes)).sum(0).reshape(shape))
    return torch.stack(found)


def test_the_fisher_information_is_the_curvature_of_the_softmax(monkeypatch):
    """With many labels drawn for each answer, for a matrix and for a convolution."""
    monkeypatch.setattr("compression.context.DRAWS", 4000)
    net, layer = around((nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    assert torch.allclose(net.context.output_fisher(layer.name), bent(net, (5,)), atol=0.02, rtol=0.1)
    net, layer = around((nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3)), inputs=(8, 1, 6, 6))
    expected = bent(net, (2, 4, 4)).movedim(1, -1).reshape(-1, 2)
    assert torch.allclose(net.context.output_fisher(layer.name), expected, atol=0.02, rtol=0.2)


def test_it_is_known_at_the_places_whose_inputs_are_known():
    context = shipped.load("lenet-5").context
    fisher, inputs = context.output_fisher("conv1"), context.inputs("conv1")
    assert len(fisher) == len(inputs) == 2048 and fisher.shape[1] == 20 and (fisher >= 0).all()
    assert len(context.output_fisher("fc1")) == 256
    silent = context.outputs("fc1") + context.module.fc1.bias <= 0  # what the rectifier shuts the loss does not feel
    assert not context.output_fisher("fc1")[silent].any() and context.output_fisher("fc1")[~silent].any()
    assert len(places(256 * 24 * 24)) == 2048


@pytest.mark.parametrize("groups", [1, 2])
def test_the_objective_is_a_weighed_square_and_its_slope_is_right(groups):
    torch.manual_seed(0)
    inputs, fisher, change = torch.randn(7, groups, 3), torch.rand(7, 4), torch.randn(4, 3, requires_grad=True)
    weighed = fisher_rounding.Weighed(inputs, fisher)
    total = 0.0
    for o in range(4):
        for p in range(7):
            error = change[o] @ inputs[p, o * groups // 4]
            total = total + fisher[p, o] / fisher[:, o].sum() * error**2
    slope, = torch.autograd.grad(total, change)
    change, total = change.detach(), total.detach()
    assert torch.allclose(2 * weighed.times(change), slope, atol=1e-5)
    assert float(weighed.errors(change).sum()) == pytest.approx(float(total), rel=1e-5)


def test_it_comes_near_the_best_of_all_roundings():
    """Eight weights have 256 roundings: of 16 outputs most find the best one, and none is worse than nearest."""
    torch.manual_seed(3)
    rows, inputs, fisher = torch.randn(16, 8), torch.randn(40, 8) @ torch.randn(8, 8), torch.rand(40, 16) ** 4
    plain = uniform.answer(uniform.prepare(rows, None), 3, False, "channel")
    weighed = fisher_rounding.Weighed(inputs[:, None], fisher)
    codes, error = adaround.drained(adaround.learning(rows, plain, weighed.times, weighed.errors))
    scale, zero = plain.scale[:, None], plain.zero.float()[:, None]
    floor = (rows / scale).floor() + zero
    ways = torch.tensor([[i >> j & 1 for j in range(8)] for i in range(256)])
    tried = ((floor + ways[:, None]).clamp(0, 7) - zero) * scale - rows  # (256, 16, 8)
    share = fisher / fisher.sum(0)
    every = ((tried @ inputs.T).square() * share.T).sum(2)  # (256, 16)
    ours = ((((codes - zero) * scale - rows) @ inputs.T).square() * share.T).sum(1)
    assert (ours >= every.amin(0) * (1 - 1e-4)).all() and (error <= 1).all()
    assert float((ours / every.amin(0)).median()) < 1.01 and float(error.mean()) < 0.8


@pytest.mark.parametrize(("network", "name"), [("lenet-300-100", "fc2"), ("resnet-20", "stage1.0.conv1"), ("depthwise", "block1.depthwise")])
def test_no_output_errs_more_than_with_nearest_rounding_where_the_loss_feels_it(network, name):
    layer = shipped.load(network).layer(name)
    ready, known = fisher_rounding.prepare(layer.weight, layer), adaround.prepare(layer.weight, layer)
    weighed = fisher_rounding.Weighed(layer.context.inputs(name), layer.context.output_fisher(name))
    sums = torch.zeros(2)
    for bits in fisher_rounding.BITS:
        forms = fisher_rounding.answer(ready, bits, True), adaround.answer(known, bits, True), fisher_rounding.answer(ready, bits, False)
        learned, plainly, nearest = (weighed.errors((form.decode() - layer.weight).flatten(1)) for form in forms)
        assert (learned <= nearest * (1 + 1e-3) + 1e-12).all() and learned.sum() < nearest.sum()
        sums += torch.stack([learned.sum() / nearest.sum(), plainly.sum() / nearest.sum()])
        assert forms[0].nbytes == forms[1].nbytes == forms[2].nbytes
    assert sums[0] < (0.8 if layer.groups == 1 else 1) * sums[1], "AdaRound leaves more of that error, over all bits"
    assert ready.flipped.ne(0).any() and set(ready.flipped.unique().tolist()) <= {-1, 0, 1}
    codes = (fisher_rounding.answer(ready, 4, learn).codes.decode().int().reshape(ready.flipped.shape) for learn in (True, False))
    assert torch.equal(ready.flipped, next(codes) - next(codes))


def test_the_same_again():
    layer, fresh = (load("lenet-5").layer("conv1") for load in (shipped.load, shipped.load.__wrapped__))
    first, again = (fisher_rounding.answer(fisher_rounding.prepare(each.weight, each), 3, True).to_bytes() for each in (layer, fresh))
    assert first == again


@pytest.mark.parametrize(("network", "name", "words"), [
    ("char-lstm", "embed", "An embedding has no inputs"), ("row-lstm", "lstm.weight_hh_l0", "stay inside its LSTM."),
    ("vit", "blocks.0.attention.in_proj_weight", "stay inside its MultiheadAttention."),
    ("vit", "blocks.0.attention.out_proj", "stay inside its MultiheadAttention.")])
def test_layers_whose_outputs_are_out_of_reach_are_refused(network, name, words):
    layer = shipped.load(network).layer(name)
    assert words in fisher_rounding.METHOD.why_not(layer.weight, layer)
