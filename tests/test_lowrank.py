"""Decompositions of convolutions, and what is a sum of two kinds, against brute force, TensorLy and linear algebra."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import tensorly
import torch
from tensorly.decomposition import parafac, partial_tucker
from tensors import CONVS, about, convolutions, energy, randn, relative, squared, trained

from compression.lowrank import (
    block_term,
    cp,
    hooi,
    jaderberg1,
    jaderberg2,
    sparse,
    tucker2,
)


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
        assert all(b <= a * (1 + 1e-3) + 1e-6 * energy(weight) for a, b in pairwise(errors)), "but for the ridge"
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
        assert all(b <= a * 1.005 + 1e-9 for a, b in pairwise(errors))
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


def test_block_terms_get_no_worse_by_turns_and_one_block_is_tucker():
    for weight in [CONVS[0], trained("resnet-20", "stage2.1.conv1"), trained("lenet-300-100", "fc2")]:
        ready = block_term.prepare(weight, about(weight))
        for (rank, blocks), errors in ready.errors.items():
            assert all(b <= a * (1 + 1e-9) for a, b in pairwise(errors))
            assert squared(block_term.answer(ready, rank, blocks), weight) == pytest.approx(errors[-1], rel=1e-3, abs=1e-8 * energy(weight))
    tensor = CONVS[0].double().flatten(2)
    (core, factors), _ = partial_tucker(tensor.numpy(), rank=[5, 3], modes=[0, 1], n_iter_max=50, tol=1e-10)
    theirs = float(np.square(tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1]) - tensor.numpy()).sum())
    assert block_term.fit(tensor, 1, 5, 3)[1][-1] == pytest.approx(theirs, rel=1e-3)


def test_block_terms_are_added():
    out, core, into = randn(2, 6, 3), randn(2, 3, 4, 5, seed=1), randn(2, 7, 4, seed=2)
    assert torch.allclose(block_term.combined(out, core, into), torch.einsum("bor,brsk,bis->oik", out, core, into), atol=1e-5)


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
