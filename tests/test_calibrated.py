"""Quantization that learns from a layer's inputs: GPTQ, AWQ, AdaRound and columns apart, against plain loops and definitions."""

import numpy as np
import pytest
import torch

from compression.quantization import adaround, awq, gptq, mixed_columns, uniform
from compression.zoo import shipped

PLACES = [("resnet-20", "stage1.0.conv1"), ("vit", "blocks.1.mlp.up"), ("depthwise", "block1.depthwise"), ("row-lstm", "lstm.weight_ih_l0")]


def layer(network, name):
    return shipped.load(network).layer(name)


def output_errors(form, about):
    """Mean squared error of each output over the examples themselves: (out,)."""
    x = about.context.inputs(about.name).double()  # (places, groups, d)
    change = (form.decode() - about.weight).double().reshape(x.shape[1], -1, x.shape[2])
    return torch.cat([(x[:, g] @ change[g].T).square().mean(0) for g in range(len(change))])


def plain_gptq(weight, products, scale, zero, top, order, share):
    """The paper's equations 2 and 3 one weight column at a time, the inverse worked out anew by elimination. (out, d) codes."""
    h = products.numpy().astype(np.float64)
    d = len(h)
    h = h + (share * np.diag(h).mean() + 1e-10) * np.eye(d)
    left = list(range(d)) if order == "stored" else list(np.argsort(-np.diag(products.numpy()), kind="stable"))
    w, codes = weight.numpy().astype(np.float64).copy(), np.zeros(weight.shape, dtype=int)
    inverse = np.linalg.inv(h)  # over all inputs; those done have rows and columns of zeros
    while left:
        q = left.pop(0)
        codes[:, q] = np.clip(np.rint(w[:, q] / scale) + zero, 0, top)
        error = (w[:, q] - (codes[:, q] - zero) * scale) / inverse[q, q]
        w[:, left] -= error[:, None] * inverse[q, left]
        inverse = inverse - np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
    return codes


@pytest.mark.parametrize("order", gptq.ORDERS)
@pytest.mark.parametrize("network, name", [("resnet-20", "stage1.0.conv1"), ("vit", "blocks.1.mlp.up")])
def test_gptq_is_the_paper_s_loop(network, name, order):
    """Single precision turns a few roundings that were near the middle; outputs whose plain rounding was better are left out."""
    about = layer(network, name)
    weight, products = about.weight.flatten(1), about.context.products(name)[0]
    form = gptq.answer(gptq.prepare(about.weight, about), 3, "channel", order, 0.01)
    plain = uniform.answer(uniform.prepare(about.weight, about), 3, False, "channel")
    theirs = plain_gptq(weight, products, plain.scale.double().numpy(), plain.zero.double().numpy(), 7, order, 0.01)
    ours = form.codes.decode().reshape(weight.shape).numpy()
    kept = (ours != plain.codes.decode().reshape(weight.shape).numpy()).any(1)
    assert kept.mean() > 0.9 and (ours == theirs)[kept].mean() > 0.97
    back = torch.from_numpy((theirs - plain.zero.numpy()[:, None]) * plain.scale.double().numpy()[:, None]) - weight
    assert float(output_errors(form, about).sum()) <= 1.03 * float(((back @ products.double()) * back).sum())


@pytest.mark.parametrize("network, name", PLACES)
def test_no_output_errs_more_than_with_nearest_rounding_on_the_examples(network, name):
    """GPTQ and AdaRound output by output, AWQ in sum: with the very same levels, and as many bytes (AWQ: its scales on top)."""
    about = layer(network, name)
    plain, rounded, learned, scaled = (m.prepare(about.weight, about) for m in (uniform, gptq, adaround, awq))
    assert rounded.moved.any() and learned.flipped.any()
    for bits in gptq.BITS:
        for per in gptq.WAYS:
            nearest = uniform.answer(plain, bits, False, per)
            usual = output_errors(nearest, about)
            forms = [gptq.answer(rounded, bits, per, order, share) for order in gptq.ORDERS for share in gptq.DAMPING]
            forms += [adaround.answer(learned, bits, True)] if per == "channel" else []
            for form in forms:
                assert form.nbytes == nearest.nbytes
                assert (output_errors(form, about) <= usual * (1 + 1e-3) + 1e-12).all()
                assert output_errors(form, about).sum() < 0.75 * usual.sum()
            best = awq.answer(scaled, bits, per, True)
            assert output_errors(best, about).sum() <= usual.sum() * (1 + 1e-3)
            assert best.nbytes == nearest.nbytes + 2 * scaled.loudness.numel()
            assert torch.equal(awq.answer(scaled, bits, per, False).decode(), nearest.decode())


def test_levels_of_a_large_layer_are_rounded_in_batches_and_come_to_the_same(monkeypatch):
    about = layer("depthwise", "block1.depthwise")
    whole = gptq.prepare(about.weight, about)
    monkeypatch.setattr(gptq, "ROOM", 3 * about.weight.numel())
    parts = gptq.prepare(about.weight, about)
    assert list(parts.roundings) and set(parts.roundings) == set(whole.roundings) and len(parts.roundings) == 7 * 2 * 2 * 2
    assert all(torch.equal(parts.roundings[key].codes.values, form.codes.values) for key, form in whole.roundings.items())


