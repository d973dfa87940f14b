"""Answers from sketches are those of looking at every weight, exactly or within the error they state."""

import numpy as np
import pytest
import torch
from sketched import NAMES, about, energy, weight

from compression import instant
from compression.coding import huffman
from compression.places import Sparse
from compression.pruning import magnitude
from compression.quantization import uniform
from compression.sketches import codebooks
from compression.sketches.moments import moments
from compression.sketches.ordered import ordered
from compression.sketches.pruned import pruned
from compression.sketches.quantized import grid

BITS = (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize("name", NAMES)
def test_running_sums_are_those_of_a_plain_loop(name):
    x = weight(name, 333).numpy()
    o = ordered(x)
    bounds = np.concatenate([x[:40], [-np.inf, -0.0, 0.0, 0.011, np.inf]]).astype(np.float32)
    got = o.below(bounds).minus(o.below([-np.inf] * len(bounds)))
    wide = x.astype(np.float64)
    for i, bound in enumerate(bounds):
        under = wide[x < bound]
        assert got.count[i] == len(under)
        assert got.first[i] == pytest.approx(under.sum(), rel=1e-12, abs=1e-12 * np.abs(wide).sum())
        assert got.second[i] == pytest.approx((under**2).sum(), rel=1e-12, abs=1e-12 * (wide**2).sum())
    assert o.zeros == int((x == 0).sum()) and len(o.values) == len(x)


@pytest.mark.parametrize("name", NAMES)
def test_threshold_sparsity_and_lost_energy_are_the_methods(name):
    x = weight(name, 700)
    ready = magnitude.prepare(x, about(x))
    rungs = [k for k in magnitude.METHOD.knobs[0].ladder if k < 1]
    got = pruned(instant.prepare(x), rungs)
    for i, sparsity in enumerate(rungs):
        kept = magnitude.answer(ready, sparsity).decode()
        cut = x[(kept == 0) & (x != 0)]
        assert got.sparsity[i] == float((kept == 0).double().mean())
        assert got.lost[i] == pytest.approx(energy(x - kept), rel=1e-9, abs=1e-14 * energy(x))
        assert got.share[i] == pytest.approx(energy(x - kept) / max(energy(x), 1e-300), rel=1e-9, abs=1e-14)
        assert not len(cut) or got.threshold[i] == float(cut.abs().max())


def test_every_count_of_smallest_magnitudes_is_found():
    for name in NAMES:
        x = weight(name, 97)
        got = instant.prepare(x).smallest(np.arange(x.numel() + 1))
        magnitudes = x.abs().double().sort().values.numpy()
        assert np.array_equal(got.threshold, np.concatenate([[0], magnitudes]))
        assert np.array_equal(got.end.count - got.start.count, np.arange(x.numel() + 1))
        alone = [instant.prepare(x).smallest([k]) for k in range(x.numel() + 1)]  # one at a time goes another way
        assert [float(run.threshold[0]) for run in alone] == got.threshold.tolist()
        assert [float(run.start.count[0]) for run in alone] == got.start.count.tolist()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_quantization_is_that_of_the_file(name, symmetric):
    x = weight(name)
    source, ready = instant.prepare(x), uniform.prepare(x, about(x))
    for bits in (*BITS, 16):
        form = uniform.answer(ready, bits, symmetric, "tensor")
        got = instant.quantize(source, bits, symmetric)
        true = energy(form.decode().double() - x.double())
        assert got.counts.tolist() == torch.bincount(form.codes.decode().long(), minlength=2**bits).tolist()
        assert got.squared_error == pytest.approx(true, rel=1e-6, abs=1e-12 * energy(x))
        if bits < 16:
            coded = huffman.answer(huffman.prepare(form.codes.decode(), about(x)))
            assert got.code_bytes.huffman == coded.nbytes
            assert got.code_bytes.plain == form.codes.nbytes
            share = torch.bincount(form.codes.decode().long())
            assert got.code_bytes.entropy == pytest.approx(huffman.entropy(share) * x.numel() / 8)


def clipped(x, bits, symmetric, clip):
    """Quantization of everything, looked at weight by weight, over a share of the range."""
    g = grid(float(x.min()) * clip, float(x.max()) * clip, bits, symmetric)
    codes = ((x * (1 / torch.tensor(g.step))).round() + g.zero).clamp(0, g.top)
    return (codes - g.zero) * torch.tensor(g.step), torch.bincount(codes.long(), minlength=g.top + 1)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["heavy", "outlier", "ties", "halves", "negative"])
