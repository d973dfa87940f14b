"""The lens's tables: every figure equals that of the layer really encoded, is found once, and is left open until it is known."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from app import compute, jobs, words
from app.dials import DIALS
from app.lens import tables as finding
from app.lens import work
from app.lens.ladder import BINS, corner, joined
from app.lens.rungs import leaves, levels
from app.lens.shipping import NAMES, label, pack
from app.lens.steps import ladder, place, rung, running, settings, turned
from app.lens.tables import coarse_to_fine, spread, tables
from app.memory import Bounded
from compression import measure
from compression.apply import encode
from compression.instant import prepare
from compression.method import Layer
from compression.network import network
from compression.recipe import Override, Recipe, step
from compression.zoo import shipped

PRUNED, CODED = step("pruning.magnitude", sparsity=0.8), step("coding.huffman")
PRUNED_HARD = step("pruning.magnitude", sparsity=0.93)
CHAINS = {
    "pruned": (PRUNED,),
    "deep": (PRUNED, step("quantization.uniform", bits=4), CODED),
    "deep k-means": (PRUNED_HARD, step("sharing.kmeans", bits=5), CODED),
    "k-means": (step("sharing.kmeans", bits=3),),
    "asymmetric": (step("quantization.uniform", bits=8, per="tensor", symmetric=False),),
    "sixteen bits": (PRUNED_HARD, step("quantization.uniform", bits=16, per="tensor", symmetric=False), CODED),
    "channels": (step("quantization.uniform", bits=3),),
    "groups": (PRUNED, step("quantization.uniform", bits=4, per="group")),
    "clipped": (step("quantization.uniform", bits=4, per="tensor", clip="mse"),),
    "svd": (step("lowrank.svd", rank=0.3),),
    "svd and all": (step("lowrank.svd", rank=0.3), PRUNED, step("quantization.uniform", bits=4), CODED),
    "tucker": (step("lowrank.tucker2", rank=0.4),),
    "train": (step("lowrank.tensor_train", rank=0.3),),
    "random": (step("pruning.random", sparsity=0.6), step("quantization.ternary", bits=2)),
}


def ties():
    """Few different magnitudes, with both signs, and many zeros: at nearly every rung some that are equal stay and some go."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-9, 10, (30, 40), generator=generator).float() / 16
    return Layer("ties", torch.where(torch.rand(30, 40, generator=generator) < 0.3, 0.0, weight))


LAYERS = {
    "conv2": lambda: shipped.load("lenet-5").layer("conv2"),
    "embed": lambda: shipped.load("char-gpt").layer("embed"),
    "ties": ties,
}


def last(layer, chain, memo=None, asked=DIALS):
    recipe = Recipe(overrides=(Override(layer.name, chain, whole=True),))
    found = [t for t in tables(layer, settings(recipe, layer.name), {} if memo is None else memo, "here", asked) if t is not None]
    return found[-1], settings(recipe, layer.name)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("which", LAYERS)
