"""What repairs must keep, and that they can be refused. On a small untrained network, so that it takes no time."""

from dataclasses import replace

import pytest
import torch
from mending import Branching, Reader, made
from torch import nn
from torch.nn import functional as F

from compression import layer_inputs
from compression.apply import compress
from compression.calibrate import calibrate, sample
from compression.encoded import Levels
from compression.evaluate import evaluate, skeleton
from compression.export import pack, unpack
from compression.layer_inputs import inputs_of
from compression.link import from_link, to_link
from compression.network import network
from compression.places import Sparse
from compression.recipe import Recipe, from_json, step, to_json
from compression.registry import answering, repairs
from compression.repair import biases, click, last, norms, repaired, survivors
from compression.repair.compensate import compensate, compensated, output_error, stored
from compression.repair.repaired import begin, divergence, judged, working
from compression.score import changed, size_of

PRUNED = Recipe((step("pruning.magnitude", sparsity=0.8),))
ROUNDED = Recipe((step("quantization.uniform", bits=3, per="channel"),))
DEEP = Recipe((step("pruning.magnitude", sparsity=0.6), step("sharing.kmeans", bits=3), step("coding.huffman")))


@pytest.fixture(scope="module")
def small():
    return made()


@pytest.fixture(scope="module")
def known(small):
    return calibrate(sample(small, examples=200, held=150))


def everything(state, known):
    yield norms.re_estimate(state, known.sample)
    yield biases.correct(state, known)
    yield last.refit(state, known.sample)
    yield survivors.fit(state, known)
    yield compensate(state, known)


def test_examples_are_of_the_training_split_and_those_that_judge_never_teach(small, known):
    taken = known.sample
    assert not set(taken.rows.tolist()) & set(taken.held.tolist())
    assert len(taken.rows) == 200 and len(taken.held) == 150
    assert torch.equal(taken.inputs, small.data["train"].inputs[taken.rows])
    assert torch.equal(sample(small).rows, sample(small).rows) and not torch.equal(sample(small).rows, sample(small, seed=1).rows)
    with pytest.raises(ValueError, match="train split"):
        sample(network("bare", "Bare", Branching()))


@pytest.mark.parametrize("build, layers", [(Branching, {"stem", "each", "around", "head"}),
                                           (Reader, {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "attention.in_proj_weight", "head"})])
def test_statistics_are_those_of_a_plain_computation(build, layers):
    net = made(build)
    found = calibrate(sample(net, examples=100))
    assert set(found.statistics) == layers
    assert set(found.missing) == {layer.name for layer in net.layers} - layers
    assert all(why.endswith(".") for why in found.missing.values())
    quick = calibrate(sample(net, examples=100), products=False)
    for name, stats in found.statistics.items():
        assert torch.allclose(quick.statistics[name].outputs, stats.outputs, atol=1e-4)
        assert torch.allclose(stats.output_mean, stats.outputs.mean(0)) and (quick.statistics[name].inputs is None) == (name != "lstm.weight_hh_l0")
        assert torch.allclose(stats.inputs, stats.inputs.transpose(1, 2), atol=1e-5)
        groups = net.layer(name).groups
        assert stats.inputs.shape[0] == groups


@pytest.mark.parametrize("conv", [nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 8, (3, 2), stride=(1, 2), padding=(2, 0), dilation=(2, 1), groups=2),
                                  nn.Conv1d(4, 6, 5, stride=2, padding=2)], ids=str)
def test_patches_times_the_weight_are_the_convolution(conv, monkeypatch):
    x = torch.randn(5, 4, 11, 9) if isinstance(conv, nn.Conv2d) else torch.randn(5, 4, 30)
    out = conv(x).movedim(1, -1).reshape(-1, conv.out_channels) - conv.bias
    for most in (10_000, 20):
        monkeypatch.setattr(layer_inputs, "POSITIONS", most)
        rows = inputs_of(conv, "weight", (x,), None)
        assert torch.allclose(layer_inputs.outputs_of(conv.weight, rows), out[layer_inputs.places(len(out))], atol=1e-5)


@pytest.mark.parametrize("recipe", [PRUNED, ROUNDED, DEEP], ids=["pruned", "rounded", "deep"])
def test_no_repair_changes_places_original_or_bytes_said(small, known, recipe):
    before = {k: v.clone() for k, v in small.module.state_dict().items()}
    compressed = compress(small, recipe)
    for state in everything(begin(compressed), known):
        for layer in small.layers:
            form, old = state.compressed.encoded[layer.name], compressed.encoded[layer.name]
            if isinstance(old, Sparse) and not (state.name == "last" and layer.name == "head"):  # which is stored anew
                assert torch.equal(form.places.decode(), old.places.decode())
                assert not form.decode()[old.decode() == 0].count_nonzero() or "sharing" in str(recipe)
            assert len(form.to_bytes()) == form.nbytes and type(form) is type(old)
        assert set(state.dense) <= set(before)
    after = small.module.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items()), "the original was changed"


