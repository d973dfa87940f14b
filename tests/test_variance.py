"""Which outputs go by how the answers vary with them: variance nullity and the Fourier amplitude sensitivity test, by hand and by small steps."""

import copy

import pytest
import torch
from random_nets import mlp, small
from scipy.stats import chi2
from torch import nn

from compression.pruning import fourier, nullity
from compression.pruning.flow import owners
from compression.zoo import shipped


def moved(net, layer, unit, x, step):
    """Class probabilities when an output of a layer is shifted by so much at all places, double precision."""
    module = copy.deepcopy(net.module).double()
    shift = torch.zeros(len(layer.weight), dtype=torch.float64)
    shift[unit] = step
    shift = shift.reshape((-1, 1, 1) if layer.kind == "conv" else (-1,))
    for owner in owners(module, layer):
        owner.register_forward_hook(lambda _, given, out: out + shift)
    with torch.no_grad():
        return module(x.double()).softmax(-1)


@pytest.mark.parametrize("net", [
    lambda: mlp(),
    lambda: small(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3), inputs=(24, 1, 6, 6)),
])
def test_the_variance_is_that_of_slopes_by_small_steps(net):
    net, step = net(), 1e-4
    layer, x = net.layers[0], net.context.examples
    ready = nullity.prepare(layer.weight, layer)
    found = []
    for unit in range(len(layer.weight)):
        up, down = (moved(net, layer, unit, x, sign * step) for sign in (1, -1))
        slopes = ((up - down) / (2 * step)).numpy()  # (examples, classes)
        found.append(slopes.var(0, ddof=1).mean())
    found = torch.tensor(found)
    assert torch.allclose(ready.spread.double().square(), found, rtol=1e-3)
    assert ready.order.tolist() == found.argsort().tolist()
    gone = nullity.answer(ready, 0.5, "any").decode().flatten(1).abs().sum(1) == 0
    assert set(gone.nonzero().flatten().tolist()) == set(found.argsort()[: int(gone.sum())].tolist()) and gone.sum() == round(0.5 * len(gone))


def test_an_output_passes_where_the_upper_bound_of_its_variance_is_below_null():
    """The other way round: what a one-sided confidence interval for a variance leaves below v."""
    layer = shipped.load("lenet-300-100").layer("fc2")
    ready = nullity.prepare(layer.weight, layer)
    freedom = len(layer.context.examples) - 1
    bound = freedom * ready.spread.double().square() / chi2.isf(0.95, freedom)
    assert 0 < ready.passing["0.00001"] < ready.passing["0.0001"] < 100
    for null, passing in ready.passing.items():
        assert passing == int((bound <= float(null)).sum())
        gone = nullity.answer(ready, 0.5, null).decode().abs().sum(1) == 0
        assert int(gone.sum()) == min(50, passing)
        assert set(gone.nonzero().flatten().tolist()) == set(bound.argsort()[: int(gone.sum())].tolist())


def test_many_classes_are_mixed_and_on_average_nothing_changes():
    assert torch.allclose(nullity.mixes(10, 0).T @ nullity.mixes(10, 0), torch.eye(10) / 10)
    slopes = torch.randn(64, 80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)  # (examples, classes)
    found = [float((slopes @ nullity.mixes(80, seed).double().T).var(0).sum()) for seed in range(200)]
    assert nullity.mixes(80, 0).shape == (16, 80)
    assert sum(found) / 200 == pytest.approx(float(slopes.var(0).mean()), rel=0.02)


def swept(net, name):
    layer = net.layer(name)
    return layer, fourier.prepare(layer.weight, layer)


