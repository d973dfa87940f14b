"""Decompositions against brute force, TensorLy and linear algebra, on random and on trained weights, and run as chains."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorly
import torch
from safetensors.torch import load_file
from tensorly.decomposition import parafac, partial_tucker
from tensorly.decomposition import tensor_ring as their_ring
from tensorly.decomposition import tensor_train as their_train
from torch import nn

from compression.apply import compress, smaller
from compression.lowrank import (
    block_term,
    cp,
    hooi,
    jaderberg1,
    jaderberg2,
    kronecker,
    sparse,
    suggest,
    tensor_ring,
    tensor_train,
    trains,
    tucker2,
)
from compression.method import Layer
from compression.network import network
from compression.recipe import Recipe, step
from compression.registry import methods

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def about(weight):
    return Layer("w", weight, "conv" if weight.ndim > 2 else "linear")


@cache
def trained(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[layer + ".weight"]


CONVS = [randn(12, 6, 3, 3), randn(5, 8, 5, 3, seed=1)]
TRAINED_CONVS = [("lenet-5", "conv2"), ("resnet-20", "stage2.1.conv1")]
MATRICES = [randn(24, 30), randn(10, 64, seed=1), randn(8, 6, 3, 3, seed=2)]


def convolutions():
    return CONVS + [trained(*which) for which in TRAINED_CONVS]


def matrices():
    return [*MATRICES, trained("lenet-300-100", "fc2"), trained("resnet-20", "stage1.0.conv1")]


def squared(form, weight):
    return float((form.decode() - weight).double().square().sum())


def energy(weight):
    return float(weight.double().square().sum())


def relative(form, weight):
    return (squared(form, weight) / energy(weight)) ** 0.5


# Jaderberg's two schemes

def test_upright_then_lying_filters_leave_the_tail_of_the_spectrum():
    for weight in convolutions():
        ready = jaderberg2.prepare(weight, about(weight))
        out, into, height, width = weight.shape
        matrix = weight.double().permute(1, 2, 0, 3).reshape(into * height, out * width).numpy()
        theirs = np.linalg.svd(matrix, compute_uv=False)
        for rank in (0.05, 0.3, 0.8, 1.0):
            form = jaderberg2.answer(ready, rank)
            maps = max(1, round(rank * len(theirs)))
            assert form.left.values.shape == (maps, into, height) and form.right.values.shape == (out, maps, width)
            assert squared(form, weight) == pytest.approx((theirs[maps:] ** 2).sum(), rel=1e-4, abs=1e-9 * energy(weight))


def test_a_separable_basis_fits_better_with_every_filter_and_in_the_end_exactly():
    for weight in convolutions():
        ready = jaderberg1.prepare(weight, about(weight))
        errors = list(ready.errors.values())
        assert all(b <= a * (1 + 1e-3) + 1e-6 * energy(weight) for a, b in zip(errors, errors[1:])), "but for the ridge"
        for rank in (0.02, 0.3, 0.75, 1.0):
            form = jaderberg1.answer(ready, rank)
            assert squared(form, weight) == pytest.approx(ready.errors[jaderberg1.filters(tuple(weight.shape), rank)],
                                                          rel=1e-3, abs=1e-9 * energy(weight))
        assert relative(form, weight) < 1e-6


def test_one_basis_filter_is_the_best_separable_one():
    """With a single output there is nothing to mix: each channel's filter has the best column times row, by its SVD."""
    weight = randn(1, 7, 3, 5)
    ready = jaderberg1.prepare(weight, about(weight))
    tails = np.linalg.svd(weight[0].double().numpy(), compute_uv=False)[:, 1:]
    assert ready.errors[1] == pytest.approx((tails**2).sum(), rel=1e-4)


def test_filters_that_are_mixes_of_two_separable_ones_are_found():
    mix, columns, rows = randn(12, 4, 2), randn(4, 2, 5, seed=1), randn(4, 2, 5, seed=2)
    weight = torch.einsum("oim,imy,imx->oiyx", mix, columns, rows)
    ready = jaderberg1.prepare(weight, about(weight))
    assert (ready.errors[2] / energy(weight)) ** 0.5 < 0.01