@pytest.mark.parametrize("recipe", [PRUNED, ROUNDED, DEEP], ids=["pruned", "rounded", "deep"])
def test_what_is_accepted_is_nearer_and_evaluates_as_it_was_judged(small, known, recipe):
    for state in everything(begin(compress(small, recipe)), known):
        if not state.accepted:
            assert state.described.endswith(".")
            continue
        assert state.after < state.before or state.name == "none"
        *_, end = evaluate(small, state.weights(), small.data["validation"])
        with torch.inference_mode():
            assert torch.equal(end.after.top, working(state)(small.data["validation"].inputs[end.places]).argmax(1))


def test_a_harmful_repair_is_refused_with_both_distances(small, known):
    start = begin(compress(small, ROUNDED))
    noise = {"head.bias": small.module.head.bias + 100 * torch.arange(5)}
    state = judged(start, "noise", "A bad idea.", known.sample, {}, noise)
    assert not state.accepted and "Refused" in state.described and state.compressed is start.compressed and not state.dense
    assert state.before == state.after == divergence(working(start), known.sample)
    better = judged(start, "undone", "The original weight.", known.sample, {"head": compress(small, Recipe()).encoded["head"]}, {})
    assert better.accepted and better.after < better.before


def test_divergence_is_that_of_the_definition(small, known):
    start = begin(compress(small, PRUNED))
    p, q = (F.softmax(m(known.sample.held_inputs).double(), 1) for m in (small.module, working(start)))
    assert divergence(working(start), known.sample) == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-4)
    assert divergence(small.module, known.sample) == pytest.approx(0, abs=1e-6)


