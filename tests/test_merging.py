"""Units taken away for real: what is merged is traced, equal units cost nothing, and the network that is left is smaller."""

import copy

import pytest
import torch
from torch import nn

from compression.apply import compress, rewritten, smaller
from compression.data import Data
from compression.evaluate import evaluate
from compression.export import pack, unpack
from compression.measure import multiply_adds
from compression.network import network
from compression.recipe import Recipe, step
from compression.rewriting import coupled, merge_correlated, merge_units, remove_units
from compression.score import size_of
from compression.zoo import shipped


def wrapped(module, *shape):
    torch.manual_seed(3)
    x = torch.randn(*shape)
    with torch.no_grad():
        classes = module.eval()(x).shape[1]
    return network("small", "Small", module, {"train": Data("random", "train", x, torch.arange(len(x)) % classes, tuple("abc"[:classes]), "images")})


def dense():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (40, 6)


def convolutional():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
                           nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 3))
    with torch.no_grad():
        for tensor in (module[1].weight, module[1].running_var):
            tensor.uniform_(0.5, 2)
        for tensor in (module[1].bias, module[1].running_mean):
            tensor.normal_()
    return module, (40, 1, 8, 8)


def doubled(module, by=1.0):
    """The same with unit 5 of every layer but the last, weights, bias and norm, like unit 2 (times a factor)."""
    module = copy.deepcopy(module)
    with torch.no_grad():
        for part in [m for m in module if hasattr(m, "weight")][:-1]:
            factor = 1.0 if isinstance(part, nn.BatchNorm2d) else by
            part.weight[5] = part.weight[2] * factor
            if part.bias is not None:
                part.bias[5] = part.bias[2] * factor
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean[5], part.running_var[5] = part.running_mean[2], part.running_var[2]
    return module


@pytest.mark.parametrize("make", [dense, convolutional])
def test_equal_units_cost_nothing(make):
    module, shape = make()
    net = wrapped(doubled(module), *shape)
    new, _ = rewritten(net, (step("rewriting.merge_units", share=0.1),))
    assert [layer.weight.shape[0] for layer in new.layers] == [7] * (len(net.layers) - 1) + [3]
    x = net.data["train"].inputs
    assert torch.allclose(new.module(x), net.module(x), atol=1e-5)
    assert not torch.allclose(rewritten(wrapped(module, *shape), (step("rewriting.merge_units", share=0.1),))[0].module(x), module(x), atol=1e-5)


@pytest.mark.parametrize("by", [1.0, 2.5])
def test_proportional_units_cost_nothing_where_correlation_is_seen(by):
    module, shape = dense()
    net = wrapped(doubled(module, by), *shape)
    x = net.data["train"].inputs
    assert torch.allclose(rewritten(net, (step("rewriting.merge_correlated", share=0.1),))[0].module(x), net.module(x), atol=1e-4)


def test_a_unit_that_never_changes_becomes_a_bias():
    module, shape = dense()
    with torch.no_grad():
        module[1].weight[4] = 0
        module[1].bias[4] = 0.7
    net = wrapped(module, *shape)
    new, _ = rewritten(net, (step("rewriting.merge_correlated", share=0.1),))
    x = net.data["train"].inputs
    assert torch.allclose(new.module(x), net.module(x), atol=1e-4)
    assert torch.allclose(new.module[3].bias, net.module[3].bias + 0.7 * net.module[3].weight[:, 4], atol=1e-4)


def test_units_that_differ_in_their_bias_alone_are_not_alike():
    module, shape = dense()
    with torch.no_grad():
        module[1].weight[5], module[1].bias[5] = module[1].weight[2], module[1].bias[2] + 30
    first = merge_units.rows(module, coupled.pairs(wrapped(module, *shape))[0])
    assert torch.equal(first, torch.cat([module[1].weight, module[1].bias[:, None]], 1))
    assert float((first[5] - first[2]).norm()) == pytest.approx(30, rel=1e-5)


