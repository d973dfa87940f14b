"""Rounding that looks at the weights first: half-quadratic fits, outliers apart, rotations, several bases."""


from itertools import pairwise

import numpy as np
import pytest
import torch
from weights import heavy, prepared, real, squared

from compression.quantization import (
    binary,
    binary_bases,
    hadamard,
    hqq,
    outlier_split,
    uniform,
)


@pytest.mark.parametrize("make", [lambda: heavy(64, 128, tail=2), lambda: real("lenet-5", "fc1"), lambda: real("resnet-20", "stage3.0.conv1")])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_hqq_is_never_worse_than_nearest_in_what_it_makes_small(bits, make):
    weight = make()
    ready = prepared(hqq, weight)
    fitted, plain = (hqq.answer(ready, bits, optimise) for optimise in (True, False))
    size = ready.groups.shape[1]
    cost = [hqq.objective((form.decode() - weight).reshape(-1, size)) for form in (fitted, plain)]
    assert float(cost[0].sum()) <= 1.001 * float(cost[1].sum())
    if bits < 4:
        assert float(cost[0].sum()) < 0.99 * float(cost[1].sum())


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_outliers_apart_beat_plain_levels_of_as_many_bytes_where_tails_are_heavy(bits):
    """Equal bits and then fewer bytes: one more bit for all costs more than 1 % of outliers apart."""
    weight = heavy(200, 200, tail=2)
    split = outlier_split.answer(prepared(outlier_split, weight), bits, 0.01, "tensor")
    same, more = (uniform.answer(prepared(uniform, weight), b, True, "tensor") for b in (bits, bits + 1))
    assert squared(split, weight) < 0.3 * squared(same, weight)
    assert split.nbytes < more.nbytes and squared(split, weight) < squared(more, weight)


def test_outliers_by_hand():
    weight = torch.tensor([[0.1] * 50 + [-0.3] * 48 + [5.0, -7.0]])
    form = outlier_split.answer(prepared(outlier_split, weight), 3, 0.02, "tensor")
    assert torch.allclose(form.decode(), weight) and form.values.tolist() == [5.0, -7.0]
    assert form.nbytes == -(-100 * 3 // 8) + 4 + 2 * 2 + form.places.nbytes


def test_hadamard_matrices_are_those_of_scipy_and_undo_themselves():
    from scipy.linalg import hadamard as theirs

    for size in (1, 2, 4, 32, 256, 512):
        assert torch.allclose(hadamard.mixed(torch.eye(size)), torch.from_numpy(theirs(size) / size**0.5).float(), atol=1e-6)
    for width in (1, 3, 25, 784, 800, 1023):
        rows = heavy(5, width)
        assert torch.allclose(hadamard.mixed(hadamard.mixed(rows)), rows, atol=1e-6)
        assert torch.allclose(hadamard.mixed(rows).norm(dim=1), rows.norm(dim=1), rtol=1e-5)


def test_rotation_helps_where_outliers_are_and_not_where_there_are_none():
    flat = torch.rand(64, 256, generator=torch.Generator().manual_seed(0)) - 0.5
    spiked = flat.clone()
    spiked[:, 7] *= 30
    gain = {}
    for name, weight in (("flat", flat), ("spiked", spiked)):
        plain, turned = (squared(hadamard.answer(prepared(hadamard, weight), 4, rotate, "channel"), weight) for rotate in (False, True))
        gain[name] = plain / turned
    assert gain["spiked"] > 10 and gain["flat"] < 1


def test_one_basis_is_binary_and_each_further_one_is_never_worse():
    for weight in (real("lenet-5", "conv2"), heavy(20, 30)):
        ready = prepared(binary_bases, weight)
        one = binary_bases.answer(ready, 1, "residual", "channel")
        assert torch.allclose(one.decode(), binary.answer(prepared(binary, weight), 1, "channel").decode(), atol=1e-6)
        errors = [squared(binary_bases.answer(ready, b, "residual", "channel"), weight) for b in binary_bases.BASES]
        assert all(later < earlier for earlier, later in pairwise(errors))


@pytest.mark.parametrize("way", binary_bases.WAYS)
def test_sizes_of_bases_are_least_squares(way):
    weight = heavy(4, 50)
    form = binary_bases.answer(prepared(binary_bases, weight), 3, way, "channel")
    for row in range(4):
        codes = form.codes.values.reshape(4, 50)[row].numpy()
        planes = np.stack([(codes >> i & 1) * 2.0 - 1 for i in range(3)], 1)
        theirs = np.linalg.lstsq(planes, weight[row].numpy().astype(np.float64), rcond=None)[0]
        assert np.allclose(form.decode()[row].numpy(), planes @ theirs, atol=1e-5)
    if way == "shifted":
        centred = weight - weight.mean(1, keepdim=True)
        deviation = centred.square().mean(1, keepdim=True).sqrt()
        expected = sum(((centred + u * deviation) >= 0).int() << i for i, u in enumerate((-1, 0, 1)))
        assert torch.equal(form.codes.values.reshape(4, 50).int(), expected)
