"""Rewritings for quantization: equalization, SmoothQuant, injected outliers, and rounding of activations, against torch and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compression.apply import compress, rewritten, smaller
from compression.data import Data
from compression.engine.choose import choose
from compression.engine.plain import Pairs
from compression.evaluate import ask, evaluate, order
from compression.network import network
from compression.quantization import clipping, uniform
from compression.recipe import Recipe, step
from compression.rewrite import difference
from compression.rewriting import activations, equalize, streams
from compression.rewriting.activations import Rounding, ends_of
from compression.score import size_of
from compression.zoo import shipped


def small(*layers, shape=(5,), seed=0):
    """A network of these layers with random weights and examples."""
    generator = torch.Generator().manual_seed(seed)
    module = nn.Sequential(*layers)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator) * torch.rand(len(p), *[1] * (p.ndim - 1), generator=generator)
    x = torch.randn(60, *shape, generator=generator)
    return network("small", "Small", module, {"train": Data("random", "train", x, torch.arange(60) % 2, ("a", "b"))})


def after(net, *steps):
    new, passed_over = rewritten(net, steps)
    assert not passed_over
    return new


def share_right(net, examples=500):
    data = net.data["validation"]
    rows = order(data)[:examples]
    return float((ask(net.module, None, data, rows).top == data.labels[rows]).float().mean())


def test_equalized_pairs_have_weights_of_one_size_in_each_channel():
    net = small(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
    new = after(net, step("rewriting.equalize", rounds=1))
    one, two = (new.module[i].weight for i in (0, 2))
    r1, r2 = (net.module[i].weight.abs().amax(axis) for i, axis in ((0, 1), (2, 0)))
    assert torch.allclose(one.abs().amax(1), two.abs().amax(0), rtol=1e-5)
    assert torch.allclose(one.abs().amax(1), (r1 * r2).sqrt(), rtol=1e-5)  # equation 9
    assert torch.allclose(new.module[0].bias, net.module[0].bias / (r1 / r2).sqrt(), rtol=1e-5)
    assert difference(net, new.module) < 1e-5


def test_channels_are_followed_through_pooling_flattening_and_groups():
    net = small(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 12, 3, padding=1, groups=3), nn.LeakyReLU(),
                nn.Flatten(), nn.Linear(12 * 9, 4), shape=(2, 6, 6))
    found = streams.streams(net)
    assert [(s.producer, s.consumers) for s in found] == [("0", (streams.Consumer("3", 1),)), ("3", (streams.Consumer("6", 9),))]
    for name, knobs in (("equalize", {}), ("smooth", {"alpha": 0.75}), ("inject", {"size": 64, "share": 0.1})):
        new = after(net, step(f"rewriting.{name}", **knobs))
        assert difference(net, new.module) < 1e-5
        assert all(not torch.equal(a.weight, b.weight) for a, b in zip(net.layers, new.layers))


def test_what_is_not_passed_through_stops_a_stream():
    for between in (nn.GELU(), nn.Sigmoid(), nn.ReLU6(), nn.Hardswish()):
        assert "follow each other" in equalize.refuses(small(nn.Linear(5, 7), between, nn.Linear(7, 2)))

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(5, 5), nn.Linear(5, 2)

        def forward(self, x):
            y = self.one(x)
            return self.two(y + x) + y[:, :2]

    assert streams.streams(small(Twice())) == []


def test_equalization_repairs_one_scale_for_a_whole_tensor():
    """Nagel et al.: a depthwise network with one scale per tensor at 8 bits; here at 6, which is as hard for so small a one."""
    net = shipped.load("depthwise")
    recipe = Recipe((step("quantization.uniform", bits=6, per="tensor", symmetric=False),), first=(step("rewriting.fold_norms"),))
    error = []
    for rewriting in (Recipe(recipe.default, first=recipe.first), recipe.with_first(step("rewriting.equalize"))):
        done = compress(net, rewriting)
        data = net.data["validation"]
        rows = order(data)[:300]
        old, new = (F.log_softmax(m(data.inputs[rows]), -1) for m in (net.module, put(done)))
        error.append(float((old.exp() * (old - new)).sum(1).mean()))
    assert error[1] < 0.7 * error[0]


def put(done):
    from compression.evaluate import skeleton
    from compression.repair.repaired import put as install

    module = skeleton(done.network.module)
    install(module, done.weights())
    return module


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_smoothing_shares_the_difficulty_as_its_formula_says(alpha):
    net = shipped.load("char-gpt")
    new = after(net, step("rewriting.smooth", alpha=alpha))
    x, y = (n.context.inputs("blocks.1.query").abs().amax((0, 1)) for n in (net, new))
    w, v = (torch.stack([n.layer(f"blocks.1.{part}").weight.abs().amax(0) for part in ("query", "key", "value")]).amax(0) for n in (net, new))
    assert torch.allclose(x * w, y * v, rtol=1e-3)
    spread = [float(t.log().std()) for t in (x, y, w, v)]
    if alpha == 0.5:
        assert torch.allclose(torch.log(y / v), torch.log(y / v).mean().expand(len(y)), atol=0.8)  # ranges come from more places than inputs
    assert alpha != 1.0 or spread[1] < 0.5 * spread[0]
    assert alpha != 0.0 or spread[3] < 1e-3


def test_injected_outliers_are_that_much_louder_and_change_nothing():
    net = shipped.load("vit")
    new = after(net, step("rewriting.inject", size=16, share=0.05))
    x, y = (n.context.inputs("blocks.2.mlp.up").abs().amax((0, 1)) for n in (net, new))
    louder = (y / x).round(decimals=2)
    assert sorted(louder.tolist())[-3:] == [16.0] * 3 and int((louder > 1.5).sum()) == 3
    assert difference(net, new.module) < 1e-5


def test_smoothing_and_rotation_are_for_outliers():
    """Six bits for activations with one range for a layer: outliers cost the ViT its accuracy, and smoothing gives it back."""
    net = shipped.load("vit")
    spikes, smooth, rounded = (step("rewriting.inject", size=64, share=0.05), step("rewriting.smooth", alpha=0.5),
                               step("rewriting.activations", bits=6))
    plain, bad, good = (share_right(after(net, *steps)) for steps in ((rounded,), (spikes, rounded), (spikes, smooth, rounded)))
    assert plain > 0.85 and bad < plain - 0.2 and good > plain - 0.05


def test_rotation_spreads_outliers_of_activations_and_of_weights():
    net = shipped.load("vit")
    spikes = step("rewriting.inject", size=16, share=0.02)
    bad, good = (share_right(after(net, spikes, step("rewriting.activations", bits=6, rotate=turn))) for turn in (False, True))
    assert good > bad + 0.2
    large = after(net, step("rewriting.inject", size=16, share=0.05, side="weights"))
    weight = large.layer("blocks.1.mlp.up").weight
    assert weight.abs().amax(0).topk(3).values.min() > 4 * weight.abs().amax(0).median() and difference(net, large.module) < 1e-5
    data = net.data["validation"]
    rows = order(data)[:500]
    error = []
    for rotate in (False, True):
        done = compress(large, Recipe((step("quantization.hadamard", bits=4, rotate=rotate),)))
        error.append(-float(ask(put(done), None, data, rows).loss.mean()) + float(ask(net.module, None, data, rows).loss.mean()))
    assert error[0] < 1.5 * error[1] < 0


def test_a_rotation_is_undone_after_rounding_and_not_stored():
    x = torch.randn(3, 12, 4, 4, generator=torch.Generator().manual_seed(0))
    turn = activations.rotation(12)
    assert torch.allclose(turn @ turn.T, torch.eye(12), atol=1e-6)
    part = Rounding(16, "minmax", (), ends_of(activations.turned(x, turn, 1), 16, "minmax"), turn, 1)
    assert torch.allclose(part(x), x, atol=1e-3) and set(part.state_dict()) == {"setting", "scale", "zero"}
    coarse = Rounding(2, "minmax", (), ends_of(activations.turned(x, turn, 1), 2, "minmax"), turn, 1)(x)
    assert len(activations.turned(coarse, turn, 1).mul(1e3).round().unique()) <= 4


def affine(ends, bits):
    low, high = ends
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("ends", [(-1.5, 2.25), (0.0, 6.0)])
def test_a_fixed_range_rounds_as_torch_does(bits, ends):
    x = torch.randn(500, 20, generator=torch.Generator().manual_seed(1)) * 2
    ours = Rounding(bits, "minmax", (), ends)
    theirs = torch.fake_quantize_per_tensor_affine(x, float(ours.scale), int(ours.zero), 0, 2**bits - 1)
    assert torch.equal(ours(x), theirs)
    scale, zero = affine(ends, bits)
    assert float(ours.scale) == pytest.approx(scale) and int(ours.zero) == zero


@pytest.mark.parametrize("over, owner, shape", [
    ("token", nn.Linear(6, 1), (4, 5, 6)), ("example", nn.Linear(6, 1), (4, 5, 6)), ("token", nn.Conv2d(3, 1, 1), (4, 3, 5, 6)),
    ("example", nn.Conv2d(3, 1, 1), (4, 3, 5, 6)), ("example", nn.LSTM(6, 1), (5, 4, 6)), ("token", nn.LSTM(6, 1), (5, 4, 6)),
    ("example", nn.LSTM(6, 1, batch_first=True), (4, 5, 6))])
def test_a_dynamic_range_is_that_of_each_example_or_token(over, owner, shape):
    """Each of them rounded on its own by torch's fake quantization."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)) * 3
    ours = Rounding(4, over, activations.axes(owner, x.ndim, over), None)(x)
    batch = 0 if getattr(owner, "batch_first", True) else 1
    channel = 1 if isinstance(owner, nn.Conv2d) else len(shape) - 1
    kept = [batch] if over == "example" else [i for i in range(len(shape)) if i != channel]
    for place in np.ndindex(*(shape[i] for i in kept)):
        at = [slice(None)] * len(shape)
        for axis, i in zip(kept, place):
            at[axis] = i
        part = x[tuple(at)]
        scale, zero = affine((min(0.0, float(part.min())), max(0.0, float(part.max()))), 4)
        assert torch.allclose(ours[tuple(at)], torch.fake_quantize_per_tensor_affine(part, scale, zero, 0, 15), atol=1e-5)


