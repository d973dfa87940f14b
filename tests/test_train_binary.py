"""XNOR-Net: signs and sizes of inputs by hand, which layers have them, and what follows when such a network is compressed further."""

import copy

import pytest
import torch
from torch import nn
from training import holds, last

from compression.apply import compress, smaller
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.layer_inputs import inputs_of
from compression.network import network
from compression.recipe import Recipe, step
from compression.registry import procedures
from compression.train.procedure import Task
from compression.train.quantized import binary_inputs
from compression.train.quantized.binary_inputs import BinaryConv2d, BinaryLinear, Signs
from compression.zoo import shipped


def seeing_signs(plain, sample, sized=True):
    """A layer that sees signs, its inputs not normalised."""
    layer = copy.deepcopy(plain)
    layer.__class__ = binary_inputs.KINDS[type(plain)]
    layer.signs = Signs(sample, plain.kernel_size if isinstance(plain, nn.Conv2d) else (), sized)
    layer.signs.norm = nn.Identity()
    return layer


def test_a_linear_layer_multiplies_signs_and_their_mean_magnitude():
    plain = nn.Linear(4, 1)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        plain.bias.fill_(0.5)
    x = torch.tensor([[0.5, -1.5, 0.0, 2.0]], requires_grad=True)  # signs 1, -1, 1, 1; mean magnitude 1
    layer = seeing_signs(plain, x.detach())
    assert layer(x).item() == (1 - 2 + 3 + 4) * 1.0 + 0.5 and seeing_signs(plain, x.detach(), False)(2 * x).item() == 6.5
    layer(x).sum().backward()  # through signs where |x| <= 1, and through the size everywhere: 6 * sign / 4
    assert x.grad.tolist() == [[1 + 1.5, -1.5, 3 + 0.0, 1.5]]


def test_a_convolution_filters_the_mean_magnitude_of_channels_by_a_box():
    """Rastegari et al. 2016, equation 11: (sign(I) * W) K, K = A * k with k a box of 1 / (w h)."""
    plain = nn.Conv2d(2, 1, 2, bias=False)
    with torch.no_grad():
        plain.weight.fill_(1.0)
    x = torch.tensor([[[[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], [[-1.0, 2.0, 1.0], [1.5, -4.0, 3.0]]]])  # (1, 2, 2, 3)
    a = torch.tensor([[1.0, 2.0, 2.0], [1.0, 4.0, 2.0]])  # mean magnitude of both channels
    k = torch.stack([a[:, :2].mean(), a[:, 1:].mean()])
    total = torch.tensor([(1 - 1 + 1 + 1) + (-1 + 1 + 1 - 1.0), (-1 + 1 + 1 - 1) + (1 + 1 - 1 + 1.0)])  # of the signs in each window
    assert torch.allclose(seeing_signs(plain, x)(x).flatten(), total * k)


def test_inputs_are_normalised_before_their_signs_are_taken():
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) + 1  # none is negative, as behind a ReLU
    signs, size = Signs(x, (), True).eval()(x)
    assert set(signs.unique().tolist()) == {-1.0, 1.0} and bool((signs.mean(0).abs() < 0.2).all()) and size.shape == (200, 1)


def small():
    """Two convolutions between the first and the last layer, one of them over groups, on digits as pictures."""
    digits = shipped.load("digits-mlp")
    torch.manual_seed(0)
    module = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
                           nn.Conv2d(8, 12, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(108, 40), nn.ReLU(), nn.Linear(40, 10))
    data = {split: Data(d.name, d.split, d.inputs.flatten(1), d.labels, d.classes, "vectors") for split, d in digits.data.items()}
    return network("small", "Small", module, data)


def test_the_first_and_the_last_layer_and_grouped_ones_stay_and_the_rest_learns():
    task = Task(small(), Recipe())
    still, weights, both = last("quantized.xnor_net", task, epochs=10, rate=3e-3).runs
    assert still.control and min(weights.best.accuracy, both.best.accuracy) > still.best.accuracy + 0.3
    for run in (still, weights, both):
        holds(task, run)
        stored = {layer.name: layer.stored for layer in run.trained.network.layers}
        assert [name for name, form in stored.items() if form is not None] == ["5", "8"] and stored["5"].codes.width == 1
    module = both.trained.network.module
    assert isinstance(module[5], BinaryConv2d) and isinstance(module[8], BinaryLinear) and type(module[3]) is nn.Conv2d
    assert not any(isinstance(m, BinaryConv2d | BinaryLinear) for m in weights.trained.network.module.modules())

    net = both.trained.network  # and it can be compressed on: what is pruned, rounded by its inputs, or cut thin still sees signs
    x = net.data["validation"].inputs
    plain, quick = net.module(x), Instrument(net).fast(x)
    assert float((quick.engine.scores(x).argmax(-1) == plain.argmax(-1)).double().mean()) > 0.99
    caught = []
    hook = module[8].register_forward_hook(lambda owner, given, out: caught.append(inputs_of(owner, "weight", given, out)))
    module(x[:20])
    hook.remove()
    assert set(caught[0].unique().tolist()) == {-1.0, 1.0}
    thin = compress(net, Recipe((step("lowrank.svd", rank=0.2),)))
    assert isinstance(smaller(thin)[8], BinaryLinear)


@pytest.mark.parametrize("name", ["digits-mlp", "row-lstm"])
def test_where_nothing_lies_between_the_first_and_the_last_layer_it_says_so(name):
    assert "between the first and the last" in procedures()["quantized.xnor_net"].why_not(Task(shipped.load(name), Recipe()))