def test_every_rung_is_what_the_encoded_layer_is(which, chain):
    layer = LAYERS[which]()
    found, steps = last(layer, chain)
    compared = 0
    for each in found.ladders:
        at, count = place(steps, each.dial), len(each.values)
        assert each.now == rung(steps[at])
        for i in {0, 1, each.now, count // 2, 3 * count // 4, 9 * count // 10, count - 1} if not each.refused else {each.now}:
            there = turned(steps, at, each.values[i]) if not each.refused else steps
            form, refused = encode(layer, running(there), {})
            decoded, told = form.decode(), each.rungs[i]
            wrong = measure.error(layer.weight, decoded)
            assert told.nbytes == form.nbytes == len(form.to_bytes()), (each.dial, each.values[i])
            assert told.sqnr == wrong.sqnr or abs(told.sqnr - wrong.sqnr) < 2e-3, (each.dial, each.values[i])
            np.testing.assert_allclose(told.corner, corner(decoded.numpy()), atol=2e-6)
            if each.refused:
                assert refused
            else:
                compare_picture(layer, there[: at + 1], each.dial, told.picture)
            compared += 1
    assert compared >= 8


def compare_picture(layer, there, which, picture):
    """A picture against what plain Python makes of the steps up to the dial's."""
    form, _ = encode(layer, running(there), {})
    decoded, weight = form.decode().flatten().numpy(), layer.weight.flatten().numpy()
    if which == "sparsity":
        assert picture.zeros == pytest.approx((decoded == 0).mean(), abs=1e-12)
        if picture.threshold is not None and picture.kept is None:
            size = np.abs(weight)
            assert size[decoded == 0].max() == np.float32(picture.threshold)
            assert (size[decoded != 0] >= picture.threshold).all() and not picture.moved
        elif picture.kept is not None:
            assert picture.kept.sum() == (decoded != 0).sum()
            assert picture.moved == (not np.array_equal(decoded[decoded != 0], weight[decoded != 0]))
    elif which == "rank":
        alone = measure.error(layer.weight, form.decode())
        assert picture.energy == pytest.approx(1 - alone.relative**2, abs=1e-5)
    elif len(picture.levels):
        before, _ = encode(layer, running(there[:-1]), {})
        leaf = max(leaves(before), key=lambda part: part.values.numel())
        stored = form
        for name in leaf.path:
            stored = dict(stored.parts())[name]
        values, counts = np.unique(stored.decode().flatten().numpy(), return_counts=True)
        used = picture.counts > 0
        if picture.of:  # of those that share the levels of the largest
            assert np.isin(picture.levels[used], values).all() and picture.counts.sum() < counts.sum()
        else:
            np.testing.assert_array_equal(picture.levels[used] + 0.0, values + 0.0)
            np.testing.assert_array_equal(picture.counts[used], counts)
        assert (np.diff(picture.levels) > 0).all()


def test_levels_are_those_of_the_channel_that_reaches_farthest_and_what_lies_beyond_them_is_counted():
    weight = torch.linspace(-1, 1, 60).reshape(6, 10).clone()
    weight[4, 3] = 3.0
    form, _ = encode(Layer("w", weight), (step("quantization.uniform", bits=3, per="channel"),), {})
    told = levels(weight, form)
    assert told.of == "output 5 of 6" and len(told.levels) == 8 and told.counts.sum() == 10
    assert told.levels[-1] == pytest.approx(3.0) and told.beyond == 0
    form, _ = encode(Layer("w", weight), (step("sharing.kmeans", bits=1),), {})
    told = levels(weight, form)
    outside = (weight > told.levels[-1]) | (weight < told.levels[0])
    assert told.of == "" and told.beyond == pytest.approx(float(outside.float().mean()))


def test_a_histogram_counts_every_weight_once_and_zeros_apart():
    layer = ties()
    told = spread(prepare(layer.weight), "weights")
    assert told.counts.sum() + told.zeros == told.count == 1200 and len(told.counts) == BINS
    assert told.zeros == int((layer.weight == 0).sum())
    assert told.most == float(layer.weight.abs().max())
    edges = np.linspace(-told.most, told.most, 33)
    values = layer.weight[layer.weight != 0].numpy()
    np.testing.assert_array_equal(joined(told.counts, 32), np.histogram(values, edges)[0])


NAMES_ = ["conv1", "fc1", "fc2"]
STEPS = st.sampled_from([PRUNED, step("pruning.random", sparsity=0.0), step("sharing.kmeans", bits=3), step("quantization.uniform", bits=32),
                         step("lowrank.svd", rank=0.5), CODED, step("pruning.wanda", sparsity=0.5)])


@given(st.lists(STEPS, max_size=4), st.lists(STEPS, max_size=4), st.booleans(), st.booleans(), st.sampled_from(NAMES_))
def test_settings_are_the_chain_with_every_dial_in_it(default, own, whole, locked, layer):
    recipe = Recipe()
    for each in default:
        recipe = recipe.with_default(each)
    recipe = Recipe(recipe.default, (Override("fc1", tuple(own), whole),), ("fc2",) if locked else ())
    steps = settings(recipe, layer)
    assert running(steps) == recipe.chain(layer)
    for which in DIALS:
        at = place(steps, which)
        assert ladder(steps[at])[rung(steps[at])] is not None
        for value in ladder(steps[at])[:2]:
            assert turned(steps, at, value)[at][which] == value


def test_a_step_that_is_switched_off_stands_where_it_does_nothing():
    recipe = Recipe((step("pruning.magnitude", sparsity=0.5),))
    recipe = Recipe(tuple(type(s)(s.method, s.knobs, on=False) for s in recipe.default))
    steps = settings(recipe, "w")
    assert rung(steps[place(steps, "sparsity")]) == 0 and turned(steps, place(steps, "sparsity"), 0.3)[place(steps, "sparsity")].on


def test_what_is_found_is_not_looked_for_again(monkeypatch):
    layer, memo = LAYERS["conv2"](), {}
    first, _ = last(layer, CHAINS["svd and all"], memo)

    def never(*args):
        raise AssertionError("a rung was carried out twice")

    monkeypatch.setattr(finding, "measured", never)
    again, _ = last(layer, CHAINS["svd and all"], memo)
    assert [r.nbytes for r in again.ladder("rank").rungs] == [r.nbytes for r in first.ladder("rank").rungs]
    moved = (*CHAINS["svd and all"][:1], step("pruning.magnitude", sparsity=0.5), *CHAINS["svd and all"][2:])
    with pytest.raises(AssertionError, match="carried out twice"):  # the other dials' rungs depend on it
        last(layer, moved, memo)


def test_trying_rungs_leaves_nothing_of_them_in_the_memo_but_what_all_share():
    layer, memo = LAYERS["conv2"](), {}
    _, steps = last(layer, CHAINS["svd and all"], memo)
    held = [key for key in memo if key[0] == "here" and key[1] == layer.name and key[2:3] and isinstance(key[2], tuple)]
    assert held and all(key[2] in [running(steps[:n]) for n in range(len(steps))] for key in held), held


def test_unknown_rungs_stay_open_and_the_present_one_comes_first():
    layer = LAYERS["embed"]()
    steps = settings(Recipe(CHAINS["random"]), layer.name)
    seen = [t for t in tables(layer, steps, {}, "here") if t is not None]
    known = [[i for i, r in enumerate(t.ladder("sparsity").rungs) if r.known] for t in seen]
    assert known[0] == [] and next(k for k in known if k) == [seen[0].ladder("sparsity").now]
    read, numbers = pack(seen[0])
    sizes = array(read, numbers, "ladders.sparsity.nbytes")
    assert len(sizes) == 100 and np.isnan(sizes).all()
    assert all(len(k) >= len(j) for j, k in itertools.pairwise(known)) and len(known[-1]) == 100
    assert list(coarse_to_fine(9, 7))[:4] == [7, 0, 8, 4] and sorted(coarse_to_fine(100, 3)) == list(range(100))


def test_a_dial_that_cannot_do_anything_says_why():
    layer = shipped.load("depthwise").layer("block1.depthwise")
    found, _ = last(layer, (PRUNED,))
    assert found.ladder("rank").refused == encode(layer, (step("lowrank.svd", rank=0.5),), {})[1][0]
    assert found.ladder("sparsity").refused == "" and found.ladder("rank").rungs[found.ladder("rank").now].nbytes is not None


def test_a_heavy_decomposition_waits_until_somebody_looks(monkeypatch):
    monkeypatch.setattr(finding, "HEAVY", 1e3)
    layer = LAYERS["conv2"]()
    found, _ = last(layer, (PRUNED,), asked=("sparsity",))
    assert sum(r.nbytes is not None for r in found.ladder("rank").rungs) == 1, "the present setting, as the other dials know it"
    found, _ = last(layer, (PRUNED,), asked=("rank",))
    assert all(r.known for r in found.ladder("rank").rungs)


def array(read, numbers, path):
    kinds = {short: np.dtype(name) for name, short in NAMES.items()}
    _, kind, count, start = next(part for part in read["parts"] if part[0] == path)
    assert start % 8 == 0
    return np.frombuffer(numbers.tobytes(), kinds[kind], count, start)


@pytest.mark.parametrize("name", ["deep", "channels", "svd and all", "random"])
def test_what_is_sent_is_small_and_whole(name):
    layer = LAYERS["embed"]()
    found, _ = last(layer, CHAINS[name])
    read, numbers = pack(found)
    assert len(numbers) + len(json.dumps(read, allow_nan=False)) < 150_000
    for each in found.ladders:
        for name, told in (("nbytes", [r.nbytes for r in each.rungs]), ("sqnr", [r.sqnr for r in each.rungs])):
            known = [np.nan if x is None else x for x in told]
            np.testing.assert_array_equal(array(read, numbers, f"ladders.{each.dial}.{name}"), known)
    sent = read["ladders"]["bits"], array(read, numbers, "ladders.bits.ends"), array(read, numbers, "ladders.bits.levels")
    for i, r in enumerate(found.ladder("bits").rungs):
        if r.picture is not None:
            np.testing.assert_array_equal(sent[2][sent[1][i - 1] if i else 0 : sent[1][i]], r.picture.levels)
    assert array(read, numbers, "weights.counts").sum() + read["weights"]["zeros"] == layer.weight.numel()
    assert read["ladders"]["sparsity"]["texts"][-1] == words.share(found.ladder("sparsity").values[-1], 0)
    assert label("bits", 4) == "4" and label("rank", 0.02) == "2 %"


def test_a_page_gets_what_is_quick_at_once_and_a_job_finds_the_rest(monkeypatch):
    monkeypatch.setattr(work, "AT_ONCE", 300.0)  # however busy the machine is
    torch.manual_seed(0)
    net = network("small", "Small", nn.Sequential(nn.Linear(50, 40)))
    steps = settings(Recipe((PRUNED,)), "0")
    first = work.find(net, "0", steps, "someone.lens", ("sparsity",))
    assert all(r.known for r in first.tables.ladder("sparsity").rungs)
    found = first
    while found.busy:
        jobs.long.find("someone.lens").wait(0.01)
        found = work.find(net, "0", steps, "someone.lens", ("sparsity",))
    assert found.error == "" and all(r.known for each in found.tables.ladders for r in each.rungs)
    assert not work.find(net, "0", steps, "another.lens", ("bits",)).busy, "all is in the memory"
    assert work.largest(net) == float(net.layers[0].weight.abs().max())
    jobs.leave("someone")
    compute.memo().clear()


def test_a_layer_of_zeros_and_one_of_a_single_weight_have_tables():
    for weight in (torch.zeros(3, 4), torch.tensor([[0.5]]), torch.full((4, 4), -2.0), torch.tensor([1.0, -2.0, 3.0])):
        found, _ = last(Layer("w", weight), (PRUNED, step("quantization.uniform", bits=4)), Bounded(1 << 20))
        read, _ = pack(found)
        json.dumps(read, allow_nan=False)
        assert all(r.known for each in found.ladders if not each.refused for r in each.rungs)
