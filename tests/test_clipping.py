"""How far evenly spaced levels reach, one bit, and stochastic rounding: published figures, brute force, and by hand."""


import numpy as np
import pytest
import torch
from weights import heavy, prepared, real, squared

from compression.encoded import from_bytes
from compression.quantization import (
    binary,
    clipping,
    uniform,
)


def test_aciq_reaches_are_those_published():
    """Banner et al. 2018, the constants of their code, for 2 to 8 bits."""
    laplace, gauss = [2.83, 3.89, 5.03, 6.2, 7.41, 8.64, 9.89], [1.71, 2.15, 2.55, 2.93, 3.28, 3.61, 3.92]
    assert np.allclose([clipping.laplace(b) for b in range(2, 9)], laplace, atol=0.011)
    assert np.allclose([clipping.gauss(b) for b in range(2, 9)], gauss, atol=0.011)


@pytest.mark.parametrize("rule, bits", [("laplace", 2), ("laplace", 4), ("laplace", 6), ("gauss", 2), ("gauss", 3), ("gauss", 4), ("gauss", 6)])
def test_aciq_is_where_the_error_is_least_for_its_distribution(rule, bits):
    """Mid-rise levels over [-a, a], as the paper assumes, on the distribution's own quantiles.

    The formula takes weights to be spread evenly between two levels, which a bell curve's are not where levels are few.
    """
    chance = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:-1]
    quantiles = {"laplace": torch.distributions.Laplace, "gauss": torch.distributions.Normal}
    x = quantiles[rule](0.0, 1.0).icdf(chance)

    def error(reach):
        step = 2 * reach / 2**bits
        return float(((x / step - 0.5).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).add(0.5).mul(step) - x).square().mean())

    best = getattr(clipping, rule)(bits)
    slack = {2: 1.08, 3: 1.05}.get(bits, 1.03)
    assert error(best) < slack * min(error(best * f) for f in np.linspace(0.6, 1.5, 40))


def test_aciq_on_a_weight_reaches_as_far_as_its_formula():
    weight = heavy(50, 80)
    form = uniform.answer(prepared(uniform, weight), 4, True, "tensor", "laplace")
    middle = weight.mean()
    assert float(form.scale) * 7 == pytest.approx(float(middle.abs() + 5.03 * (weight - middle).abs().mean()), rel=1e-3)


