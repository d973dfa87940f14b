"""Deep Compression in three steps: the file is its slices and decodes bit for bit, places are stored the cheapest way, and what is lost."""

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import jobs, words, written
from compression.apply import compress, encode, up_to
from compression.encoded import Codes, Dense, from_bytes
from compression.evaluate import evaluate
from compression.export import contents, file_size, pack, unpack
from compression.measure import itemised, place_format
from compression.recipe import Recipe, from_json, step, to_json
from compression.score import size_of, stages
from compression.zoo import shipped
from compression.zoo.recipes import DEEP_COMPRESSION, PAPER, WITHOUT_RETRAINING, three_steps

ALL = [(name, recipes[name]) for recipes in (DEEP_COMPRESSION, WITHOUT_RETRAINING) for name in recipes]
SHAPES = {"lenet-300-100": 266_610, "lenet-5": 431_080}


@pytest.mark.parametrize("name, recipe", ALL)
def test_the_file_is_its_slices_and_decodes_bit_for_bit(name, recipe):
    net = shipped.load(name)
    done = compress(net, recipe)
    data, sizes = pack(done), file_size(done)
    assert net.parameters == SHAPES[name] and not any(done.refused.values())
    assert len(data) == size_of(done) == sum(sizes.values())
    slices = [itemised(done.encoded[layer.name]) for layer in net.layers]
    assert sum(sum(each.values()) for each in slices) == sizes["layers"]
    assert all({"codes", "codebooks", "places"} <= set(each) <= {"codes", "codebooks", "places", "code tables"} for each in slices)
    assert "code tables" in {word for each in slices for word in each}
    restored = unpack(data)
    assert all(torch.equal(restored[key], tensor) for key, tensor in done.weights().items())
    assert all(torch.equal(restored[key], tensor) for key, tensor in net.module.state_dict().items() if key not in done.weights())
    for _, form in contents(done):
        assert torch.equal(from_bytes(form.layout(), form.to_bytes()).decode(), form.decode())


@pytest.mark.parametrize("name, recipe", ALL)
def test_each_step_makes_the_file_smaller(name, recipe):
    net = shipped.load(name)
    whole, pruned, shared, coded = (size_of(compress(net, r)) for r in (Recipe(), up_to(recipe, "sparsity"), up_to(recipe, "bits"), recipe))
    assert whole > pruned > shared > coded
    assert stages(net, recipe)["original"] == whole
    assert from_json(to_json(recipe)) == recipe


@pytest.mark.parametrize("name, recipe", ALL)
def test_places_are_stored_the_cheapest_way_and_named(name, recipe):
    """Of a bitmap, distances, and the paper's relative index of 2 to 8 bits, each with the values beside it, Huffman-coded."""
    net = shipped.load(name)
    for layer in net.layers:
        pruned, shared, _ = chain = recipe.chain(layer.name)
        sparsity, bits = pruned["sparsity"], shared["bits"]
        ways = [encode(layer, three_steps(sparsity, bits, index))[0] for index in (None, *range(2, 9))]
        ours = encode(layer, chain)[0]
        assert ours.nbytes == min(way.nbytes for way in ways)
        assert any(word in place_format(ours) for word in ("bitmap", "relative index"))


@pytest.mark.parametrize("name, recipe", ALL)
def test_what_is_left_of_the_weights_is_as_many_and_as_few_values_as_said(name, recipe):
    net = shipped.load(name)
    decoded = compress(net, recipe).weights()
    for layer in net.layers:
        pruned, shared, _ = recipe.chain(layer.name)
        values = decoded[layer.names[0]].flatten()
        places = layer.weight.abs().flatten().argsort(stable=True)[round(pruned["sparsity"] * len(values)) :]
        assert values.count_nonzero() <= len(places) and not values[torch.ones(len(values), dtype=torch.bool).index_fill_(0, places, False)].any()
        assert len(values[places].unique()) <= 2 ** shared["bits"]


