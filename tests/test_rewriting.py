"""What every rewriting of a whole network must keep, whichever file it came from."""

import pytest
import torch
from torch import nn

from compression import apply
from compression.apply import compress, rewritten
from compression.evaluate import evaluate, skeleton
from compression.export import pack, unpack
from compression.link import from_link, to_link
from compression.network import network
from compression.recipe import Recipe, from_json, step, to_json
from compression.registry import rewrites
from compression.repair.repaired import put
from compression.rewrite import CLOSE, difference
from compression.rewriting import share_attention, share_layers
from compression.score import size_of
from compression.zoo import shipped

NETWORKS = [name for name in shipped.available() if name != "digits-mlp"]
CASES = [(rewriting, name) for rewriting in rewrites() for name in NETWORKS]


def settings(name):
    """The defaults, and both ends of each knob."""
    yield step(name)
    for knob in rewrites()[name].knobs:
        last = 1 if knob.name == "group" else -1  # no network here has 99 groups of coupled layers
        for rung in dict.fromkeys((knob.ladder[0], knob.ladder[last])):
            yield step(name, **{knob.name: rung})


@pytest.mark.parametrize("name, on", CASES, ids=str)
def test_a_rewriting_keeps_layers_names_and_tensors(name, on):
    """Or the name of one that holds the same tensor. Is the same twice; one that says so keeps the answers; one that does not apply says why."""
    net, known = shipped.load(on), rewrites()[name]
    before = {key: tensor.clone() for key, tensor in net.module.state_dict().items()}
    why = known.refuses(net)
    if why is not None:
        assert why[0].isupper() and why.endswith(".")
        assert rewritten(net, (step(name),)) == (net, (why,))
        return
    for chosen in settings(name):
        new, passed_over = rewritten(net, (chosen,))
        assert not passed_over
        if chosen.off:
            assert new is net
            continue
        borrowed = {full.rpartition(".")[0] for layer in new.layers for full in layer.names[1:]}
        gone = {layer.name for layer in net.layers} - {layer.name for layer in new.layers}
        assert [layer.name for layer in new.layers] == [layer.name for layer in net.layers if layer.name not in gone] and new.reference is net
        assert {net.layer(own).names[0].rpartition(".")[0] for own in gone} <= borrowed, "only those that hold another one's tensors may go"
        assert not known.exact or difference(net, new.module) <= CLOSE
        apply._rewritten.cache_clear()
        assert rewritten(net, (chosen,))[0].digest == new.digest, "not deterministic"
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.module.state_dict().items())


@pytest.mark.parametrize("name", rewrites())
def test_it_is_written_and_explained(name):
    for chosen in settings(name):
        recipe = Recipe(first=(chosen,))
        assert from_json(to_json(recipe)) == recipe and from_link(to_link(recipe)) == (recipe, [])
    known = rewrites()[name]
    assert known.title and known.reference and known.survey and known.summary.endswith(".")
    assert all(knob.label and knob.help.endswith(".") for knob in known.knobs)


def distance(net, recipe):
    """Mean divergence of 256 validation answers from the original's, nats."""
    done, x = compress(net, recipe), net.data["validation"].inputs[:256]
    module = skeleton(done.network.module)
    put(module, done.weights())
    with torch.inference_mode():
        old, new = (m(x).float().log_softmax(-1) for m in (skeleton(net.module), module))
    return float((old.exp() * (old - new)).sum(-1).mean())


@pytest.mark.parametrize("name", rewrites())
def test_it_says_when_it_fails_and_does(name):
    told = rewrites()[name].fails
    assert told.why.endswith(".")
    net, default = shipped.load(told.network), (step("quantization.uniform", bits=told.bits, per="tensor"),) if told.bits else ()
    assert distance(net, Recipe(default, first=(step(name, **dict(told.knobs)),))) > 1.4 * distance(net, Recipe(default)) + 0.02


def test_what_rewritings_look_at():
    vit = shipped.load("vit")
    far = rewrites()["rewriting.share_attention"].looks(vit)
    assert len(far.names) == 4 and torch.equal(far.values, far.values.T) and not far.values.diagonal().any()
    assert far.values[0, 1] == pytest.approx(share_attention.divergences(vit)[far.names[0], far.names[1]])
    alike = rewrites()["rewriting.templates"].looks(vit)
    one, other = (vit.layer(alike.names[i]).weight.flatten() for i in (0, 1))
    assert alike.values[0, 1] == pytest.approx(float(torch.cosine_similarity(one, other, dim=0)), abs=1e-5)
    cka = rewrites()["rewriting.share_layers"].looks(vit)
    best = share_layers.pairs(vit)[0]
    assert cka.values[cka.names.index(best.first), cka.names.index(best.second)] == pytest.approx(best.likeness)
    units = rewrites()["rewriting.merge_correlated"].looks(shipped.load("lenet-300-100")).values
    assert units.shape == (64, 64) and units.abs().max() <= 1 + 1e-5 and torch.allclose(units, units.T, atol=1e-5)


def test_a_rewritten_network_is_judged_and_weighed_against_the_original():
    net = shipped.load("resnet-20")
    recipe = Recipe((step("quantization.uniform", bits=4),), first=(step("rewriting.fold_norms"),))
    done = compress(net, recipe)
    assert size_of(done) == len(pack(done)) < size_of(compress(net, Recipe((step("quantization.uniform", bits=4),))))
    restored = unpack(pack(done))
    assert all(torch.equal(restored[key], tensor) for key, tensor in done.weights().items())
    *_, last = evaluate(done.network, {}, net.data["validation"])
    assert last.quality.n == 5000 and last.quality.agreement.value > 0.999
    *_, last = evaluate(done.network, done.weights(), net.data["validation"])
    assert last.quality.original.value == pytest.approx(0.9304) and last.quality.changed > 0


def test_rewritings_are_no_steps_for_layers():
    with pytest.raises(ValueError, match="put it first"):
        Recipe((step("rewriting.fold_norms"),))
    with pytest.raises(ValueError, match="only those come first"):
        Recipe(first=(step("pruning.magnitude"),))


def test_folding_equals_the_formula():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    module[1].running_mean, module[1].running_var = torch.randn(3), torch.rand(3) + 0.5
    nn.init.normal_(module[1].weight)
    net = network("small", "Small", module, example=torch.randn(1, 2, 6, 6))
    factor = module[1].weight / (module[1].running_var + module[1].eps).sqrt()
    folded = rewritten(net, (step("rewriting.fold_norms"),))[0]
    assert torch.allclose(folded.layers[0].weight, module[0].weight * factor[:, None, None, None])
    assert torch.allclose(folded.module(net.example), module(net.example), atol=1e-6)
