"""What decides which units go: gates, worth passed back, zeros after a rectifier, and scales of norms, against plain calculations."""


import pytest
import torch
from random_nets import mlp, small
from torch import nn
from torch.nn import functional as F

from compression.pruning import (
    apoz,
    bn_gamma,
    flow,
    nisp,
    unit_gates,
)
from compression.zoo import shipped


def test_gates_lean_as_small_steps_say():
    """Every output's weights made a little larger and smaller: the change of each example's loss is the slope along the gate."""
    net = mlp()
    layer = net.layers[0]
    ready, step = unit_gates.prepare(layer.weight, layer), 1e-2
    for unit in range(5):
        slopes = []
        for x, y in zip(net.context.examples[: net.context.alone], net.context.labels):
            ends = []
            for change in (-step, step):
                weight = layer.weight.clone()
                weight[unit] *= 1 + change
                ends.append(float(F.cross_entropy(torch.func.functional_call(net.module, {"0.weight": weight}, (x[None],)).double(), y[None])))
            slopes.append((ends[1] - ends[0]) / (2 * step))
        slopes = torch.tensor(slopes)
        assert float(ready.skeletonization[unit]) == pytest.approx(-float(slopes.mean()), abs=2e-4)
        assert float(ready.taylor[unit]) == pytest.approx(float(slopes.abs().mean()), abs=2e-4)
        assert float(ready.fisher[unit]) == pytest.approx(float(slopes.square().mean() / 2), abs=2e-4)
    for score in unit_gates.SCORES:
        gone = unit_gates.answer(ready, 0.4, score, "layer").decode().abs().sum(1) == 0
        assert set(gone.nonzero().flatten().tolist()) == set(getattr(ready, score).argsort()[:2].tolist())


def test_gates_of_all_layers_share_one_threshold():
    net = mlp()
    ready = [unit_gates.prepare(layer.weight, layer) for layer in net.layers]
    everything = torch.cat([r.fisher for r in ready])
    going = [int((r.fisher <= everything.sort().values[3]).sum()) for r in ready]
    assert [int(r.going["fisher"][unit_gates.LADDER.index(0.5)]) for r in ready] == going and sum(going) == 4
    scaled = [r.taylor / r.taylor.square().sum().sqrt() for r in ready]  # Taylor's are compared as shares of their layer
    for share, count in ((0.25, 2), (0.5, 4), (0.75, 6)):
        least = torch.cat(scaled).sort().values[count - 1]
        assert [int(r.going["taylor"][unit_gates.LADDER.index(share)]) for r in ready] == [int((s <= least).sum()) for s in scaled]


def test_worth_is_passed_back_through_magnitudes():
    net = shipped.load("lenet-300-100")
    one, two, three = (layer.weight.abs() for layer in net.layers)
    back = three.T @ torch.ones(10)
    assert torch.allclose(nisp.prepare(two, net.layers[1]).worth, back, rtol=1e-4)
    assert torch.allclose(nisp.prepare(one, net.layers[0]).worth, two.T @ back, rtol=1e-4)


def test_the_worth_of_a_channel_is_what_a_little_more_of_it_gives():
    net = shipped.load("vgg-small")
    ready = nisp.prepare(net.layers[1].weight, net.layers[1])
    module, x = flow.pipes(net.context), flow.ones(net.context)
    before = float(module(x).sum())
    owner = module.get_submodule(net.layers[1].name)
    for channel in (0, 7, 20):
        more = torch.zeros(len(ready.worth), dtype=torch.float64)
        more[channel] = 1e-6 * before
        hook = owner.register_forward_hook(lambda _, given, out, more=more: out + more[:, None, None])
        assert (float(module(x).sum()) - before) / (1e-6 * before) == pytest.approx(float(ready.worth[channel]), rel=1e-3)
        hook.remove()


def test_zeros_after_the_rectifier_are_counted():
    net = shipped.load("lenet-300-100")
    x = net.context.examples
    after = F.relu(x.flatten(1) @ net.layers[0].weight.T + net.module.fc1.bias)
    ready = apoz.prepare(net.layers[0].weight, net.layers[0])
    assert torch.allclose(ready.zeros, (after == 0).float().mean(0), atol=1e-6) and torch.allclose(ready.mean_output, after.mean(0), atol=1e-5)
    assert set(ready.order[:30].tolist()) == set((after == 0).float().mean(0).argsort(descending=True, stable=True)[:30].tolist())
    assert apoz.refuses(net.layers[2].weight, net.layers[2]).endswith("none follows fc3 directly.")


def test_zeros_of_a_channel_are_counted_over_its_places_after_the_norm():
    net = shipped.load("resnet-20")
    layer = net.layer("stage1.0.conv1")
    block = net.module.stage1[0]
    with torch.no_grad():
        after = F.relu(block.bn1(block.conv1(net.module.relu(net.module.stem(net.context.examples)))))
    assert torch.allclose(apoz.prepare(layer.weight, layer).zeros, (after == 0).float().mean((0, 2, 3)), atol=1e-6)
    second = net.layer("stage1.0.conv2")  # its rectifier takes a sum
    assert apoz.refuses(second.weight, second) is not None
    assert torch.equal(bn_gamma.prepare(layer.weight, layer).gamma, block.bn1.weight.abs())
    assert torch.equal(bn_gamma.prepare(second.weight, second).gamma, block.bn2.weight.abs())
    gone = bn_gamma.answer(bn_gamma.prepare(layer.weight, layer), 0.25).decode().flatten(1).abs().sum(1) == 0
    assert set(gone.nonzero().flatten().tolist()) == set(block.bn1.weight.abs().argsort()[:4].tolist())


def test_the_sign_of_a_scale_does_not_matter():
    net = small(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3), inputs=(12, 1, 6, 6))
    net.module[1].weight.copy_(torch.tensor([0.5, -3.0, 2.0, -0.1]))
    assert bn_gamma.prepare(net.layers[0].weight, net.layers[0]).order.tolist() == [3, 0, 2, 1]