def test_clipping_too(name, symmetric):
    x = weight(name)
    source = instant.prepare(x)
    for bits in (2, 4, 8):
        for clip in (0.01, 0.3, 0.85, 1.0):
            back, counts = clipped(x, bits, symmetric, clip)
            got = instant.quantize(source, bits, symmetric, clip)
            assert got.counts.tolist() == counts.tolist()
            assert got.squared_error == pytest.approx(energy(back.double() - x.double()), rel=1e-6, abs=1e-12 * energy(x))
    errors = instant.table(source, (2, 4), (0.5, 1.0), symmetric)
    assert errors.shape == (2, 2) and errors[1, 0] == instant.quantize(source, 4, symmetric, 0.5).relative_error


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["heavy", "outlier", "pruned", "positive", "negative", "one"])
def test_pruned_then_quantized_is_that_of_the_chain(name, symmetric):
    x = weight(name)
    source, ready = instant.prepare(x), magnitude.prepare(x, about(x))
    for sparsity in (0.01, 0.5, 0.9, 0.99):
        kept = magnitude.answer(ready, sparsity)
        values = kept.values.decode() if isinstance(kept, Sparse) else x
        if not values.numel():
            assert instant.quantize(source, 4, symmetric, sparsity=sparsity).counts.sum() == 0
            continue
        for bits in (2, 4, 8):
            form = uniform.answer(uniform.prepare(values, about(values)), bits, symmetric, "tensor")
            got = instant.quantize(source, bits, symmetric, sparsity=sparsity)
            true = energy(form.decode().double() - values.double()) + energy(x - kept.decode())
            assert got.counts.tolist() == torch.bincount(form.codes.decode().long(), minlength=2**bits).tolist()
            assert got.squared_error == pytest.approx(true, rel=1e-6, abs=1e-12 * energy(x))


@pytest.mark.parametrize("name", NAMES)
def test_a_sketch_of_three_megabytes_stays_within_its_error(name):
    x = weight(name, 300_000)
    exact = instant.prepare(x)
    sketch = moments(exact)
    assert sketch.nbytes < 4e6
    rungs = np.arange(100) / 100
    a, b = pruned(exact, rungs), pruned(sketch, rungs)
    assert np.abs(a.sparsity - b.sparsity).max() <= 1e-4 and np.abs(a.share - b.share).max() <= 1e-3
    for symmetric in (True, False):
        for bits in BITS:
            for clip, sparsity in ((1.0, 0.0), (0.5, 0.0), (0.01, 0.0), (1.0, 0.6)):
                true = instant.quantize(exact, bits, symmetric, clip, sparsity)
                near = instant.quantize(sketch, bits, symmetric, clip, sparsity)
                slack = 1e-9 * energy(x)  # of a pruned threshold between two edges
                assert near.squared_error == pytest.approx(true.squared_error, rel=1e-3, abs=slack), (symmetric, bits, clip, sparsity)
                if name not in ("halves", "ties"):
                    assert np.abs(near.counts - true.counts).sum() <= 2e-3 * x.numel()


@pytest.mark.parametrize("per", ["channel", "group"])
def test_scales_per_channel_and_group_are_within_their_error(per):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 32, 3, 3, generator=generator) * torch.rand(64, 1, 1, 1, generator=generator).exp()
    x[3], x[4, 0, 0, 0] = 0, 100
    source, ready = instant.by_group(x, per), uniform.prepare(x, about(x))
    for bits in BITS:
        form = uniform.answer(ready, bits, True, per)
        got = instant.quantize_by_group(source, bits)
        assert got.squared_error == pytest.approx(energy(form.decode().double() - x.double()), rel=1e-3)
        true = torch.bincount(form.codes.decode().long(), minlength=2**bits)[: 2**bits].numpy()
        assert np.abs(got.counts - true).sum() <= 1e-2 * x.numel()
    assert float(source.sums.second[-1]) == pytest.approx(energy(x), rel=1e-6)


def test_after_preparing_no_weight_is_looked_at_again(monkeypatch):
    """Counted, not timed: answers about a hundred times as many weights read no more of them than a few per bound."""
    read = []
    upto = type(ordered([1.0])).upto

    def counting(self, places):
        read.append(16 * len(np.atleast_1d(places)))
        return upto(self, places)

    monkeypatch.setattr(type(ordered([1.0])), "upto", counting)
    spent = {}
    for n in (10_000, 1_000_000):
        source = instant.prepare(weight("heavy", n))
        with monkeypatch.context() as patch:
            for module, name in ((np, "sort"), (np, "partition"), (np, "unique"), (np, "cumsum"), (np, "bincount"), (torch, "sort")):
                patch.setattr(module, name, lambda *a, **k: pytest.fail("an answer did the slow part"))
            read.clear()
            pruned(source, np.arange(100) / 100)
            instant.quantize(source, 8)
            instant.quantize(source, 4, False, 0.7, 0.9).code_bytes  # noqa: B018
        spent[n] = sum(read)
    assert spent[10_000] == spent[1_000_000] < 10_000


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")], [float("inf")], [-float("inf"), 0.0]])
def test_what_has_no_order_is_refused(wrong):
    with pytest.raises(ValueError, match="weight has"):
        ordered(wrong)


def test_settings_out_of_range_are_refused():
    source = ordered([1.0, 2.0])
    with pytest.raises(ValueError, match="from 0 to 1"):
        pruned(source, 1.5)
    with pytest.raises(ValueError, match="1 to 16"):
        instant.quantize(source, 0)
    for size in (0, 257):
        with pytest.raises(ValueError, match="at least one"):
            codebooks.codebooks(source, [size])
