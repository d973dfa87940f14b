"""The same answers from programs that we did not write, and from books."""

from pathlib import Path

import numpy as np
import pytest
import tensorly
import torch
from safetensors.torch import load_file
from sklearn.cluster import KMeans
from tensorly.decomposition import partial_tucker
from torch.nn.utils import prune

from compression.coding import huffman
from compression.encoded import Codes
from compression.lowrank import svd, tucker2
from compression.method import Layer
from compression.pruning import magnitude
from compression.quantization import uniform
from compression.sharing import kmeans

ASSETS = Path(__file__).parents[1] / "assets"


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def about(weight, groups=1):
    return Layer("w", weight, groups=groups)


@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.33, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("shape", [(7, 11), (30, 50), (8, 3, 3, 3), (41,)])
def test_magnitude_pruning_is_that_of_torch(shape, sparsity):
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(randn(*shape))
    prune.l1_unstructured(module, "weight", amount=sparsity)
    ours = magnitude.answer(magnitude.prepare(module.weight_orig.detach(), about(None)), sparsity).decode()
    assert torch.equal((ours != 0).float(), module.weight_mask)
    assert torch.equal(ours, module.weight.detach())


WIDTHS = [2, 3, 4, 6, 8, 16]


def torch_scale(low, high, width, symmetric):
    """(scale, zero, least code, largest code) as torch's fake quantization takes them."""
    if symmetric:
        scale = torch.maximum(-low, high) / (2 ** (width - 1) - 1)
        return scale, torch.zeros_like(scale, dtype=torch.int32), -(2 ** (width - 1)), 2 ** (width - 1) - 1
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low) / (2**width - 1)
    return scale, (-low / scale).round().to(torch.int32), 0, 2**width - 1


@pytest.mark.parametrize("offset", [0.0, 1.0, -9.0])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_one_scale_is_torchs_fake_quantization_exactly(width, symmetric, offset):
    weight = randn(40, 70) * 0.05 + offset
    scale, zero, least, largest = torch_scale(weight.min(), weight.max(), width, symmetric)
    theirs = torch.fake_quantize_per_tensor_affine(weight, float(scale), int(zero), least, largest)
    ours = uniform.answer(uniform.prepare(weight, about(weight)), width, symmetric, "tensor")
    assert torch.equal(ours.decode(), theirs)


@pytest.mark.parametrize("shape", [(40, 70), (8, 3, 3, 3)])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_scale_per_channel_is_torchs_fake_quantization_exactly(width, symmetric, shape):
    weight = randn(*shape) * torch.logspace(-3, 1, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    scale, zero, least, largest = torch_scale(weight.flatten(1).amin(1), weight.flatten(1).amax(1), width, symmetric)
    theirs = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, least, largest)
    ours = uniform.answer(uniform.prepare(weight, about(weight)), width, symmetric, "channel")
    assert torch.equal(ours.decode(), theirs)


@pytest.mark.parametrize("symmetric", [True, False])
def test_groups_are_torchs_fake_quantization_with_scales_in_half_precision(symmetric):
    weight = randn(20, 256) * 0.1
    form = uniform.answer(uniform.prepare(weight, about(weight)), 4, symmetric, "group")
    assert form.scale.dtype == torch.float16 and form.group == 64 and form.scale.shape == (80,)
    groups = weight.reshape(-1, 64)
    scale, _, least, largest = torch_scale(groups.amin(1), groups.amax(1), 4, symmetric)
    scale = scale.half().float()
    zero = torch.zeros(80) if symmetric else (-groups.amin(1).clamp(max=0) / scale).round()
    theirs = torch.fake_quantize_per_channel_affine(groups, scale, zero.int(), 0, least, largest)
    assert torch.equal(form.decode(), theirs.reshape(20, 256))


def test_scales_too_small_for_half_precision_stay_whole():
    weight = randn(20, 256) * 1e-6
    form = uniform.answer(uniform.prepare(weight, about(weight)), 8, True, "group")
    assert form.scale.dtype == torch.float32
    assert float((form.decode() - weight).norm() / weight.norm()) < 0.01