@pytest.mark.parametrize("per", ["tensor", "channel", "group"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_best_clip_is_never_worse_than_none_and_is_the_best_tried(bits, symmetric, per):
    for weight in (heavy(20, 96), real("lenet-5", "conv2"), heavy(3, 7) + 0.2):
        ready = prepared(uniform, weight)
        whole, best = (uniform.answer(ready, bits, symmetric, per, clip) for clip in ("minmax", "mse"))
        assert squared(best, weight) <= squared(whole, weight) * (1 + 1e-3)  # group scales are rounded to half precision
        if per != "group":
            rows = weight.reshape(-1, ready.size[per])
            error = (best.decode().reshape(rows.shape) - rows).square().sum(1)
            assert (error <= 1.001 * (whole.decode().reshape(rows.shape) - rows).square().sum(1) + 1e-12).all()


def test_the_best_clip_of_one_scale_by_trying_all():
    weight = heavy(60, 90)
    form = uniform.answer(prepared(uniform, weight), 3, True, "tensor", "mse")
    whole = weight.abs().max() / 3
    tried = [float(((weight / (whole * c)).round().clamp(-4, 3) * whole * c - weight).double().square().sum()) for c in clipping.SHARES]
    assert squared(form, weight) == pytest.approx(min(tried), rel=1e-5)
    assert float(form.scale / whole) == pytest.approx(clipping.SHARES[int(np.argmin(tried))])
    assert min(tried) < 0.5 * tried[0]


def test_one_bit_is_two_levels_on_either_side_of_zero():
    """Each the middle of its half of the range; signs with their own size are another method, and err less."""
    weight = torch.tensor([[0.5, -0.1, 0.3, -2.0], [0.0, -0.0, 0.0, 0.0], [1e-30, -1e-30, 4.0, 1.0]])
    form = uniform.answer(prepared(uniform, weight), 1, True, "channel")
    assert form.decode().tolist() == [[1, -1, 1, -1], [0, 0, 0, 0], [2, -2, 2, 2]] and form.codes.nbytes == 2
    assert torch.equal(from_bytes(form.layout(), form.to_bytes()).decode(), form.decode())
    large = heavy(40, 60)
    least = [squared(uniform.answer(prepared(uniform, large), 1, True, "channel", clip), large) for clip in ("minmax", "mse")]
    assert squared(binary.answer(prepared(binary, large), 1, "channel"), large) <= least[1] < least[0]
    best = [min(float(((row >= 0) * 2.0 - 1).mul(s * row.abs().max() / 2).sub(row).square().sum()) for s in clipping.SHARES) for row in large]
    assert least[1] == pytest.approx(sum(best), rel=1e-4)


def test_one_bit_from_zero_to_the_largest():
    weight = torch.tensor([[0.2, 0.7, 1.0], [-0.1, -3.0, -1.0]])
    form = uniform.answer(prepared(uniform, weight), 1, False, "channel")
    assert form.decode().tolist() == [[0, 1, 1], [0, -3, 0]]


def test_one_bit_rounded_stochastically_is_right_on_average():
    weight = torch.full((1, 40_001), 0.2)
    weight[0, 0] = 1.0
    back = uniform.answer(prepared(uniform, weight), 1, True, "tensor", rounding="stochastic").decode()[0, 1:]
    assert back.unique().tolist() == [-0.5, 0.5] and float(back.mean()) == pytest.approx(0.2, abs=4 * (0.21 / 40_000) ** 0.5)


def test_percentiles_leave_that_share_beyond():
    weight = torch.randn(1, 10_000, generator=torch.Generator().manual_seed(0))
    for rule, beyond in (("99.9th", 10), ("99th", 100)):
        form = uniform.answer(prepared(uniform, weight), 8, False, "tensor", rule)
        low, high = (0 - int(form.zero)) * float(form.scale), (255 - int(form.zero)) * float(form.scale)
        ordered = weight.flatten().sort().values
        assert low == pytest.approx(float(ordered[beyond]), abs=0.02) and high == pytest.approx(float(ordered[-beyond - 1]), abs=0.02)


@pytest.mark.parametrize("symmetric", [True, False])
def test_stochastic_rounding_is_right_on_average_and_the_same_each_time(symmetric):
    """40,000 equal weights lie 0.3 steps above a level: 30 % of them are to go up, within four standard deviations."""
    weight = torch.full((1, 40_001), 5.3)
    weight[0, 0], weight[0, 1] = 7.0, -7.0
    forms = [uniform.answer(prepared(uniform, weight), 4, symmetric, "tensor", rounding="stochastic") for _ in range(2)]
    assert torch.equal(forms[0].decode(), forms[1].decode())
    back, step = forms[0].decode()[0, 2:], float(forms[0].scale)
    assert len(back.unique()) == 2 and back.max() - back.min() == pytest.approx(step)
    fraction = 5.3 / step - int(5.3 / step)
    assert float(back.mean()) == pytest.approx(5.3, abs=4 * step * (fraction * (1 - fraction) / 40_000) ** 0.5)
    nearest = uniform.answer(prepared(uniform, weight), 4, symmetric, "tensor")
    assert float((nearest.decode()[0, 2:].mean() - 5.3).abs()) > 0.2 * step
    assert squared(forms[0], weight) > squared(nearest, weight)


def test_stochastic_rounding_leaves_levels_alone():
    weight = torch.arange(-7.0, 8.0)[None]
    assert torch.equal(uniform.answer(prepared(uniform, weight), 4, True, "tensor", rounding="stochastic").decode(), weight)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_narrow_range_leaves_the_lowest_code_unused(symmetric):
    weight = heavy(40, 50) - 0.1
    wide, narrow = (uniform.answer(prepared(uniform, weight), 3, symmetric, "tensor", "99th", narrow=n) for n in (False, True))
    assert int(wide.codes.values.min()) == 0 and int(narrow.codes.values.min()) == 1 and int(narrow.codes.values.max()) <= 7
