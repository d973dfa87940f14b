"""Tensor trains, rings and Kronecker sums against TensorLy, and weights that are one exactly."""


import numpy as np
import pytest
import tensorly
import torch
from tensorly.decomposition import tensor_ring as their_ring
from tensorly.decomposition import tensor_train as their_train
from tensors import MATRICES, about, energy, matrices, randn, relative, squared, trained

from compression.lowrank import (
    kronecker,
    tensor_ring,
    tensor_train,
    trains,
)


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