# CP

@cache
def decomposed(which):
    weight = convolutions()[which]
    return weight, cp.prepare(weight, about(weight))


@pytest.mark.parametrize("kernel", cp.METHOD.knob("kernel").ladder)
def test_cp_says_its_error_and_it_falls_with_the_terms(kernel):
    for which in range(4):
        weight, ready = decomposed(which)
        fits = ready.kernels[kernel]
        errors = [fits[r].error for r in sorted(fits)]
        assert all(b <= a * 1.005 + 1e-9 for a, b in zip(errors, errors[1:]))
        for rank in (0.05, 0.3, 0.75):
            form = cp.answer(ready, rank, kernel)
            assert squared(form, weight) == pytest.approx(fits[cp.terms(tuple(weight.shape), rank)].error, rel=1e-3)
        assert max(fit.largest for fit in fits.values()) < 1.5, "terms cancel one another"


@pytest.mark.parametrize("kernel", ["whole", "separable"])
def test_cp_finds_the_terms_a_tensor_was_made_of(kernel):
    factors = [torch.linalg.qr(randn(n, 4, seed=n)).Q + 0.2 * randn(n, 1, seed=1) for n in (16, 12, 7, 5)]  # terms somewhat alike
    weight = torch.einsum("or,ir,yr,xr->oiyx", *factors)
    tensor = weight.double() if kernel == "separable" else weight.double().flatten(2)
    start = [randn(n, 4, seed=90 + i).double() for i, n in enumerate(tensor.shape)]
    found, size = cp.als(tensor, start, sweeps=300, ridge=1e-10)
    assert cp._error(tensor, found, size) < 1e-8 * energy(weight)
    if kernel == "separable":
        alike = [(theirs / theirs.norm(dim=0)).T.double() @ ours for theirs, ours in zip(factors, found)]
        assert all(torch.allclose(a.abs().amax(1), torch.ones(4).double(), atol=1e-3) for a in alike), "CP is unique"


def test_cp_is_no_worse_than_that_of_tensorly():
    weight = trained("resnet-20", "stage1.1.conv1")
    terms = cp.terms(tuple(weight.shape), 0.3)
    wide = weight.double().flatten(2).numpy()
    theirs = parafac(wide, terms, n_iter_max=30, init="random", random_state=0, tol=0)
    error = float(np.square(tensorly.cp_to_tensor(theirs) - wide).sum())
    assert cp.prepare(weight, about(weight)).kernels["whole"][terms].error <= 1.02 * error


def test_khatri_rao_is_the_kronecker_product_of_columns():
    a, b = randn(3, 4), randn(5, 4, seed=1)
    assert torch.allclose(cp._khatri_rao([a, b]), torch.stack([torch.kron(a[:, r], b[:, r]) for r in range(4)], 1))


# tensor train and tensor ring