def test_of_a_linear_network_the_shares_are_worked_out_by_hand():
    """One layer of scores: output j alone moves score j, by a sine of half its height, whose variance is an eighth of the square."""
    net = small(nn.Linear(6, 5), inputs=(12, 6))
    layer, ready = swept(net, "0")
    heights = (net.context.examples @ layer.weight.T).square().sum(0)  # over the examples, all of which are swept
    assert torch.allclose(ready.heard, heights / heights.sum(), atol=1e-5)
    assert float(ready.heard.sum()) == pytest.approx(1, abs=1e-5)
    peaks = {name: share for name, share in ready.spectrum.items() if "output" in name}
    assert list(ready.spectrum)[:5] == list("12345") and len(ready.spectrum) == 10 and len(peaks) == 5
    for name, share in peaks.items():
        assert share == pytest.approx(float(ready.heard[int(name.split("output ")[1][:-1]) - 1]), abs=1e-7)
    gone = fourier.answer(ready, 0.4).decode().abs().sum(1) == 0
    assert set(gone.nonzero().flatten().tolist()) == set(heights.argsort()[:2].tolist())


def test_what_two_gates_do_together_falls_on_no_frequency_of_one():
    frequencies, gates = fourier.sweep(7, seed=3)
    assert gates.shape == (43, 7) and sorted(frequencies.tolist()) == list(range(8, 15)) and 0 <= gates.min() < 0.02 and 0.98 < gates.max() <= 1
    swings = gates.double() - 0.5
    for a in range(7):
        for b in range(7):
            found = fourier.power((swings[:, a] * swings[:, b])[:, None])
            assert float(found[frequencies].max()) < 1e-14 and float(found.sum()) > 0.005
    mixed = 2 * swings[:, 0] - 3 * swings[:, 4] + 5  # variances 4/8 and 9/8
    assert fourier.power(mixed[:, None])[frequencies].tolist() == pytest.approx([0.5, 0, 0, 0, 1.125, 0, 0], abs=1e-6)
    assert float(fourier.power(mixed[:, None]).sum()) == pytest.approx(float(mixed.var(correction=0)))


@pytest.mark.parametrize(("network", "name"), [("lenet-300-100", "fc2"), ("resnet-20", "stage2.0.conv1"), ("vit", "blocks.1.mlp.up")])
def test_answers_at_gates_are_those_of_a_network_with_weights_scaled(network, name):
    """What was run once for all steps changes nothing; a shut gate is a row of zeros."""
    net = shipped.load(network)
    layer, x = net.layer(name), net.context.examples[:1]
    gates = torch.rand(3, len(layer.weight), generator=torch.Generator().manual_seed(0))
    gates[1], gates[2, ::2] = 1, 0
    with torch.no_grad():
        found = fourier.answers(net.context, name)(x, gates)
        for row, open_ in zip(found, gates):
            weight = layer.weight * open_.reshape(-1, *[1] * (layer.weight.ndim - 1))
            scores = torch.func.functional_call(net.module, {layer.names[0]: weight}, (x,))[0].double()
            assert torch.allclose(row, scores - scores.mean(), atol=1e-4)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("method", [nullity, fourier])
def test_the_same_again_and_the_original_as_it_was(method):
    net = shipped.load("lenet-5")
    layer, before = net.layer("conv2"), net.layer("conv2").weight.clone()
    fresh = shipped.load.__wrapped__("lenet-5").layer("conv2")
    first, again = (method.METHOD.prepare(each.weight, each)._asdict() for each in (layer, fresh))
    for name, value in first.items():
        assert torch.equal(value, again[name]) if isinstance(value, torch.Tensor) else value == again[name]
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize("method", [nullity, fourier])
@pytest.mark.parametrize(("network", "name", "words"), [
    ("char-lstm", "embed", "An embedding has no inputs"),
    ("row-lstm", "lstm.weight_hh_l0", "one row for each example"),
    ("vit", "blocks.0.attention.in_proj_weight", "one row for each example"),
    ("vit", "blocks.0.attention.out_proj", "one row for each example"),
])
def test_layers_whose_outputs_are_out_of_reach_are_refused(method, network, name, words):
    layer = shipped.load(network).layer(name)
    assert words in method.METHOD.why_not(layer.weight, layer)