GROUPS = [((10, 784), 56), ((10, 800), 50), ((4, 150), 50), ((5, 101), 101), ((9, 25), 25), ((300,), 64)]


@pytest.mark.parametrize("shape, group", GROUPS)
def test_groups_never_reach_over_a_row(shape, group):
    assert uniform.sizes(shape)["group"] == group


@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (20, 5, 3, 3)])
def test_the_error_of_svd_is_the_tail_of_the_spectrum(shape, gram, monkeypatch):
    """Eckart and Young 1936: the squared error is the sum of the squares of the singular values left out."""
    if gram:
        monkeypatch.setattr(svd, "_LARGE", 1)
    weight = randn(*shape)
    theirs = np.linalg.svd(weight.numpy().reshape(shape[0], -1).astype(np.float64), compute_uv=False)
    ready = svd.prepare(weight, about(weight))
    assert np.allclose(ready.singular, theirs, rtol=1e-6)
    for rank in (0.02, 0.25, 0.5, 0.9, 1.0):
        form = svd.answer(ready, rank)
        r = max(1, round(rank * len(theirs)))
        assert form.left.values.shape == (shape[0], r)
        error = (form.decode() - weight).double().square().sum()
        assert float(error) == pytest.approx((theirs[r:] ** 2).sum(), rel=1e-5, abs=1e-8)


def test_the_quick_svd_survives_a_matrix_of_low_rank(monkeypatch):
    monkeypatch.setattr(svd, "_LARGE", 1)
    weight = randn(40, 3) @ randn(3, 60, seed=1)
    back = svd.answer(svd.prepare(weight, about(weight)), 0.5).decode()
    assert float((back - weight).norm() / weight.norm()) < 1e-5


def smooth_convolution():
    """Channels that are mixes of a few, and noise: the shape of spectrum that trained convolutions have."""
    core, noise = randn(24, 16, 3, 3), randn(24, 16, 3, 3, seed=3)
    fade = torch.exp(-torch.arange(24) / 5)[:, None, None, None] * torch.exp(-torch.arange(16) / 4)[None, :, None, None]
    q_out, q_in = (torch.linalg.qr(randn(n, n, seed=n)).Q for n in (24, 16))
    return torch.einsum("ao,bi,oixy->abxy", q_out, q_in, core * fade) + 0.02 * noise


@pytest.mark.parametrize("rank", [0.05, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("make", [smooth_convolution, lambda: randn(24, 16, 3, 3)])
def test_tucker_2_is_nearly_the_iterated_one_of_tensorly(make, rank):
    weight = make()
    ready = tucker2.prepare(weight, about(weight))
    r_out, r_in = tucker2.ranks((24, 16), rank)
    truth = float((tucker2.answer(ready, rank).decode() - weight).double().norm())
    predicted = float((weight.double().square().sum() - ready.energy[r_out - 1, r_in - 1]).clamp(min=0).sqrt())
    assert truth == pytest.approx(predicted, rel=1e-4, abs=1e-4)
    wide = weight.double().numpy()
    (core, factors), _ = partial_tucker(wide, rank=[r_out, r_in], modes=[0, 1], n_iter_max=200, tol=1e-9)
    theirs = float(np.linalg.norm(tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1]) - wide))
    assert theirs - 1e-4 <= truth <= 1.1 * theirs + 1e-4


def test_the_error_is_known_for_every_pair_of_ranks():
    weight = smooth_convolution()
    ready = tucker2.prepare(weight, about(weight))
    for a, b in ((1, 1), (3, 9), (24, 2), (10, 16), (24, 16)):
        back = torch.einsum("ao,bi,oixy->abxy", ready.out[:, :a], ready.into[:, :b], ready.core[:a, :b])
        error = float((back - weight.double()).square().sum())
        assert error == pytest.approx(float(weight.double().square().sum() - ready.energy[a - 1, b - 1]), abs=1e-9)


@pytest.mark.parametrize("method", [svd, tucker2])
def test_grouped_convolutions_are_refused(method):
    assert "groups" in method.refuses(randn(8, 2, 3, 3), about(randn(8, 2, 3, 3), groups=4))
    assert method.refuses(randn(8, 2, 3, 3), about(randn(8, 2, 3, 3))) is None
    assert method.refuses(randn(40), about(randn(40))) is not None


