"""Errors at every length of a codebook and at every rank, from sketches: those of the optimum, nearly or exactly."""

import numpy as np
import pytest
import torch
from sketched import NAMES, about, energy, weight

from compression import instant
from compression.lowrank import tucker2
from compression.sketches import codebooks
from compression.sketches.histogram import histogram
from compression.sketches.spectrum import errors_by_rank


@pytest.mark.parametrize("name", NAMES)
def test_codebooks_of_every_size_are_the_optimum_nearly(name):
    x = weight(name, 400)
    o = instant.prepare(x)
    found = codebooks.codebooks(o, range(1, 65))
    best = optimum(np.sort(x.numpy()).astype(np.float64), 64)
    last = np.inf
    for k, (book, error) in found.items():
        assert len(book) <= k and (np.diff(book) >= 0).all()
        nearest = np.abs(x.numpy()[:, None].astype(np.float64) - book).min(1)
        assert error == pytest.approx((nearest**2).sum(), rel=1e-6, abs=1e-12 * energy(x))
        assert error <= best[k - 1] * 1.002 + 1e-12 * energy(x)
        assert error <= last
        last = error


def test_long_codebooks_too():
    """Beyond 64 entries the seed is the best split into short runs only."""
    x = torch.from_numpy(np.random.default_rng(1).standard_t(3, 3000).astype(np.float32))
    best = optimum(np.sort(x.numpy())[::3].astype(np.float64), 256)
    for k, (book, error) in codebooks.codebooks(instant.prepare(x[x.argsort()[::3]]), (100, 128, 256)).items():
        assert len(book) == k and error <= best[k - 1] * 1.005


@pytest.mark.parametrize("name", ["heavy", "outlier", "ties", "pruned", "positive", "constant", "one", "tiny"])
def test_codebooks_from_a_histogram_are_nearly_as_good(name):
    """Without sorting: the true error of the entries, not what the histogram takes it for, is held to the optimum."""
    x = weight(name, 400)
    best = optimum(np.sort(x.numpy()).astype(np.float64), 64)
    for k, (book, _) in codebooks.codebooks(histogram(x.numpy()), range(1, 65), steps=20).items():
        nearest = np.abs(x.numpy()[:, None].astype(np.float64) - book).min(1)
        assert len(book) <= k and (nearest**2).sum() <= best[k - 1] * 1.005 + 1e-8 * energy(x)


def optimum(values, longest):
    """The least squared error of k runs of sorted values, for every k: the dynamic program, with every value its own bin."""
    sums = [np.concatenate([[0], np.cumsum(values**p)]) for p in (0, 1, 2)]
    n, s, q = (a[:, None] - a for a in sums)
    cost = np.where(n > 0, q - np.divide(s * s, n, out=np.zeros_like(s), where=n > 0), np.inf)
    best, found = cost[:, 0].copy(), []
    best[0] = 0
    for _ in range(longest):
        found.append(max(best[-1], 0))
        best = np.minimum((cost + best).min(1), best)
    return found


@pytest.mark.parametrize("shape", [(20, 50), (300, 320), (16, 8, 3, 3), (1, 7), (5, 1)])
def test_error_at_every_rank_is_that_of_the_truncation(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    got = errors_by_rank(x.numpy())
    left, singular, right = torch.linalg.svd(x.flatten(1).double(), full_matrices=False)
    for r in range(0, len(singular) + 1, max(1, len(singular) // 7)):
        back = (left[:, :r] * singular[:r]) @ right[:r]
        assert got[r] == pytest.approx(float((x.flatten(1) - back).norm() / x.double().norm()), abs=1e-7)
    assert got[-1] == 0 and len(got) == len(singular) + 1
    assert (errors_by_rank(np.zeros(shape)) == 0).all()


def test_tucker_errors_of_all_pairs_are_those_of_the_truncation():
    x = torch.randn(12, 9, 3, 3, generator=torch.Generator().manual_seed(0))
    modes, got = tucker2.prepare(x, about(x)), instant.tucker_errors(x)
    for i in range(12):
        for j in range(9):
            core = torch.zeros_like(modes.core)
            core[: i + 1, : j + 1] = modes.core[: i + 1, : j + 1]
            back = torch.einsum("oa,abkl,ib->oikl", modes.out, core, modes.into)
            assert got[i, j] == pytest.approx(float((x - back).norm() / x.double().norm()), abs=1e-5)