def test_the_papers_sparsities_make_about_the_papers_ratio_and_lose_the_accuracy():
    """Without retraining; pruned as little as costs one point, a tenth is left. On validation examples."""
    for name, quoted in PAPER.items():
        net = shipped.load(name)
        whole = size_of(compress(net, Recipe()))
        assert quoted.data == "MNIST" and quoted.retrained and net.data["validation"].name == "Fashion-MNIST"
        assert quoted.ratio == pytest.approx(quoted.before / quoted.after, abs=0.5)
        assert whole == pytest.approx(1000 * quoted.before, rel=0.01)
        qualities = {}
        for which, recipes in (("paper", DEEP_COMPRESSION), ("gentle", WITHOUT_RETRAINING)):
            done = compress(net, recipes[name])
            *_, last = evaluate(net, done.weights(), net.data["validation"])
            qualities[which] = last.quality.change.value, whole / size_of(done)
        assert qualities["paper"][1] == pytest.approx(quoted.ratio, rel=0.1) and qualities["paper"][0] < -0.3
        assert qualities["gentle"][1] > 9 and qualities["gentle"][0] > -0.0105


def test_huffman_codes_both_values_and_distances():
    layer = shipped.load("lenet-5").layer("fc1")
    form = encode(layer, DEEP_COMPRESSION["lenet-5"].chain("fc1"))[0]
    kinds = {name: type(part).__name__ for name, part in form.parts()}
    assert kinds["places"] == "Huffman" and type(dict(form.values.parts())["codes"]).__name__ == "Huffman"
    plain = encode(layer, (step("pruning.relative_index", sparsity=0.92, index=8), step("sharing.lloyd", bits=5)))[0]
    assert isinstance(plain.places, Codes) and not isinstance(plain.values, Dense)
    assert form.places.nbytes < plain.places.nbytes and form.values.nbytes < plain.values.nbytes


@pytest.mark.parametrize("name, recipe", ALL)
def test_the_page_measures_the_file_that_is_written(name, recipe):
    net = shipped.load(name)
    found, file = written.written(net, recipe), pack(compress(net, recipe))
    assert found.stages["coded"] == len(file) == sum(found.slices.values()) and list(found.stages) == ["original", "pruned", "shared", "coded"]
    assert found.read_back == found.numbers == net.parameters == SHAPES[name]
    for part in found.parts:
        assert sum(part.slices.values()) == encode(net.layer(part.layer), recipe.chain(part.layer))[0].nbytes


def test_a_number_that_is_not_read_back_is_counted(monkeypatch):
    def damaged(data):
        found = unpack(data)
        found["fc3.bias"][0] += 1
        return found

    monkeypatch.setattr(written, "unpack", damaged)
    found = written._written(shipped.load("lenet-300-100"), DEEP_COMPRESSION["lenet-300-100"])
    assert found.numbers - found.read_back == 1


@pytest.mark.parametrize("name", PAPER)
def test_the_page_shows_ours_beside_the_papers(name):
    net, quoted = shipped.load(name), PAPER[name]
    at = AppTest.from_file(str(Path(__file__).parents[1] / "app" / "main.py"), default_timeout=300)
    at.query_params.update({"net": name, "method": "deep-compression"})
    at.run()
    at._page_hash = next(key for key, info in at._registered_pages.items() if info["url_pathname"] == "methods")
    at.run()
    assert not at.exception and not at.warning
    shown = {m.label: (m.value, m.delta) for m in at.metric}
    sizes = size_of(compress(net, Recipe())), size_of(compress(net, DEEP_COMPRESSION[name]))
    assert shown["Size of the file"] == (words.size(sizes[1]), f"{sizes[0] / sizes[1]:.1f}× smaller")
    assert shown["The paper’s file"] == (f"{quoted.after} KB", f"{quoted.ratio:g}× smaller") and "MNIST, was" in shown["The paper’s error"][1]
    said = f"{[m.value for m in at.markdown]}"
    assert f"add up to {sizes[1]:,} bytes" in said and f"{net.parameters:,} of {net.parameters:,} stored numbers are the same, bit for bit" in said
    assert "Fashion-MNIST, with nothing retrained" in at.caption[0].value
    next(b for b in at.button if b.label == "Use this recipe").click()
    at.run()
    assert at.session_state["recipe"].overrides == DEEP_COMPRESSION[name].overrides
    for pool in (jobs.quick, jobs.long):
        pool.drop_all("")