def test_normalisations_measured_again_are_a_plain_recomputation(small, known):
    compressed = compress(small, PRUNED)
    state = norms.re_estimate(begin(compressed), known.sample)
    assert state.accepted and set(state.dense) == {f"bn{i}.running_{kind}" for i in (1, 2) for kind in ("mean", "var")}
    weights = compressed.weights()
    sums = torch.zeros(2, 8)
    for x in known.sample.inputs.split(norms._BATCH):
        out = F.conv2d(x, weights["stem.weight"], padding=1)
        sums += torch.stack([out.mean((0, 2, 3)), out.var((0, 2, 3), correction=1)])
    batches = -(-len(known.sample.inputs) // norms._BATCH)
    assert torch.allclose(state.dense["bn1.running_mean"], sums[0] / batches, atol=1e-5)
    assert torch.allclose(state.dense["bn1.running_var"], sums[1] / batches, rtol=1e-4)


def test_bias_correction_puts_the_mean_back_and_leaves_pruned_networks_alone():
    net = made(lambda: Branching(normed=False))
    known = calibrate(sample(net, examples=200, held=150))
    start = begin(compress(net, ROUNDED))
    state = biases.correct(start, known)
    if state.accepted:
        caught = {}
        module = working(state)
        module.around.register_forward_hook(lambda m, given, out: caught.update(x=given, out=out))
        module(known.sample.inputs)
        rows = inputs_of(module.around, "weight", caught["x"], None)
        mean = (layer_inputs.outputs_of(module.around.weight, rows)).mean(0) + module.around.bias
        assert torch.allclose(mean, known.statistics["around"].output_mean + net.module.around.bias, atol=1e-4)
    refused = biases.correct(begin(compress(net, PRUNED)), known)
    assert not refused.accepted and "quantization" in refused.described


def test_survivors_are_the_least_squares_solution():
    torch.manual_seed(0)
    x, weight = torch.randn(300, 6), torch.randn(4, 6)
    kept = torch.rand(4, 6) > 0.4
    y = x @ weight.T
    got = survivors.solve(x.T @ x / 300, x.T @ y / 300, weight, kept, 0.0)
    for row in range(4):
        at = kept[row].nonzero().flatten()
        assert torch.allclose(got[row, at].float(), torch.linalg.lstsq(x[:, at], y[:, row, None]).solution[:, 0], atol=1e-3)
        assert not got[row, ~kept[row]].any()


@pytest.mark.parametrize("recipe", [ROUNDED, DEEP, PRUNED, Recipe((step("quantization.uniform", bits=2, symmetric=False, per="group"),))], ids=str)
def test_compensation_is_never_further_from_the_layers_outputs_than_rounding(small, known, recipe):
    nearer = 0
    for layer in small.layers:
        products = known.statistics[layer.name].inputs
        plain, _ = stored(layer, recipe.chain(layer.name))
        new = compensated(layer.weight, plain, products)
        rows = layer.weight.reshape(len(products), -1, products.shape[-1])
        errors = [sum(float(output_error((w - f).double(), g.double()).sum()) for w, f, g in zip(rows, form.decode().reshape(rows.shape), products))
                  for form in (new, plain)]
        assert errors[0] <= errors[1] * 1.02 + 1e-9  # the same up to the damping
        nearer += errors[0] < 0.9 * errors[1]
        assert type(new) is type(plain) and new.nbytes == plain.nbytes
        if isinstance(new, Levels):
            assert torch.equal(new.scale, plain.scale)
    assert nearer


def test_the_last_layer_fitted_to_itself_does_not_move(small, known):
    x, target = torch.randn(50, 6).double(), torch.randn(50, 3).double()
    weight, bias = torch.randn(3, 6).double(), torch.randn(3).double()
    same = last.fitted(x, x @ weight.T + bias, weight, bias, 0.1)
    assert torch.allclose(same[0], weight) and torch.allclose(same[1], bias)
    free, _ = last.fitted(x, target, weight, None, 0.0)
    assert torch.allclose(free.T, torch.linalg.lstsq(x, target).solution)


def test_a_locked_last_layer_is_stored_dense_and_one_in_the_recipe_by_its_steps(small, known):
    for recipe in (DEEP, Recipe(DEEP.default, locked=("head",))):
        compressed = compress(small, recipe)
        state = last.refit(begin(compressed), known.sample)
        assert type(state.compressed.encoded["head"]) is type(compressed.encoded["head"])
        assert not state.accepted or "head.bias" in state.dense


def clicked(net, recipe):
    """The recipe with the repairs that fit it."""
    return replace(recipe, repairs=click.suggested(net, recipe))


def test_a_repaired_network_can_be_written_and_answers_the_same(small):
    done = compress(small, clicked(small, PRUNED))
    assert any(note.accepted for note in done.notes) and done.network.reference is small
    packed = pack(done)
    module, x = repaired.working(begin(done)), small.data["validation"].inputs
    fresh = skeleton(small.module)
    fresh.load_state_dict(unpack(packed))
    assert size_of(done) == len(packed) and torch.equal(fresh(x), module(x))
    weights = changed(done, done.weights())
    *_, last_ = evaluate(done.network, weights, small.data["validation"])
    assert torch.equal(last_.after.top, fresh(x[last_.places]).argmax(1)) and torch.equal(last_.before.top, small.module(x[last_.places]).argmax(1))


def test_one_click_repairs_and_says_what_it_did(small, known):
    for recipe in (PRUNED, ROUNDED, DEEP):
        done = compress(small, clicked(small, recipe))
        start = divergence(working(begin(compress(small, recipe))), repaired.learnt(small))
        assert done.notes and divergence(working(begin(done)), repaired.learnt(small)) <= start + 1e-9
        assert all(note.told.endswith(".") and note.title for note in done.notes)
        assert all(note.after < note.before for note in done.notes if note.accepted)
    assert click.suggested(small, Recipe()) == ()


def test_every_repair_is_declared_and_survives_json_and_link(small):
    for name, known in repairs().items():
        recipe = replace(ROUNDED, repairs=(name,))
        assert known.title and known.reference and known.summary.endswith(".")
        assert from_json(to_json(recipe)) == recipe and from_link(to_link(recipe)) == (recipe, [])
        (note,) = compress(small, recipe).notes
        assert note.title == known.title and note.told.endswith(".")
    with pytest.raises(ValueError, match="no repair is called"):
        Recipe(repairs=("prayer",))
    recipe, (trouble,) = from_link({"repair": "norms~prayer"})
    assert recipe == Recipe(repairs=("norms",)) and trouble == "“prayer” in the link's “repair” was left out: there is no such repair."


def test_without_training_examples_a_repair_says_so(small):
    bare = network("bare", "Bare", small.module, {"validation": small.data["validation"]})
    (note,) = compress(bare, replace(ROUNDED, repairs=("biases",))).notes
    assert not note.accepted and "train split" in note.told


@pytest.mark.parametrize("name", [*answering("sparsity"), *answering("bits")])
def test_one_click_works_after_every_method_there_is(small, name):
    """Whatever form a method stores, a repair changes it only so that it is stored in as many places as before, or not at all."""
    recipe = Recipe((step(name), step("coding.huffman")))
    compressed, done = compress(small, recipe), compress(small, clicked(small, recipe))
    for layer in small.layers:
        form, old = done.encoded[layer.name], compressed.encoded[layer.name]
        assert type(form) is type(old) and len(form.to_bytes()) == form.nbytes and form.decode().shape == layer.weight.shape
        if isinstance(old, Sparse):
            assert torch.equal(form.places.decode(), old.places.decode())


def test_repairs_pass_over_what_they_cannot_see():
    net = made(Reader)
    known = calibrate(sample(net, examples=150, held=100))
    for recipe in (PRUNED, ROUNDED):
        for state in everything(begin(compress(net, recipe)), known):
            assert state.described.endswith(".")
            assert not state.accepted or state.after < state.before