@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("shape", [(12, 30), (7, 11), (1, 5), (8, 6, 3, 3), (10, 1, 5)])
def test_folding_is_by_digits_and_can_be_undone(shape, count):
    weight, how = randn(*shape), trains.modes(shape, count)
    assert np.prod(how.out) == shape[0] and np.prod(how.into) == shape[1]
    tensor = trains.fold(weight, how)
    assert tensor.shape == how.sizes and torch.equal(trains.unfold(tensor, how, shape), weight)
    flat = weight.reshape(shape[0], shape[1], -1)
    for i, j, k in [(0, 0, 0), (shape[0] - 1, shape[1] // 2, how.kernel - 1), (shape[0] // 2, shape[1] - 1, 0)]:
        rows, columns = np.unravel_index(i, how.out), np.unravel_index(j, how.into)
        places = [r * n + c for r, n, c in zip(rows, how.into, columns)]
        places[0] = places[0] * how.kernel + k
        assert tensor[tuple(map(int, places))] == flat[i, j, k]


@pytest.mark.parametrize("cores", tensor_train.CORES)
def test_a_train_is_that_of_tensorly_and_its_error_is_known(cores):
    for weight in matrices():
        ready = tensor_train.prepare(weight, about(weight))
        tensor = trains.fold(weight.double(), ready.how[cores])
        for rank in (0.1, 0.5, 1.0):
            form = tensor_train.answer(ready, rank, cores)
            ranks = trains.share(trains.full_ranks(tuple(tensor.shape)), rank)
            theirs = tensorly.tt_to_tensor(their_train(tensor.numpy(), [1, *ranks, 1]))
            error = float(np.square(theirs - tensor.numpy()).sum())
            tiny = 1e-9 * energy(weight)
            assert ready.errors[cores][rank] == pytest.approx(error, rel=1e-4, abs=tiny)
            assert squared(form, weight) == pytest.approx(error, rel=1e-3, abs=tiny)


def test_a_weight_that_is_a_train_is_found_exactly():
    cores = randn(8, 3), randn(3, 9, 2, seed=1), randn(2, 10, seed=2)
    how = trains.Modes(1, (2, 3, 5), (4, 3, 2))
    weight = trains.unfold(trains.join(cores).decode(), how, (30, 24))
    found, error = trains.train(trains.fold(weight.double(), how), (3, 2))
    assert error < 1e-9 * energy(weight) and [tuple(core.shape) for core in found] == [(8, 3), (3, 9, 2), (2, 10)]
    assert torch.allclose(trains.join(found).decode().float(), trains.fold(weight, how), atol=1e-4)


def test_a_train_of_two_cores_is_a_kronecker_sum():
    weight = trained("lenet-300-100", "fc2")
    how = trains.modes(tuple(weight.shape), 2)
    block = how.out[1], how.into[1]
    split = kronecker._split(weight.double(), block)
    for rank in (1, 7, 30):
        _, error = trains.train(trains.fold(weight.double(), how), (rank,))
        assert error == pytest.approx(float(split.singular[rank:].square().sum()), rel=1e-6)


@pytest.mark.parametrize("cores", tensor_ring.CORES)
def test_a_ring_says_its_error_or_more(cores):
    """Its two cuts are orthogonal to one another, so their errors add up."""
    for weight in matrices():
        ready = tensor_ring.prepare(weight, about(weight))
        for rank in (0.05, 0.4, 0.9):
            form = tensor_ring.answer(ready, rank, cores)
            assert squared(form, weight) == pytest.approx(ready.errors[cores][rank], rel=1e-3, abs=1e-9 * energy(weight))


def test_a_ring_is_decoded_as_traces_of_products():
    weight = MATRICES[0]
    ready = tensor_ring.prepare(weight, about(weight))
    form = tensor_ring.answer(ready, 1.0, 4)
    first, *between, last = ready.cores[4][1.0]
    assert first.shape[0] == last.shape[2] > 1
    whole = torch.einsum("aib,bjc,ckd,dla->ijkl", first, *between, last)
    assert torch.allclose(form.decode(), trains.unfold(whole, ready.how[4], (24, 30)), atol=1e-5)


def test_a_ring_is_that_of_tensorly_where_both_cut_alike():
    tensor = randn(16, 6, 10).double()
    cores, error = tensor_ring.ring(tensor, 0.5)  # 8 of 16, of which 2 x 2
    ranks = [cores[0].shape[0], cores[1].shape[0], cores[2].shape[0], cores[0].shape[0]]
    theirs = float(np.square(tensorly.tr_to_tensor(their_ring(tensor.numpy(), ranks)) - tensor.numpy()).sum())
    assert error == pytest.approx(theirs, rel=1e-6)


# Kronecker

@pytest.mark.parametrize("block", kronecker.BLOCKS)
def test_kronecker_sums_are_sums_of_kronecker_products(block):
    for weight in matrices():
        ready = kronecker.prepare(weight, about(weight))
        for rank in (0.02, 0.4, 1.0):
            form = kronecker.answer(ready, rank, block)
            pairs = zip(form.left.values, form.right.values)
            assert torch.allclose(form.decode(), sum(torch.kron(a, b) for a, b in pairs).reshape(weight.shape), atol=1e-5)
            tail = float(ready.by[block].singular[len(form.left.values):].square().sum())
            assert squared(form, weight) == pytest.approx(tail, rel=1e-3, abs=1e-9 * energy(weight))


def test_a_kronecker_product_is_one_term():
    m2, n2 = kronecker.blocks((24, 30), "even")
    weight = torch.kron(randn(24 // m2, 30 // n2), randn(m2, n2, seed=1))
    form = kronecker.answer(kronecker.prepare(weight, about(weight)), 0.02, "even")
    assert len(form.left.values) == 1 and relative(form, weight) < 1e-6


# low rank and sparse

def test_low_rank_and_sparse_beats_either_alone_and_no_turn_makes_it_worse():
    for weight in [trained("lenet-300-100", "fc2"), trained("resnet-20", "stage2.1.conv1")]:
        ready = sparse.prepare(weight, about(weight))
        matrix = weight.reshape(len(weight), -1)
        singular = torch.linalg.svdvals(matrix.double())
        for (rank, density), fit in ready.by.items():
            assert all(b <= a * (1 + 1e-5) for a, b in zip(fit.errors, fit.errors[1:]))
            r, kept = sparse.counts(matrix, rank, density)
            smallest = matrix.abs().flatten().sort().values[: matrix.numel() - kept].double().square().sum()
            assert fit.errors[-1] < min(float(singular[r:].square().sum()), float(smallest))
            form = sparse.answer(ready, rank, density)
            assert squared(form, weight) == pytest.approx(fit.errors[-1], rel=1e-3)
            assert len(fit.places) == kept and form.low.left.values.shape[1] == r


def test_planted_outliers_are_stored_one_by_one():
    weight = randn(40, 3) @ randn(3, 60, seed=1)
    places = torch.randperm(2400, generator=torch.Generator().manual_seed(2))[:24]
    spoiled = weight.clone()
    spoiled.view(-1)[places] += 30 * randn(24, seed=3).sign()
    fit = sparse.fit(spoiled, 3, 24, (sparse.Start.of(spoiled, 0), sparse.Start.of(spoiled, 24)))
    assert set(fit.places.tolist()) == set(places.tolist())
    assert (fit.errors[-1] / energy(spoiled)) ** 0.5 < 0.01


# block terms

def test_block_terms_get_no_worse_by_turns_and_one_block_is_tucker():
    for weight in [CONVS[0], trained("resnet-20", "stage2.1.conv1"), trained("lenet-300-100", "fc2")]:
        ready = block_term.prepare(weight, about(weight))
        for (rank, blocks), errors in ready.errors.items():
            assert all(b <= a * (1 + 1e-9) for a, b in zip(errors, errors[1:]))
            assert squared(block_term.answer(ready, rank, blocks), weight) == pytest.approx(errors[-1], rel=1e-3, abs=1e-8 * energy(weight))
    tensor = CONVS[0].double().flatten(2)
    (core, factors), _ = partial_tucker(tensor.numpy(), rank=[5, 3], modes=[0, 1], n_iter_max=50, tol=1e-10)
    theirs = float(np.square(tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1]) - tensor.numpy()).sum())
    assert block_term.fit(tensor, 1, 5, 3)[1][-1] == pytest.approx(theirs, rel=1e-3)


def test_block_terms_are_added():
    out, core, into = randn(2, 6, 3), randn(2, 3, 4, 5, seed=1), randn(2, 7, 4, seed=2)
    assert torch.allclose(block_term.combined(out, core, into), torch.einsum("bor,brsk,bis->oik", out, core, into), atol=1e-5)


# suggested ranks

@pytest.mark.parametrize("shape, rank, noise", [((100, 300), 20, 0.1), ((100, 300), 20, 0.5), ((64, 576), 16, 0.3), ((200, 200), 60, 1.0),
                                                ((300, 100), 20, 0.1), ((50, 500), 0, 1.0)])
@pytest.mark.parametrize("suggestion", [suggest.evbmf, suggest.gavish_donoho])
def test_a_planted_rank_is_found(suggestion, shape, rank, noise):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])) + noise * rng.normal(size=shape)
    assert suggestion(np.linalg.svd(matrix, compute_uv=False), shape) == rank


