"""Rewritings after which several layers live on one tensor: what they share, what is stored, and that every way to run them agrees."""

import copy
from dataclasses import replace

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from compression.apply import _same_layers, compress, rewritten, smaller
from compression.engine.graph import Graph
from compression.engine.plain import Pairs
from compression.export import file_size, pack, unpack
from compression.network import network
from compression.recipe import Override, Recipe, step
from compression.rewriting import share_attention, share_layers, templates
from compression.score import size_of
from compression.zoo import shipped

CASES = [("share_layers", "resnet-20", {"pairs": 2}), ("share_layers", "vit", {"pairs": 3, "held": "mean"}),
         ("share_attention", "vit", {"divergence": 1.0}), ("templates", "resnet-20", {"count": 3}), ("templates", "char-gpt", {"count": 2})]


@pytest.mark.parametrize("name, on, knobs", CASES, ids=str)
def test_what_is_shared_is_stored_once_and_runs_the_same_everywhere(name, on, knobs):
    """The file, the decoded weights, the smaller module and suffix evaluation; and the module can be copied after it has run."""
    net = shipped.load(on)
    done = compress(net, Recipe((step("quantization.uniform", bits=6),), first=(step(f"rewriting.{name}", **knobs),)))
    dense = compress(net, Recipe((step("quantization.uniform", bits=6),)))
    assert size_of(done) == len(pack(done)) < size_of(dense) and not done.passed_over
    restored, weights = unpack(pack(done)), done.weights()
    assert all(torch.equal(restored[key], tensor) for key, tensor in weights.items())
    x = net.context.examples[:6]
    module = copy.deepcopy(done.network.module)
    with torch.inference_mode():
        expected = functional_call(copy.deepcopy(module), weights, (x,))
        module.load_state_dict(restored)
        assert torch.allclose(module(x), expected, atol=1e-4)
        assert torch.allclose(smaller(done)(x), expected, atol=1e-4)
    copy.deepcopy(module)
    layer = done.network.layers[len(done.network.layers) // 2]
    engine = Graph(done.network.module, tuple(n for one in done.network.layers for n in one.names), x[:2])
    scores, record = engine.dense(x)
    assert torch.allclose(scores, done.network.module(x), atol=1e-3)
    changed = dict.fromkeys(layer.names, weights[layer.names[0]])
    with torch.inference_mode():
        assert torch.allclose(engine.changed(record, Pairs([changed], None, frozenset(layer.names))),
                              functional_call(copy.deepcopy(done.network.module), changed, (x,)), atol=1e-3)


def test_likeness_equals_the_formula_by_kernels():
    """HSIC of centred Gram matrices (Kornblith et al. 2019, equation 3); the same after a rotation."""
    torch.manual_seed(0)
    x, y = torch.randn(30, 5).double(), torch.randn(30, 8).double()
    centre = torch.eye(30).double() - 1 / 30

    def hsic(a, b):
        return float(torch.trace(centre @ (a @ a.T) @ centre @ (b @ b.T)))

    assert share_layers.likeness(x, y) == pytest.approx(hsic(x, y) / (hsic(x, x) * hsic(y, y)) ** 0.5)
    rotation = torch.linalg.qr(torch.randn(5, 5).double()).Q
    assert share_layers.likeness(x, 3 * x @ rotation + 1) == pytest.approx(1)


def test_pairs_merge_into_the_first_layer_and_recipes_for_the_others_do_nothing():
    net = shipped.load("resnet-20")
    first, second, _ = share_layers.pairs(net)[0]
    chosen = step("rewriting.share_layers", pairs=1, held="mean")
    shared, _ = rewritten(net, (chosen,))
    kept = shared.layer(first)
    assert kept.names == (f"{first}.weight", f"{second}.weight") and len(shared.layers) == len(net.layers) - 1
    assert torch.equal(kept.weight, (net.layer(first).weight + net.layer(second).weight) / 2)
    plain = compress(net, Recipe(first=(chosen,)))
    pinned = compress(net, Recipe(overrides=(Override(second, (step("quantization.uniform", bits=2),)),), first=(chosen,)))
    assert pack(plain) == pack(pinned)
    whole = file_size(compress(net, Recipe()))["layers"]
    assert file_size(plain)["layers"] == whole - 4 * kept.weight.numel()


def test_merged_pairs_join_each_other():
    """With all pairs merged the layers of one shape and size of map are one."""
    net = shipped.load("vit")
    shared, _ = rewritten(net, (step("rewriting.share_layers", pairs=8),))
    held = {layer.name: len(layer.names) for layer in shared.layers if layer.tied}
    assert sum(n - 1 for n in held.values()) == 8


def test_a_network_that_lost_a_layer_has_not_the_same_layers():
    net = shipped.load("lenet-5")
    assert _same_layers(net, net)
    assert not _same_layers(net, replace(net, layers=net.layers[:-1]))
    assert not _same_layers(net, replace(net, layers=net.layers[::-1]))


def test_attention_maps_and_their_divergence():
    """torch's own maps, and scipy's distance row by row."""
    net = shipped.load("vit")
    maps = share_attention.attentions(net)
    seen, module = {}, copy.deepcopy(net.module)
    for name in maps:
        part = module.get_submodule(name)
        part.register_forward_pre_hook(lambda m, given, name=name: seen.update({name: given[0]}))
    with torch.no_grad():
        module(net.context.examples)
        for name, found in maps.items():
            x = seen[name]
            expected = net.module.get_submodule(name)(x, x, x, average_attn_weights=False)[1]
            assert torch.allclose(found, expected, atol=1e-5)
    one, other = (m[:2] for m in list(maps.values())[:2])
    rows = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(one.flatten(0, 2).double(), other.flatten(0, 2).double(), strict=True)]
    assert share_attention.divergence(one, other) == pytest.approx(sum(rows) / len(rows), rel=1e-4)