def test_adaround_goes_up_or_down_and_no_further():
    about = layer("vit", "blocks.1.mlp.up")
    ready = adaround.prepare(about.weight, about)
    for bits in adaround.BITS:
        form, nearest = adaround.answer(ready, bits, True), adaround.answer(ready, bits, False)
        floor = ((about.weight / nearest.scale[:, None]).floor() + nearest.zero[:, None])
        up = form.codes.decode().reshape(about.weight.shape) - floor
        inside = (floor >= 0) & (floor < 2**bits - 1)
        assert set(up[inside].unique().tolist()) == {0.0, 1.0}
    assert 0.05 < float(ready.flipped.ne(0).float().mean()) < 0.5 and set(ready.flipped.unique().tolist()) == {-1, 0, 1}
    assert float(ready.error.max()) <= 1


def test_adaround_comes_near_the_best_of_all_roundings():
    """Eight weights have 256 roundings: of 16 outputs most find the best one, and none is worse than nearest."""
    generator = torch.Generator().manual_seed(3)
    rows, mix = torch.randn(16, 8, generator=generator), torch.randn(8, 8, generator=generator)
    products = (mix.T @ mix / 8)[None]
    plain = uniform.answer(uniform.prepare(rows, layer("vit", "head")), 3, False, "channel")
    codes, error = adaround.learned(rows, plain, products)
    scale, zero = plain.scale[:, None], plain.zero.float()[:, None]
    floor = (rows / scale).floor() + zero
    ways = torch.tensor([[i >> j & 1 for j in range(8)] for i in range(256)])
    tried = ((floor + ways[:, None]).clamp(0, 7) - zero) * scale - rows  # (256, 16, 8)
    every = ((tried @ products[0]) * tried).sum(2)
    change = (codes - zero) * scale - rows
    ours = ((change @ products[0]) * change).sum(1)
    assert (ours >= every.amin(0) * (1 - 1e-4)).all()
    assert float((ours / every.amin(0)).median()) < 1.01 and float(error.mean()) < 0.7


def test_awq_divides_what_it_multiplied():
    """With enough bits nothing is left of the scales; with few, the loud inputs' weights err less than the others'."""
    about = layer("vit", "blocks.1.mlp.up")
    by = awq.scales(torch.rand(1, 64, generator=torch.Generator().manual_seed(0)) + 0.1, 0.5)
    assert float(by.float().max() * by.float().min()) == pytest.approx(1, rel=1e-2)
    body = uniform.answer(uniform.prepare(awq._multiplied(about.weight, by), about), 16, False, "channel")
    assert torch.allclose(awq.Rescaled((128, 64), body, by).decode(), about.weight, atol=1e-4)
    coarse = uniform.answer(uniform.prepare(awq._multiplied(about.weight, by), about), 4, False, "channel")
    error = (awq.Rescaled((128, 64), coarse, by).decode() - about.weight).square().mean(0)
    loud = by[0].float() > by.float().median()
    assert error[loud].mean() < 0.7 * error[~loud].mean()


def test_awq_picks_the_best_of_the_powers_it_tried():
    about = layer("char-gpt", "blocks.1.mlp.up")
    ready = awq.prepare(about.weight, about)
    errors = []
    for power in awq.POWERS:
        by = awq.scales(ready.loudness, power)
        body = uniform.answer(uniform.prepare(awq._multiplied(about.weight, by), about), 3, False, "channel")
        errors.append(float(output_errors(awq.Rescaled(tuple(about.weight.shape), body, by), about).sum()))
    assert ready.best[3, "channel"] == awq.POWERS[int(np.argmin(errors))]
    assert np.allclose(list(ready.curve.values()), np.array(errors) / errors[0], rtol=1e-3)


def test_grouped_convolutions_are_scaled_channel_by_channel():
    about = layer("depthwise", "block1.depthwise")
    by = torch.rand(24, 1) + 0.5
    assert torch.equal(awq._multiplied(about.weight, by), about.weight * by.reshape(24, 1, 1, 1))


def test_columns_apart_are_those_of_the_loudest_inputs():
    about = layer("char-gpt", "blocks.1.mlp.up")
    form = mixed_columns.answer(mixed_columns.prepare(about.weight, about), 4, 0.05)
    peaks = about.context.inputs(about.name).abs().amax((0, 1))
    apart = peaks.topk(6).indices.sort().values
    assert torch.equal(form.places.decode(), apart)
    assert torch.equal(form.decode()[:, apart], about.weight[:, apart].half().float())
    rest = torch.ones(128, dtype=torch.bool)
    rest[apart] = False
    others = about.weight[:, rest]
    step = others.abs().amax(1, keepdim=True) / 7
    assert torch.allclose(form.decode()[:, rest], (others / step).round().clamp(-8, 7) * step, atol=1e-6)
    assert form.nbytes == 512 * 122 // 2 + 4 * 512 + 2 * 512 * 6 + form.places.nbytes


def test_columns_apart_serve_where_an_input_shouts():
    """One input a hundred times as loud, its weights a hundredth: LLM.int8()'s case. On the plain layer they gain little."""
    about = layer("vit", "blocks.1.mlp.up")
    weight = about.weight.clone()
    weight[:, 5] *= 30
    rows, places = weight, torch.tensor([5])
    plain = uniform.answer(uniform.prepare(rows, about), 4, True, "channel")
    order = torch.cat([places, torch.arange(64)[torch.arange(64) != 5]])
    split = mixed_columns.answer(mixed_columns.Peaks(rows, torch.ones(64), order), 4, 0.02)
    assert torch.equal(split.places.decode(), places)
    errors = [float((form.decode() - rows).square().sum()) for form in (plain, split)]
    assert errors[1] < 0.05 * errors[0]