def test_the_threshold_of_evbmf_is_that_of_the_paper():
    """Nakajima et al. 2013: the zero is close to 2.5129 times the root of the ratio, and equal to it for a square."""
    assert suggest.threshold(1.0) == pytest.approx(2.5129, abs=1e-4)
    assert suggest.threshold(0.3) == pytest.approx(2.5129 * 0.3**0.5, rel=0.02)
    assert suggest.evbmf(np.zeros(4), (4, 9)) == 0


def test_evbmf_finds_less_than_the_full_rank_of_a_trained_layer():
    weight = trained("lenet-300-100", "fc1")
    rank = suggest.evbmf(torch.linalg.svdvals(weight.double()).numpy(), tuple(weight.shape))
    assert 0 < rank < 300


# run as chains

class Nets(nn.Module):
    """Convolutions with all settings that a chain must pass on."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1), padding_mode="reflect")
        self.b = nn.Conv2d(8, 12, 3, padding="same", dilation=2, bias=False)
        self.c = nn.Conv2d(12, 6, 3, stride=2, padding=1, padding_mode="circular")
        self.d = nn.Conv2d(6, 5, 1, stride=2)

    def forward(self, x):
        return self.d(self.c(self.b(self.a(x)).relu()).relu())


@pytest.mark.parametrize("name, knobs, modules", [
    ("svd", {}, 2), ("tucker2", {}, 3), ("hooi", {}, 3), ("jaderberg2", {}, 2), ("jaderberg1", {}, 3), ("cp", {"kernel": "whole"}, 3),
    ("cp", {"kernel": "separable"}, 4), ("block_term", {"blocks": 2}, 3),
])
def test_convolutions_become_chains_that_compute_the_same(name, knobs, modules):
    torch.manual_seed(0)
    net = network("nets", "Nets", Nets().eval())
    method = methods()[f"lowrank.{name}"]
    done = compress(net, Recipe((step(f"lowrank.{name}", **knobs | {"rank": 0.5 if 0.5 in method.knob("rank").ladder else 0.3}),)))
    assert not any(done.refused.values())
    module, x = smaller(done), randn(2, 3, 20, 17)
    assert [len(m) for m in module.children()] == [modules] * 4
    with torch.inference_mode():
        wanted = torch.func.functional_call(net.module, done.weights(), (x,))
        assert torch.allclose(module(x), wanted, atol=1e-4 * float(wanted.abs().max()))
    forms = done.encoded.values()
    stored = sum(form.nbytes // 4 for form in forms)
    assert sum(p.numel() for p in module.parameters()) == stored + 8 + 6 + 5, "the chain holds what is stored, and the biases"


@pytest.mark.parametrize("name", ["tensor_train", "tensor_ring", "kronecker", "sparse"])
def test_what_is_no_chain_runs_with_the_decoded_weight(name):
    net = network("nets", "Nets", nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(72, 10)).eval())
    done = compress(net, Recipe((step(f"lowrank.{name}"),)))
    module = smaller(done)
    assert type(module[0]) is nn.Conv2d and torch.equal(module[2].weight, done.weights()["2.weight"])


def test_refined_tucker_2_is_that_of_tensorly_and_never_worse_than_plain():
    for weight in [CONVS[0], trained("resnet-20", "stage2.1.conv1")]:
        refined, plain = hooi.prepare(weight, about(weight)), tucker2.prepare(weight, about(weight))
        for rank in (0.1, 0.5, 0.8):
            form = hooi.answer(refined, rank)
            assert squared(form, weight) == pytest.approx(refined.errors[rank][-1], rel=1e-3)
            assert refined.errors[rank][-1] <= squared(tucker2.answer(plain, rank), weight) * (1 + 1e-4)
            pair = list(tucker2.ranks(tuple(weight.shape), rank))
            (core, factors), _ = partial_tucker(weight.double().numpy(), rank=pair, modes=[0, 1], n_iter_max=8, tol=0)
            theirs = tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1]) - weight.double().numpy()
            assert refined.errors[rank][-1] <= 1.02 * float(np.square(theirs).sum())
