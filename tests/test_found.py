"""What a preparation found, as pictures: marks where the dial cuts, axes with names, captions with numbers."""

import numpy as np
import pytest
import torch
from kinds import KINDS, chain_of

from app import axes, found, trial
from compression.apply import encode, prepared
from compression.recipe import step
from compression.registry import method, methods
from compression.zoo import shipped


def pictures(name, layer="fc1", network="lenet-5", **knobs):
    net, memo = shipped.load(network), {}
    chain = (*chain_of(name)[:-1], step(name, **knobs))
    form, _ = encode(net.layer(layer), chain, memo, net.digest)
    ready = prepared(net.layer(layer), chain, memo, net.digest)
    rank = form.left.decode().shape[-1] if type(form).__name__ == "Factored" else None
    setting = found.Setting(net.layer(layer).weight, form.decode(), method(name).knobs, dict(chain[-1].knobs), name.split(".")[0], rank)
    return {p.title: p for p in found.pictures(ready, setting)}, net.layer(layer).weight


def test_the_mark_stands_where_the_dial_cuts():
    drawn, weight = pictures("pruning.magnitude", sparsity=0.3)
    picture = drawn["How large are the weights?"]
    assert "The 120,000 left of the line are removed." in picture.said
    place = picture.at[int(np.floor(picture.mark))]
    assert abs(int(place.replace(",", "")) - 0.3 * weight.numel()) <= weight.numel() / found.POINTS
    drawn, weight = pictures("lowrank.svd", rank=0.2)
    spectrum = torch.linalg.svdvals(weight.double())
    kept = encode(shipped.load("lenet-5").layer("fc1"), (step("lowrank.svd", rank=0.2),))[0].left.decode().shape[-1]
    energy = float(spectrum[:kept].square().sum() / spectrum.square().sum())
    assert f"The first {kept:,}, left of the line, are kept, with {100 * energy:.1f} % of the squares." in drawn["How much does each part add?"].said
    drawn, _ = pictures("sharing.kmeans", bits=3)
    assert len(drawn["Which values are shared?"].values) == 8
    assert drawn["How much is missed?"].at[int(drawn["How much is missed?"].mark)] == "3"


def test_scores_are_shown_apart_by_what_became_of_the_weights():
    drawn, weight = pictures("pruning.wanda", sparsity=0.7)
    picture = drawn["Which weights go, by score?"]
    assert picture.gone.sum() == pytest.approx(0.7 * weight.numel(), rel=0.01) and picture.values.shape == (weight.numel(),)
    assert drawn["Which weights matter?"].x == "input" and drawn["Which weights matter?"].y == "output"


def test_scores_kept_in_order_are_drawn_where_their_weights_are():
    drawn, _ = pictures("pruning.synflow", "fc2", "lenet-300-100", sparsity=0.5)
    picture, map_ = drawn["Which weights go, by score?"], drawn["Which weights matter?"]
    net = shipped.load("lenet-300-100")
    ready = prepared(net.layer("fc2"), chain_of("pruning.synflow"), {}, net.digest)
    assert picture.values[ready.order.numpy()] == pytest.approx(ready.scores.numpy())
    assert picture.values[picture.gone].mean() < picture.values[~picture.gone].mean() and (map_.x, map_.y) == ("input", "output")


def test_the_stairs_are_what_the_weights_became():
    for name, knobs in (("quantization.uniform", {"bits": 2}), ("sharing.hashing", {"share": 0.125})):
        drawn, weight = pictures(name, "fc2", "lenet-300-100", **knobs)
        picture = drawn["What is each weight stored as?"]
        form, _ = encode(shipped.load("lenet-300-100").layer("fc2"), (step(name, **knobs),))
        stored = dict(zip(weight[0].tolist(), form.decode()[0].tolist(), strict=True))
        assert len(picture.values) == weight.shape[1]
        assert all(stored[w] == v for w, v in zip(picture.along.tolist(), picture.values.tolist(), strict=True))


def test_one_sees_which_weights_gptq_moved_to_another_level():
    drawn, _ = pictures("quantization.gptq", "fc2", "lenet-300-100")
    picture = drawn["Which weights went to another level?"]
    assert (picture.kind, picture.x, picture.y) == ("map", "input", "output") and picture.values.min() < 0 < picture.values.max()


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_named_axes_and_a_caption(kind):
    network, layer = KINDS[kind]
    net, memo = shipped.load(network), {}
    for name in methods():
        if encode(net.layer(layer), chain_of(name), memo, net.digest)[1]:
            continue
        drawn = trial.found(net, layer, chain_of(name))[1]
        assert drawn, f"{name} has no picture of what it prepared"
        for picture in drawn:
            assert picture.title.endswith("?") and picture.x and picture.y, (name, picture)
            assert picture.said.endswith(".") and np.isfinite(picture.values).all(), (name, picture.said)
            assert not picture.at or picture.kind == "map" or len(picture.at) == len(picture.values), (name, picture.title)
            assert picture.mark is None or -1 <= picture.mark <= max(picture.values.shape[-1], len(picture.at)), (name, picture.title)


def test_a_comment_names_the_axes():
    assert axes.described("(out, d)") == (["output", "input"], "")
    assert axes.described("(groups, d), root of the mean square over the examples")[1] == "root of the mean square over the examples"
    assert axes.described("bits -> (groups,), any real number") == (["group"], "any real number")
    assert axes.described("sum of squared errors") == ([], "sum of squared errors")
