"""Laws, tried on cases that nobody chose."""

import json
import math
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from compression import bits
from compression.coding import huffman
from compression.encoded import Codes, Dense, Levels, Shared, from_bytes, replace_leaves
from compression.method import Layer
from compression.places import Bitmap, Gaps, sparse
from compression.quantization import uniform
from compression.recipe import Override, Recipe, from_json, step, to_json
from compression.registry import methods
from compression.sharing import kmeans

LAW = settings(derandomize=True, deadline=None, max_examples=60)


def about(weight):
    return Layer("w", weight)


def reread(form):
    return from_bytes(json.loads(json.dumps(form.layout())), form.to_bytes())


@st.composite
def weights(draw, shapes=((60,), (1, 5), (7, 11), (4, 130), (6, 3, 3, 3))):
    """Weights of any shape above and of any size, some with many equal, some far from zero."""
    shape, seed = draw(st.sampled_from(shapes)), draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).standard_t(draw(st.sampled_from([1, 3, 30])), shape)
    if draw(st.booleans()):
        values = np.round(values * 2)
    size, offset = 10.0 ** draw(st.integers(-4, 3)), draw(st.sampled_from([0, 0, 5]))
    return torch.from_numpy((values * size + offset).astype(np.float32))


@LAW
@given(st.integers(1, 16).flatmap(lambda w: st.tuples(st.just(w), st.lists(st.integers(0, 2**w - 1), max_size=70))))
def test_unpack_undoes_pack(case):
    width, codes = case
    packed = bits.pack(torch.tensor(codes, dtype=torch.int32), width)
    assert len(packed) == math.ceil(len(codes) * width / 8)
    assert bits.unpack(packed, len(codes), width).tolist() == codes


@pytest.mark.parametrize("width", range(1, 17))
def test_unpack_undoes_pack_over_several_chunks(width):
    codes = torch.arange(bits._CHUNK + 13, dtype=torch.int32) % 2**width
    assert torch.equal(bits.unpack(bits.pack(codes, width), len(codes), width).int(), codes)