def test_units_on_one_line_can_all_be_merged_into_one():
    """Each is a factor times one direction, plus a constant: what is merged into a unit that then goes itself must not be lost."""
    torch.manual_seed(5)
    module = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3))
    with torch.no_grad():
        module[0].weight.copy_(torch.randn(8, 1) * torch.randn(1, 6))
    net = wrapped(module, 40, 6)
    new, _ = rewritten(net, (step("rewriting.merge_correlated", share=0.9),))
    x = net.data["train"].inputs
    assert new.module[0].weight.shape == (1, 6) and torch.allclose(new.module(x), net.module(x), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_merging_is_that_of_a_plain_loop(seed):
    torch.manual_seed(seed)
    read, distance = torch.randn(7, 3, 2) * torch.tensor([0.1, 1, 10, 0.2, 3, 5, 0.5])[:, None, None], torch.rand(7, 7)
    scale = torch.rand(7, 7)
    kept, new, gone = merge_units.merged(read, distance, scale, 4)
    plain, left = read.clone(), list(range(7))
    for pair in gone:
        costs = {(i, j): float(distance[i, j] * plain[j].square().mean()) for i in left for j in left if i != j}
        assert pair == min(costs, key=costs.get)
        plain[pair[0]] += scale[pair] * plain[pair[1]]
        left.remove(pair[1])
    assert kept.tolist() == left and torch.allclose(new[kept], plain[kept]) and len(gone) == 4


@pytest.mark.parametrize("name", ["merge_units", "merge_correlated"])
def test_what_is_left_is_smaller_in_bytes_and_in_work(name):
    net = shipped.load("lenet-5")
    recipe = Recipe((step("quantization.uniform", bits=8),), first=(step(f"rewriting.{name}", share=0.5),))
    done = compress(net, recipe)
    assert [tuple(layer.weight.shape) for layer in done.network.layers] == [(10, 1, 5, 5), (25, 10, 5, 5), (250, 400), (10, 250)]
    assert size_of(done) == len(pack(done)) < size_of(compress(net, Recipe(recipe.default))) / 3.5
    assert all(torch.equal(unpack(pack(done))[key], tensor) for key, tensor in done.weights().items())
    assert multiply_adds(smaller(done), net.example) < multiply_adds(net.module, net.example) / 2.5
    *_, last = evaluate(done.network, done.weights(), net.data["validation"])
    assert last.quality.accuracy.value > 0.3 and last.quality.n == 5000


def test_correlation_keeps_more_than_weights_alone():
    """A quarter of LeNet-5's units: what the examples tell is worth several points."""
    net, right = shipped.load("lenet-5"), {}
    for name in ("merge_units", "merge_correlated"):
        done = compress(net, Recipe(first=(step(f"rewriting.{name}", share=0.25),)))
        *_, last = evaluate(done.network, {}, net.data["validation"])
        right[name] = last.quality.accuracy.value
    assert right["merge_correlated"] > right["merge_units"] + 0.02


def test_only_what_can_be_traced_is_taken():
    """In a residual block the second convolution's channels are added to others, and stay; a recurrent network has none to take."""
    found = coupled.pairs(shipped.load("resnet-20"))
    assert [p.feeder for p in found] == [f"stage{s}.{b}.conv1" for s in (1, 2, 3) for b in (0, 1, 2)]
    assert coupled.pairs(shipped.load("char-lstm")) == []
    assert merge_units.refuses(shipped.load("char-lstm")) == merge_correlated.refuses(shipped.load("char-lstm")) == merge_units.NOT_COUPLED
    module = dense()[0]
    bare = network("small", "Small", module, example=torch.zeros(1, 6))
    assert merge_units.refuses(bare) is None and merge_correlated.refuses(bare) == merge_correlated.NO_EXAMPLES


@pytest.mark.parametrize("score", ["taylor", "fisher", "l2"])
@pytest.mark.parametrize("name", ["lenet-5", "vgg-small", "vit"])
def test_removing_units_is_what_not_reading_them_would_be(name, score):
    """The answers are those of the whole network whose readers have zeros where they read the units that go."""
    net = shipped.load(name)
    new, _ = rewritten(net, (step("rewriting.remove_units", share=0.4, score=score),))
    module, x, worth = copy.deepcopy(net.module), net.data["validation"].inputs[:50], remove_units.worth(net)[score]
    for pair in coupled.pairs(net):
        known = worth[pair.feeder]
        weight = module.get_submodule(pair.reader).weight
        places = weight.shape[1] // len(known)
        for unit in known.argsort(stable=True)[: round(0.4 * len(known))]:
            weight[:, unit * places : (unit + 1) * places] = 0
        assert len(new.module.get_submodule(pair.feeder).weight) == len(known) - round(0.4 * len(known))
    assert torch.allclose(new.module(x), module(x), atol=1e-4)


def test_the_worth_of_a_unit_is_what_small_steps_of_its_gate_say():
    module, shape = convolutional()
    net = wrapped(module, *shape)
    found, h = remove_units.worth(net), 1e-2
    x, y = net.context.examples[: net.context.alone], net.context.labels[: net.context.alone]
    for unit in (0, 6):
        ends = []
        for gate in (1 - h, 1 + h):
            with torch.no_grad():
                seen = net.module[:7](x)
                seen[:, unit * 9 : (unit + 1) * 9] *= gate
                ends.append(nn.functional.cross_entropy(net.module[7](seen).double(), y, reduction="none"))
        slopes = (ends[1] - ends[0]) / (2 * h)
        assert float(found["taylor"]["3"][unit]) == pytest.approx(float(slopes.abs().mean()), rel=0.02, abs=1e-5)
        assert float(found["fisher"]["3"][unit]) == pytest.approx(float(slopes.square().mean() / 2), rel=0.02, abs=1e-6)


class Forked(nn.Module):
    """Two readers of one layer, and a layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.twice = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        y = torch.relu(self.a(x))
        return self.twice(torch.relu(self.twice(self.b(y) + self.c(y))))


def test_forks_and_layers_called_twice_are_left_alone():
    assert coupled.pairs(wrapped(Forked(), 10, 4)) == []


def test_a_norm_after_the_rectifier_is_left_alone():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 3))
    assert coupled.pairs(wrapped(module, 10, 4)) == []