def test_later_layers_use_the_first_ones_map():
    """And an attention layer that only shows its map answers as before."""
    torch.manual_seed(0)
    part, x = nn.MultiheadAttention(8, 2, batch_first=True).eval(), torch.randn(3, 5, 8)
    showing = copy.deepcopy(part)
    showing.__class__ = share_attention.Showing
    with torch.no_grad():
        assert torch.allclose(showing(x, x, x)[0], part(x, x, x)[0], atol=1e-6)
    net = shipped.load("vit")
    limit = sorted(share_attention.divergences(net).values())[0] + 1e-6
    rung = next(r for r in share_attention.RUNGS if r >= limit)
    (later, source), *_ = share_attention.sources(net, rung).items()
    new, _ = rewritten(net, (step("rewriting.share_attention", divergence=rung),))
    old, reusing = net.module.get_submodule(later), new.module.get_submodule(later)
    y = torch.randn(2, 49, 64)
    with torch.no_grad():
        new.module.get_submodule(source)(y, y, y)
        maps = net.module.get_submodule(source)(y, y, y, average_attn_weights=False)[1]  # (n, heads, length, length)
        values = F.linear(y + 1, old.in_proj_weight[128:], old.in_proj_bias[128:]).unflatten(-1, (4, 16))
        heads = [maps[:, h] @ values[:, :, h] for h in range(4)]
        assert torch.allclose(reusing(y + 1, y + 1, y + 1)[0], old.out_proj(torch.cat(heads, -1)), atol=1e-5)
    assert reusing.in_proj_weight.shape == (64, 64)


def test_templates_are_the_best_there_are():
    """The error is the tail of the singular values, of weights scaled to one length; with as many templates as layers nothing changes."""
    torch.manual_seed(0)
    weights = torch.randn(5, 40).double() * torch.tensor([1, 2, 3, 4, 50.0])[:, None].double()
    norm = weights.norm(dim=1, keepdim=True)
    tail = torch.linalg.svdvals(weights / norm)[2:].square().sum()
    found = templates.fitted(weights, 2)
    assert float(((found - weights) / norm).square().sum()) == pytest.approx(float(tail))
    assert torch.linalg.matrix_rank(found) == 2
    assert torch.allclose(templates.fitted(weights, 5), weights)


def test_mixed_layers_compute_with_the_fitted_weights():
    torch.manual_seed(0)
    convs = [nn.Conv2d(3, 3, 3, stride=s, padding=1, groups=3, bias=s == 2) for s in (1, 2, 1)]
    net = network("small", "Small", nn.Sequential(*convs), example=torch.randn(1, 3, 8, 8))
    new, _ = rewritten(net, (step("rewriting.templates", count=2),))
    assert [layer.name for layer in new.layers] == ["0", "1"] and new.layers[0].names == ("0.weight", "2.weight_0")
    rows = templates.fitted(torch.stack([layer.weight.flatten() for layer in net.layers]).double(), 2).float()
    x = net.example
    for conv, row in zip(convs, rows, strict=True):
        x = F.conv2d(x, row.reshape(conv.weight.shape), conv.bias, conv.stride, conv.padding, groups=3)
    assert torch.allclose(new.module(net.example), x, atol=1e-5)
