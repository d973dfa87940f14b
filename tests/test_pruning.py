"""Pruning that follows a shape: exact counts, by hand, and against the plain rule."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import prune

from compression.encoded import Codes, Dense, from_bytes, replace_leaves
from compression.method import Layer
from compression.places import Sparse
from compression.pruning import block_sparse, filters, kernel_patterns, magnitude, n_of_m, relative_index, wanda_groups
from compression.sharing import kmeans
from compression.zoo import shipped

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def real(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[f"{layer}.weight"]


def prepared(module, weight):
    return module.prepare(weight, Layer("w", weight))


def reread(form):
    return from_bytes(json.loads(json.dumps(form.layout())), form.to_bytes())


LAYERS = [("lenet-300-100", "fc2"), ("lenet-5", "fc1"), ("resnet-20", "stage1.0.conv1")]


@pytest.mark.parametrize("places", ["choices", "indices"])
@pytest.mark.parametrize("m", n_of_m.SIZES)
@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("net, layer", LAYERS)
def test_exactly_n_of_every_m_inputs_are_kept_and_they_are_the_largest(net, layer, sparsity, m, places):
    weight = real(net, layer)
    form = n_of_m.answer(prepared(n_of_m, weight), sparsity, m, places)
    n = round(m * (1 - sparsity))
    back, rows = (x.movedim(1, -1).flatten(0, -2) for x in (form.decode(), weight))  # (rows, in)
    end = rows.shape[1] // m * m
    kept = (back != 0)[:, :end].reshape(-1, m)
    assert (kept.sum(1) == n).all()
    largest = rows[:, :end].reshape(-1, m).abs().topk(n, dim=1).values.amin(1)
    assert (rows[:, :end].reshape(-1, m).abs()[kept].reshape(-1, n).amin(1) == largest).all()
    assert torch.equal(back[back != 0], rows[back != 0])
    left = rows.shape[1] - end
    assert ((back != 0)[:, end:].sum(1) == math.ceil(n * left / m)).all()
    groups = len(kept)
    each = math.ceil(math.log2(math.comb(m, n))) if places == "choices" else n * int(math.log2(m))
    assert form.places.whole.nbytes == math.ceil(groups * each / 8)
    assert torch.equal(reread(form).decode(), form.decode())


def test_two_of_four_by_hand():
    """Groups along the inputs: choices in the order 01 02 03 12 13 23; of two inputs left over one is kept."""
    weight = torch.tensor([[1.0, -9.0, 3.0, 0.0, 5.0, -6.0], [8.0, 1.0, 1.0, 9.0, -2.0, 1.0]])
    form = n_of_m.answer(prepared(n_of_m, weight), 0.5, 4, "choices")
    assert form.decode().tolist() == [[0, -9, 3, 0, 0, -6], [8, 0, 0, 9, -2, 0]]
    assert form.places.whole.values.tolist() == [3, 2] and form.places.whole.width == 3
    assert form.places.rest.values.tolist() == [1, 0]
    indices = n_of_m.answer(prepared(n_of_m, weight), 0.5, 4, "indices")
    assert indices.places.whole.values.tolist() == [1, 2, 0, 3] and indices.places.whole.width == 2


def test_of_what_is_left_over_the_same_share_is_kept_rounded_up():
    weight = torch.arange(1.0, 15.0).reshape(2, 7)
    form = n_of_m.answer(prepared(n_of_m, weight), 0.5, 4, "choices")
    assert form.decode().tolist() == [[0, 0, 3, 4, 0, 6, 7], [0, 0, 10, 11, 0, 13, 14]]
    with pytest.raises(ValueError, match="not 40 of 64"):
        n_of_m.InGroups((2, 128), 40, 64, form.places.whole, form.places.rest, True)


def test_groups_of_a_convolution_are_made_of_input_channels():
    weight = torch.arange(1.0, 1 + 2 * 4 * 3 * 3).reshape(2, 4, 3, 3)
    form = n_of_m.answer(prepared(n_of_m, weight), 0.5, 4, "choices")
    expected = weight.clone()
    expected[:, :2] = 0
    assert torch.equal(form.decode(), expected)
    assert n_of_m.refuses(weight[:, :3], Layer("w", weight)).startswith("This layer has 3 inputs")


@pytest.mark.parametrize("norm, p", [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("net, layer", LAYERS)
def test_filters_are_those_that_torch_would_prune(net, layer, norm, p):
    weight = real(net, layer)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(weight.clone())
    prune.ln_structured(module, "weight", amount=0.4, n=p, dim=0)
    form = filters.answer(prepared(filters, weight), 0.4, norm)
    assert torch.equal(form.decode(), module.weight.detach())
    kept = len(weight) - round(0.4 * len(weight))
    assert form.values.values.shape == (kept, *weight.shape[1:])
    assert form.nbytes == kept * weight[0].numel() * 4 + form.places.nbytes and form.places.nbytes <= math.ceil(len(weight) / 8)


def test_kept_filters_are_a_matrix_for_the_steps_that_follow():
    form = filters.answer(prepared(filters, real("lenet-300-100", "fc2")), 0.5, "l1")
    seen = []
    replace_leaves(form, "values", lambda values: seen.append(values.shape) or Dense(values))
    assert seen == [(50, 300)]


@pytest.mark.parametrize("block", [*block_sparse.SHAPES, "column", "kernel"])
@pytest.mark.parametrize("net, layer", LAYERS)
def test_blocks_are_kept_or_lost_as_a_whole(net, layer, block):
    weight = real(net, layer)
    ready = prepared(block_sparse, weight)
    form = block_sparse.answer(ready, 0.5, block)
    down, across = ready.block[block]
    matrix, back = weight.flatten(1), form.decode().flatten(1)
    scores, alive = [], []
    for i in range(0, len(matrix), down):
        for j in range(0, matrix.shape[1], across):
            piece, got = matrix[i : i + down, j : j + across], back[i : i + down, j : j + across]
            assert torch.equal(got, piece) or not got.any()
            scores.append(float(piece.abs().mean()))
            alive.append(bool(got.any()))
            if len(scores) > 3000:
                break
    total = -(-len(matrix) // down) * -(-matrix.shape[1] // across)
    if len(scores) == total:
        assert sum(alive) == total - round(0.5 * total)
        assert min(s for s, a in zip(scores, alive) if a) >= max(s for s, a in zip(scores, alive) if not a) - 1e-6
    assert torch.equal(reread(form).decode(), form.decode())


@pytest.mark.parametrize("count", kernel_patterns.COUNTS)
def test_every_kernel_keeps_four_places_in_one_of_few_patterns(count):
    weight = real("resnet-20", "stage3.0.conv1")
    form = kernel_patterns.answer(prepared(kernel_patterns, weight), 0.56, count)
    kept = (form.decode() != 0).flatten(2).flatten(0, 1)
    assert (kept.sum(1) == 4).all() and len(kept.unique(dim=0)) <= count
    kernels = weight.flatten(2).flatten(0, 1)
    best = torch.stack([kernels[:, p].square().sum(1) for p in kept.unique(dim=0)]).amax(0)
    assert torch.allclose((kernels.square() * kept).sum(1), best)
    width = max(1, math.ceil(math.log2(count)))
    assert form.places.nbytes == math.ceil(len(kernels) * width / 8) + math.ceil(9 * count / 8)


def test_the_most_frequent_pattern_is_chosen():
    cross, corner = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0.0]), torch.tensor([1, 1, 0, 1, 1, 0, 0, 0, 0.0])
    weight = torch.stack([*[cross] * 5, *[corner] * 3]).reshape(4, 2, 3, 3)
    one, four = (kernel_patterns.answer(prepared(kernel_patterns, weight), 0.56, count) for count in (1, 4))
    assert torch.equal(four.decode(), weight)
    assert torch.equal(one.decode(), weight * cross.reshape(3, 3))


def plain_relative(values, index):
    """Entries (distance, value) one by one, as in figure 2 of the paper, with the last distance kept for fillers."""
    entries, passed, longest = [], 0, 2**index - 1
    for v in values:
        if v == 0:
            passed += 1
            continue
        while passed >= longest:
            entries.append((longest, 0.0))
            passed -= longest
        entries.append((passed, v))
        passed = 0
    return entries


@pytest.mark.parametrize("index", relative_index.WIDTHS)
@pytest.mark.parametrize("sparsity", [0.3, 0.9, 0.97, 0.99])
def test_fillers_are_where_the_plain_rule_puts_them(sparsity, index):
    weight = real("lenet-300-100", "fc2")
    ready = prepared(magnitude, weight)
    form = relative_index.answer(ready, sparsity, index)
    same = magnitude.answer(ready, sparsity).decode()
    assert torch.equal(form.decode(), same) and torch.equal(reread(form).decode(), same)
    entries = plain_relative(same.flatten().tolist(), index)
    assert form.places.values.tolist() == [g for g, _ in entries]
    assert np.allclose(form.values.values.numpy(), [v for _, v in entries])
    assert form.nbytes == 4 * len(entries) + math.ceil(len(entries) * index / 8)


def test_fillers_stay_zero_when_their_values_are_shared():
    weight = real("lenet-300-100", "fc1")
    form = relative_index.answer(prepared(magnitude, weight), 0.97, 4)
    shared = replace_leaves(form, "values", lambda x: kmeans.answer(kmeans.prepare(x, Layer("w", x)), 3))
    assert isinstance(shared.values.codes, Codes) and torch.equal(shared.decode() == 0, form.decode() == 0)


def test_choosing_each_weight_freely_errs_least():
    """The same share of zeros: single weights, 2 of 4, blocks, filters, in this order (Mao et al. 2017)."""
    weight = real("lenet-5", "fc1")
    half = [magnitude.answer(prepared(magnitude, weight), 0.5), n_of_m.answer(prepared(n_of_m, weight), 0.5, 4, "choices"),
            block_sparse.answer(prepared(block_sparse, weight), 0.5, "4x4"), filters.answer(prepared(filters, weight), 0.5, "l2")]
    errors = [float((form.decode() - weight).norm()) for form in half]
    assert errors == sorted(errors) and all(isinstance(form, Sparse) for form in half[:3])


@pytest.mark.parametrize("m", n_of_m.SIZES)
def test_wanda_in_groups_keeps_the_largest_products_of_weight_and_input(m):
    layer = shipped.load("vit").layer("blocks.0.mlp.up")
    scores = layer.weight.abs() * layer.context.inputs(layer.name).square().mean((0, 1)).sqrt()
    kept = wanda_groups.METHOD.answer(wanda_groups.prepare(layer.weight, layer), 0.5, m, "choices").decode() != 0
    assert torch.equal(kept, torch.zeros(scores.shape).scatter(1, _best(scores, m), 1).bool())


def _best(scores, m):
    """Columns of the better half of every m neighbours, (out, in / 2)."""
    groups = scores.reshape(len(scores), -1, m)
    return (groups.argsort(dim=2, descending=True, stable=True)[:, :, : m // 2] + m * torch.arange(groups.shape[1])[:, None]).flatten(1)
