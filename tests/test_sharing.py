"""Codebooks, mixtures and hashes against plain loops, scikit-learn and the laws they are built on."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from compression.encoded import Codes, Shared
from compression.method import Layer
from compression.sharing import hashing, kmeans, lloyd, product, residual, soft, vectors

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def about(weight):
    return Layer("w", weight)


def heavy(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_t(4, shape).astype(np.float32))


@cache
def trained(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[layer + ".weight"]


def several():
    return [heavy(60, 70), trained("lenet-300-100", "fc2"), trained("resnet-20", "stage1.0.conv1"), trained("lenet-5", "conv2")]


def squared(form, weight):
    return float((form.decode() - weight).double().square().sum())


# product and residual quantization

def test_the_nearest_codeword_is_the_nearest_of_a_plain_search():
    points, words = heavy(500, 3), heavy(9, 3, seed=1)
    assert torch.equal(vectors.nearest(points, words), torch.cdist(points, words, compute_mode="donot_use_mm_for_euclid_dist").argmin(1))
    codes = vectors.nearest(points, words)
    plain = torch.stack([points[codes == k].mean(0) if (codes == k).any() else words[k] for k in range(9)])
    assert torch.allclose(vectors.means(points, codes, words), plain, atol=1e-6)


@pytest.mark.parametrize("block", product.BLOCKS)
def test_runs_are_written_as_codewords(block):
    for weight in several():
        ready = product.Products(weight, {block: product.coded(weight, block)})
        flat = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % block)).reshape(-1, block)
        for width in (1, 4, 8):
            form, known = product.answer(ready, width, block), ready.by[block]
            words = known.words[width][0]
            plain = torch.stack([words[c] for c in known.codes[width].tolist()]).flatten()[: weight.numel()].reshape(weight.shape)
            assert torch.equal(form.decode(), plain)
            nearest = torch.cdist(flat.double(), words.double()).amin(1).square().sum()
            assert known.errors[width] == pytest.approx(float(nearest), rel=1e-4)
        errors = list(known.errors.values())
        assert errors == sorted(errors, reverse=True)


def test_the_size_of_a_product_code_is_that_of_its_formula():
    weight = trained("lenet-300-100", "fc2")
    form = product.answer(product.Products(weight, {4: product.coded(weight, 4)}), 6, 4)
    assert form.nbytes == 30_000 // 4 * 6 / 8 + 64 * 4 * 4


@cache
def scalar(which):
    weight = several()[which]
    return kmeans.prepare(weight, about(weight)).errors, product.coded(weight, 1).errors


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_runs_of_one_weight_are_scalar_k_means(width):
    """The optimum in one dimension is known from kmeans; splitting comes near to it, less so where tails are heavy."""
    for which in range(4):
        best, ours = (errors[width] for errors in scalar(which))
        assert best * (1 - 1e-4) <= ours <= 1.3 * best


def test_moving_codewords_of_one_weight_is_lloyds_algorithm():
    weight = trained("resnet-20", "stage1.0.conv1")
    ordered = np.sort(weight.flatten().numpy().astype(np.float64))
    start = lloyd.starting(ordered, 8, "density")
    points, words = torch.from_numpy(ordered)[:, None], torch.from_numpy(start)[:, None]
    for _ in range(300):
        words = vectors.means(points, vectors.nearest(points, words), words)
    assert np.allclose(words[:, 0], lloyd.lloyd(ordered, np.concatenate([[0.0], np.cumsum(ordered)]), start), atol=1e-9)


def test_codewords_are_as_good_as_those_of_scikit_learn():
    weight = trained("lenet-300-100", "fc2")
    points = weight.reshape(-1, 4)
    ours = product.coded(weight, 4).errors[4]
    theirs = KMeans(16, n_init=1, random_state=0, algorithm="lloyd").fit(points.numpy()).inertia_
    assert ours <= 1.05 * theirs


def test_few_runs_are_their_own_codewords():
    weight = heavy(4, 8)
    form = product.answer(product.prepare(weight, about(weight)), 5, 2)
    assert torch.equal(form.decode(), weight)


@cache
def staged(which):
    weight = several()[which]
    return weight, residual.prepare(weight, about(weight))


@pytest.mark.parametrize("width", residual.WIDTHS)
def test_every_stage_lowers_the_error_and_codewords_are_added(width):
    for which in range(4):
        weight, ready = staged(which)
        start = float(weight.double().square().sum())
        errors = [start, *ready.errors[width]]
        assert all(b < a or a < 1e-9 * start for a, b in pairwise(errors))
        for stages in residual.STAGES:
            form = residual.answer(ready, width, stages)
            assert squared(form, weight) == pytest.approx(ready.errors[width][stages - 1], rel=1e-3)
            plain = sum(ready.words[width][s][ready.codes[width][s].long()] for s in range(stages))
            assert torch.allclose(form.decode(), plain.flatten()[: weight.numel()].reshape(weight.shape), atol=1e-6)


def test_one_stage_is_product_quantization():
    weight = trained("lenet-300-100", "fc2")
    one = residual.answer(staged(1)[1], 6, 1)
    ready = product.Products(weight, {8: product.coded(weight, 8)})
    assert torch.equal(one.decode(), product.answer(ready, 6, 8).decode())


# Lloyd from a chosen start

def test_starts_are_those_of_deep_compression():
    ordered = np.sort(np.random.default_rng(0).normal(size=1001))
    linear, density, random = (lloyd.starting(ordered, 5, start) for start in ("linear", "density", "random"))
    assert np.allclose(linear, np.linspace(ordered[0], ordered[-1], 5))
    assert np.array_equal(density, ordered[[0, 250, 500, 750, 1000]])
    assert set(random) <= set(ordered) and len(set(random)) == 5


@pytest.mark.parametrize("start", lloyd.STARTS)
@pytest.mark.parametrize("width", [2, 4])
def test_lloyd_is_that_of_scikit_learn_from_the_same_start(start, width):
    weight = trained("lenet-300-100", "fc2")
    column = weight.numpy().astype(np.float64).reshape(-1, 1)
    centres = lloyd.starting(np.sort(column[:, 0]), 2**width, start)
    theirs = KMeans(2**width, init=centres[:, None], n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(column)
    form = lloyd.answer(lloyd.prepare(weight, about(weight)), width, start)
    assert np.allclose(form.codebook, np.sort(theirs.cluster_centers_[:, 0]), atol=1e-5)


def test_lloyd_says_its_error_and_the_optimum_is_never_above_it():
    for weight in several():
        best, ready = kmeans.prepare(weight, about(weight)).errors, lloyd.prepare(weight, about(weight))
        for (start, width), error in ready.errors.items():
            assert squared(lloyd.answer(ready, width, start), weight) == pytest.approx(error, rel=1e-4)
            if width <= 4:
                assert best[width] <= error * (1 + 1e-4)


# soft weight sharing

def drawn(counts=(3000, 1000, 2000), means=(-1.0, 0.0, 2.0), widths=(0.1, 0.2, 0.3)):
    rng = np.random.default_rng(5)
    return torch.from_numpy(np.concatenate([rng.normal(m, s, n) for n, m, s in zip(counts, means, widths)]).astype(np.float32))


@pytest.mark.parametrize("spike", soft.SPIKES)
@pytest.mark.parametrize("components", [1, 2, 8, 32])
def test_no_step_of_em_lowers_the_likelihood(components, spike):
    for weight in [drawn(), *several()]:
        found = soft.expectation_maximization(*soft._binned(weight), components, spike)
        seen = np.array(found.likelihood)
        assert (np.diff(seen) >= -1e-9 * np.abs(seen[:-1])).all()
        if spike:
            assert found.means[0] == 0 and found.shares[0] == spike
        assert found.shares.sum() == pytest.approx(1 if components > 1 or not spike else spike)


def test_em_finds_the_mixture_that_weights_were_drawn_from():
    weight = drawn()
    found = soft.expectation_maximization(*soft._binned(weight), 3)
    order = found.means.argsort()
    assert np.allclose(found.means[order], [-1, 0, 2], atol=0.03)
    assert np.allclose(found.widths[order], [0.1, 0.2, 0.3], atol=0.02)
    assert np.allclose(found.shares[order], [0.5, 1 / 6, 1 / 3], atol=0.02)


def test_em_is_that_of_scikit_learn():
    weight = drawn()
    values, counts = soft._binned(weight)
    ours = soft.expectation_maximization(values, counts, 3)
    theirs = GaussianMixture(3, max_iter=200, tol=1e-6, means_init=[[-1.0], [0.0], [2.0]]).fit(weight.numpy()[:, None].astype(np.float64))
    assert ours.likelihood[-1] == pytest.approx(theirs.score(weight.numpy()[:, None]), abs=0.01)


def test_every_weight_goes_to_its_most_likely_component():
    for weight in [drawn(), trained("lenet-300-100", "fc2")]:
        ready = soft.prepare(weight, about(weight))
        flat = weight.flatten().double().numpy()
        for width, spike, merge in [(2, 0.0, 0.0), (4, 0.0, 1.0), (5, 0.5, 0.1)]:
            form = soft.answer(ready, width, spike, merge)
            mixture = soft.merged(ready.mixtures[width, spike], merge)
            logs = soft._log_density(flat, *mixture[:3])
            plain = mixture.means.astype(np.float32)[logs.argmax(1)]
            clear = np.sort(logs, 1)[:, -1] - np.sort(logs, 1)[:, -2] > 1e-4
            assert np.array_equal(form.decode().flatten().numpy()[clear], plain[clear]) and clear.mean() > 0.99


def test_close_components_are_joined_by_their_shares():
    mixture = soft.Mixture(np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 1.1]), np.array([0.2, 0.2, 0.4]), (), True)
    joined = soft.merged(mixture, 0.7)
    assert np.allclose(joined.shares, [0.5, 0.5]) and np.allclose(joined.means, [0, 1.04])
    assert np.allclose(joined.widths**2, [0.04, (0.3 * 0.04 + 0.2 * 0.16) / 0.5])
    alone = soft.merged(mixture, 1e9)
    assert len(alone.means) == 1 and alone.means[0] == 0, "the spike stays at zero"
    p, q = torch.distributions.Normal(1.0, 0.2), torch.distributions.Normal(1.1, 0.4)
    both = float(torch.distributions.kl_divergence(p, q) + torch.distributions.kl_divergence(q, p)) / 2
    assert soft._divergence(mixture.means, mixture.widths)[1, 2] == pytest.approx(both, rel=1e-5)


def test_a_spike_stores_its_weights_as_zero():
    weight = drawn()
    form = soft.answer(soft.prepare(weight, about(weight)), 3, 0.5, 0.0)
    assert isinstance(form, Shared) and 0 in form.codebook.tolist() and float((form.decode() == 0).float().mean()) > 0.1


# hashing

@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("share", [1 / 64, 1 / 4, 1.0])
def test_buckets_keep_their_means(signed, share):
    for weight in several():
        form = hashing.answer(hashing.prepare(weight, about(weight)), share, signed, 1)
        count, values = weight.numel(), form.values.values
        assert len(values) == max(1, round(share * count)) and form.nbytes == 4 * len(values)
        bucket, sign = hashing.places(count, len(values), 1)
        turned = weight.flatten() * (sign if signed else 1)
        back = form.decode().flatten() * (sign if signed else 1)
        for b in bucket.unique()[:50].tolist():
            assert float(back[bucket == b].mean()) == pytest.approx(float(turned[bucket == b].double().mean()), abs=1e-6)
            assert back[bucket == b].unique().numel() == 1


def test_the_hash_looks_like_chance_and_depends_on_the_seed():
    bucket, sign = hashing.places(64_000, 64, 0)
    counts = torch.bincount(bucket, minlength=64).double()
    assert float((counts - 1000).square().sum() / 1000) < 120, "chi squared of 63 degrees of freedom"
    assert abs(float(sign.mean())) < 0.02 and set(sign.tolist()) == {-1.0, 1.0}
    assert abs(float((sign * (bucket % 2 * 2 - 1)).mean())) < 0.02, "bucket and sign go together"
    again, other = hashing.places(64_000, 64, 0)[0], hashing.places(64_000, 64, 1)[0]
    assert torch.equal(bucket, again) and 0.005 < float((bucket == other).float().mean()) < 0.03


def test_the_first_hashes_are_those_of_split_mix_64():
    """The generator's published outputs for the seed 0, whose counter is the golden ratio times 1, 2, 3."""
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    bucket, sign = hashing.places(3, 1 << 30, 0)
    assert bucket.tolist() == [x >> 34 for x in outputs] and sign.tolist() == [1.0 if x & 1 else -1.0 for x in outputs]


def test_after_training_hashing_is_the_worst_there_is():
    """At the bytes of k-means with one bit a weight, which keeps far more: the honest counter-example."""
    weight = trained("lenet-300-100", "fc1")
    hashed = hashing.answer(hashing.prepare(weight, about(weight)), 1 / 32, True, 0)
    one_bit = kmeans.answer(kmeans.prepare(weight, about(weight)), 1)
    assert isinstance(one_bit.codes, Codes) and abs(hashed.nbytes - one_bit.nbytes) < 16
    energy = float(weight.double().square().sum())
    assert squared(hashed, weight) > 0.95 * energy > 1.5 * squared(one_bit, weight)