@LAW
@given(st.integers(0, 3000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_any_mask_comes_back(count, share, seed):
    rng = np.random.default_rng(seed)
    kept = torch.from_numpy(rng.random(count) < share**3)  # low shares often, where distances are shorter than bits
    weight = torch.from_numpy(rng.uniform(1, 2, count).astype(np.float32))
    form = sparse(weight, kept)
    assert torch.equal(form.decode(), weight * kept)
    assert torch.equal(reread(form).decode(), form.decode())
    if not isinstance(form, Dense):
        assert isinstance(form.places, Bitmap | Gaps)
        assert torch.equal(form.places.decode(), kept.nonzero().flatten())
        assert form.places.nbytes <= math.ceil(count / 8)


def test_a_few_places_far_apart_are_stored_as_distances():
    kept = torch.zeros(100_000, dtype=torch.bool)
    kept[[0, 5, 70_000, 99_999]] = True
    form = sparse(torch.ones(100_000), kept)
    assert isinstance(form.places, Gaps) and form.places.nbytes < 40
    assert torch.equal(reread(form).places.decode(), kept.nonzero().flatten())


@LAW
@given(st.lists(st.integers(0, 300), min_size=1, max_size=400), st.integers(1, 40))
def test_huffman_loses_nothing_and_stays_within_a_bit_of_entropy(drawn, repeats):
    codes = torch.tensor((drawn + drawn[:1] * repeats) * repeats, dtype=torch.int32)
    counted = huffman.prepare(codes, about(codes))
    form = huffman.answer(counted)
    assert torch.equal(form.decode().int(), codes) and torch.equal(reread(form).decode().int(), codes)
    assert form.nbytes <= Codes(codes, bits.needed(int(codes.max()))).nbytes
    lengths = counted.lengths.numpy().astype(np.int64)
    stream = huffman.write(codes.numpy(), lengths)
    assert huffman.read(stream, lengths, len(codes)).tolist() == codes.tolist()
    mean = int((counted.counts * counted.lengths).sum()) / len(codes)
    least = huffman.entropy(counted.counts)
    if len(set(drawn)) > 1:
        assert least <= mean + 1e-12 and mean < least + 1
        assert (2.0 ** -lengths[lengths > 0]).sum() == 1  # Kraft: a full tree


@LAW
@given(weights(), st.sampled_from([1, 2, 3, 5, 8, 16]), st.booleans(), st.sampled_from(["tensor", "channel", "group"]))
def test_quantization_is_never_off_by_more_than_half_a_step(weight, width, symmetric, per):
    form = uniform.answer(uniform.prepare(weight, about(weight)), width, symmetric, per)
    back = form.decode()
    assert isinstance(form, Levels)
    assert (back[weight == 0] == 0).all() or (width == 1 and symmetric)
    step_of_each = form.scale.float().repeat_interleave(form.group)[: weight.numel()].reshape(weight.shape)
    rounding = 1e-6 * weight.abs().max() + 1e-6 * step_of_each * 2**width  # of float32, in which all this is reckoned
    rounding += step_of_each * 2**-11 * (width == 1)  # the largest weight is half a step beyond its level, and scales of groups are float16
    assert ((back - weight).abs() <= step_of_each / 2 + rounding).all()


@LAW
@given(weights(shapes=((60,), (7, 11), (40, 50), (300,))))
def test_a_longer_codebook_is_never_worse(weight):
    ready = kmeans.prepare(weight, about(weight))
    errors = []
    for width in kmeans.WIDTHS:
        form = kmeans.answer(ready, width)
        assert isinstance(form, Shared) and len(form.codebook) <= 2**width
        error = float((form.decode() - weight).double().square().sum())
        assert error == pytest.approx(ready.errors[width], rel=1e-4, abs=1e-9 * float(weight.double().square().sum()))
        errors.append(error)
        if weight.unique().numel() <= 2**width:
            assert torch.equal(form.decode(), weight)
    slack = 1e-9 * float(weight.double().square().sum())
    assert all(later <= earlier + slack for earlier, later in pairwise(errors))


@st.composite
def steps(draw):
    name = draw(st.sampled_from(list(methods())))
    return step(name, **{k.name: draw(st.sampled_from(k.ladder)) for k in methods()[name].knobs})


CHAINS = st.lists(steps(), max_size=4).map(tuple)
OVERRIDES = st.lists(st.builds(Override, st.text(), CHAINS, st.booleans()), max_size=3).map(tuple)
RECIPES = st.builds(Recipe, CHAINS, OVERRIDES, st.lists(st.text(), max_size=3).map(tuple), st.integers(0, 2**31))


@LAW
@given(RECIPES)
def test_any_recipe_survives_json(recipe):
    back = from_json(to_json(recipe))
    assert back == recipe and hash(back) == hash(recipe)


def carried_out(name, form):
    method, knobs = methods()[name], dict(step(name).knobs)
    return replace_leaves(form, method.consumes, lambda x: method.answer(method.prepare(x, about(x)), **knobs))


@LAW
@given(weights(shapes=((7, 11), (40, 50))), st.integers(0, 99))
def test_a_chain_of_three_keeps_zeros_and_bytes(weight, percent):
    """Deep Compression: prune, share, code. What was pruned stays zero, and coding changes no value."""
    kept = weight.abs().flatten() >= weight.abs().flatten().quantile(percent / 100)
    form, zeros = sparse(weight, kept), ~kept.reshape(weight.shape)
    for name in ("sharing.kmeans", "coding.huffman"):
        before, form = form, carried_out(name, form)
        assert (form.decode()[zeros] == 0).all()
        assert len(form.to_bytes()) == form.nbytes == sum(size for _, size in form.items())
        assert torch.equal(reread(form).decode(), form.decode())
    assert form.nbytes <= before.nbytes and torch.equal(form.decode(), before.decode())


def test_forms_are_themselves_and_no_others():
    """Comparing tensors would give a tensor; a form is equal to itself alone, and can be a key."""
    one, other = Dense(torch.ones(3)), Dense(torch.ones(3))
    assert one == one and one != other and len({one, other}) == 2


@pytest.mark.parametrize("name", ["quantization.uniform", "sharing.kmeans"])
def test_missing_or_spare_bytes_are_refused(name):
    weight = torch.randn(100, 90, generator=torch.Generator().manual_seed(0)) ** 3
    form = methods()[name].answer(methods()[name].prepare(weight, about(weight)), **dict(step(name, bits=4).knobs))
    coded = replace_leaves(form, "codes", lambda x: huffman.answer(huffman.prepare(x, about(weight))))
    assert "Huffman" in json.dumps(coded.layout())
    for each in (form, coded):
        for wrong in (each.to_bytes()[:-1], each.to_bytes() + b"\0"):
            with pytest.raises(ValueError, match="stored form"):
                from_bytes(each.layout(), wrong)


def test_codes_wider_than_they_say_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        Codes(torch.tensor([8], dtype=torch.uint8), 3)