def heavy_tailed():
    return torch.from_numpy(np.random.default_rng(1).standard_t(3, (100, 200)).astype(np.float32))


def trained():
    return load_file(ASSETS / "weights" / "lenet-300-100.safetensors")["fc1.weight"]


@pytest.mark.parametrize("width", [2, 4, 6, 8])
@pytest.mark.parametrize("make", [heavy_tailed, trained])
def test_shared_values_are_no_worse_than_those_of_scikit_learn(make, width):
    weight = make()
    column = weight.numpy().reshape(-1, 1)
    fit = KMeans(2**width, n_init=1, random_state=0, algorithm="lloyd", max_iter=50).fit(column)
    theirs = np.square(column[:, 0].astype(np.float64) - fit.cluster_centers_[fit.labels_, 0]).sum()
    form = kmeans.answer(kmeans.prepare(weight, about(weight)), width)
    assert float((form.decode() - weight).double().square().sum()) <= 1.0001 * theirs


def test_few_values_are_split_as_well_as_can_be():
    """All 2**width-way splits of 12 sorted values, tried one by one."""
    from itertools import combinations

    values = np.sort(np.random.default_rng(4).standard_t(2, 12)).astype(np.float32)
    for width in (1, 2, 3):
        splits = (np.split(values.astype(np.float64), cuts) for cuts in combinations(range(1, 12), 2**width - 1))
        best = min(sum(((run - run.mean()) ** 2).sum() for run in split) for split in splits)
        weight = torch.from_numpy(values).reshape(3, 4)
        assert kmeans.prepare(weight, about(weight)).errors[width] == pytest.approx(best, rel=1e-5, abs=1e-9)


def test_huffman_lengths_are_those_of_the_textbook():
    """Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, 16.3: 224 thousand bits for 300."""
    counts = np.array([45, 13, 12, 16, 9, 5])
    lengths = huffman.word_lengths(counts).astype(np.int64)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]
    assert (counts * lengths).sum() == 224
    order, word = huffman.words(lengths)
    shown = {"abcdef"[s]: format(int(w) >> (32 - lengths[s]), f"0{lengths[s]}b") for s, w in zip(order, word)}
    assert shown == {"a": "0", "b": "100", "c": "101", "d": "110", "e": "1110", "f": "1111"}
    assert huffman.write(np.array([0, 1, 5]), lengths) == bytes([0b01001111])


def test_huffman_reaches_entropy_where_shares_are_powers_of_two():
    counts = torch.tensor([8, 4, 2, 1, 1])
    assert huffman.entropy(counts) == 1.875
    assert huffman.word_lengths(counts.numpy()).tolist() == [1, 2, 3, 4, 4]


def test_huffman_words_longer_than_the_table_and_longer_than_allowed():
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    assert huffman.word_lengths(np.array(fibonacci[:33])).max() == 32
    cut = huffman.word_lengths(np.array(fibonacci)).astype(np.int64)
    assert cut.max() <= 32 and (2.0**-cut).sum() == 1
    lengths = huffman.word_lengths(np.array(fibonacci[:30])).astype(np.int64)
    values = np.random.default_rng(0).integers(0, 30, 40_000)  # over several chunks of the stream
    stream = huffman.write(values, lengths)
    assert len(stream) == -(-lengths[values].sum() // 8) > huffman._CHUNK
    assert np.array_equal(huffman.read(stream, lengths, len(values)), values)
    with pytest.raises(ValueError, match="ends after"):
        huffman.read(stream[:-9], lengths, len(values))


def test_huffman_leaves_codes_alone_that_would_not_get_shorter():
    codes = torch.arange(256, dtype=torch.uint8).repeat(4)
    form = huffman.answer(huffman.prepare(codes, about(codes)))
    assert isinstance(form, Codes) and form.width == 8


def test_a_huffman_table_that_is_no_code_is_refused():
    with pytest.raises(ValueError, match="no code"):
        huffman.read(b"\0", np.array([1, 1, 1]), 2)