def test_attention_in_steps_is_attention():
    net = shipped.load("vit")
    module = streams.trace(net.module)[1]
    activations.open_up(module)
    x = net.data["validation"].inputs[:20]
    assert sum(type(m) is activations.Attention for m in module.modules()) == 4
    assert torch.allclose(module(x), net.module(x), atol=1e-4)


def plain_divergence(counts, levels, kept):
    """TensorRT's pseudocode, one bin at a time; the second histogram is not scaled up."""
    first = list(counts[:kept])
    first[-1] += sum(counts[kept:])
    second = [0.0] * kept
    for level in range(levels):
        mine = range(level * kept // levels, (level + 1) * kept // levels)
        filled = [i for i in mine if first[i] > 0]
        for i in filled:
            second[i] = sum(counts[j] for j in mine) / len(filled)
    total = sum(first)
    return sum(p / total * math.log(p / max(q, 1e-4)) for p, q in zip(first, second) if p > 0)


@pytest.mark.parametrize("levels", [4, 16])
def test_the_divergence_rule_is_its_pseudocode(levels):
    counts = np.histogram(np.random.default_rng(0).exponential(1, 20_000), 256)[0].astype(float)
    tried = {kept: plain_divergence(counts, levels, kept) for kept in range(levels, 257, 2)}
    best = min(tried, key=lambda kept: (tried[kept], kept))
    assert clipping.most_alike(counts, levels) == pytest.approx(best / 256)
    assert best < 256 and clipping.most_alike(counts, 256) == 1.0


def test_the_divergence_rule_cuts_a_long_tail_of_weights():
    weight = torch.from_numpy(np.random.default_rng(0).standard_t(2, (80, 90)).astype(np.float32))
    about = shipped.load("vit").layer("head")
    ready = uniform.prepare(weight, about)
    whole, cut = (uniform.answer(ready, 4, True, "tensor", clip) for clip in ("minmax", "kl"))
    assert float(cut.scale) < 0.5 * float(whole.scale)
    error = [(form.decode() - weight).abs() for form in (whole, cut)]
    assert float(error[1].median()) < 0.7 * float(error[0].median()) and error[1].max() > error[0].max()  # it counts weights, not squares


def test_static_ranges_follow_their_rules():
    x = torch.cat([torch.randn(9_990, generator=torch.Generator().manual_seed(0)), torch.tensor([30.0, -20.0] * 5)])
    assert ends_of(x, 4, "minmax") == (-20.0, 30.0) and ends_of(x.abs(), 4, "minmax") == (0.0, 30.0)
    low, high = ends_of(x, 4, "99.9th")
    assert low == pytest.approx(float(np.quantile(x.numpy(), 0.001))) and high == pytest.approx(float(np.quantile(x.numpy(), 0.999)))
    errors = {rule: float((Rounding(4, rule, (), ends_of(x, 4, rule))(x) - x).square().sum()) for rule in activations.STATIC}
    assert errors["mse"] <= min(errors["minmax"], errors["kl"]) * (1 + 1e-5) and errors["kl"] < errors["minmax"]


@pytest.mark.parametrize("name", ["resnet-20", "vit", "char-lstm", "char-gpt"])
@pytest.mark.parametrize("over", ["minmax", "token"])
def test_rounded_activations_work_with_any_recipe_and_with_the_quick_engine(name, over):
    """W x A: the engine's answers for a changed weight are those of the whole network, asked again."""
    net = shipped.load(name)
    done = compress(net, Recipe((step("quantization.uniform", bits=4),), first=(step("rewriting.activations", bits=8, range=over),)))
    new, data = done.network, net.data["validation"]
    assert size_of(done) > size_of(compress(net, Recipe((step("quantization.uniform", bits=4),))))
    assert size_of(done) < 1.05 * size_of(compress(net, Recipe((step("quantization.uniform", bits=4),))))  # its ranges are stored, too
    few = Data(data.name, data.split, data.inputs[:200], data.labels[:200], data.classes, data.kind)
    *_, last = evaluate(new, done.weights(), few)
    assert last.quality.change.value > -0.1 and last.quality.changed > 0
    engine = choose(new.module, new.layers, data.inputs[:3])
    assert engine.kind == "graph"
    weights = done.weights()
    scores = engine.changed(engine.record(data.inputs[:6], [frozenset(weights)]), Pairs([weights]))
    assert torch.allclose(scores, put(done)(data.inputs[:6]), atol=1e-2)


def test_a_factored_layer_with_rounded_inputs_runs_as_it_is_judged():
    net = shipped.load("lenet-300-100")
    done = compress(net, Recipe((step("lowrank.svd"),), first=(step("rewriting.activations", bits=3),)))
    x = net.data["validation"].inputs[:50]
    assert torch.allclose(smaller(done)(x), put(done)(x), atol=1e-4)
    plain = compress(net, Recipe((step("lowrank.svd"),)))
    assert (smaller(plain)(x) - put(done)(x)).abs().max() > 0.1


def test_what_stays_in_float_is_said():
    for name, told in (("char-lstm", {"embed", "lstm.weight_hh_l0"}), ("vit", set()), ("char-gpt", {"position"})):
        assert set(activations.left_in_float(after(shipped.load(name), step("rewriting.activations")))) == told
    assert set(activations.left_in_float(shipped.load("lenet-5"))) == {"conv1", "conv2", "fc1", "fc2"}


def test_without_examples_there_are_no_ranges():
    net = network("bare", "Bare", nn.Sequential(nn.Linear(3, 2)), example=torch.zeros(1, 3))
    assert rewritten(net, (step("rewriting.activations"),))[1] == (activations.NO_EXAMPLES,)
    assert len(rewritten(net, (step("rewriting.smooth"),))[1]) == 1
