"""Number formats against definitions, against ml_dtypes and torch, and by hand: small floats, shared scales, powers of two, signs."""


import ml_dtypes
import numpy as np
import pytest
import torch
from weights import prepared, real, squared

from compression.quantization import (
    apot,
    binary,
    fixed_point,
    formats,
    microscaling,
    minifloat,
    nf4,
    nvfp4,
    power_of_two,
    ternary,
)

THEIRS = {"e2m1": ml_dtypes.float4_e2m1fn, "e2m3": ml_dtypes.float6_e2m3fn, "e3m2": ml_dtypes.float6_e3m2fn,
          "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e5m10": np.float16, "e8m7": ml_dtypes.bfloat16}


@pytest.mark.parametrize("name", THEIRS)
def test_every_code_of_a_float_is_the_number_that_ml_dtypes_says(name):
    ours = formats.table(name).numpy()
    codes = np.arange(len(ours), dtype=np.uint16 if len(ours) > 256 else np.uint8)
    theirs = codes.view(THEIRS[name]).astype(np.float32)
    finite = np.isfinite(theirs)
    assert np.array_equal(ours[finite], theirs[finite]) and np.isnan(ours[~finite]).all()
    assert ours[finite].max() == formats.LARGEST[name]


def trying(name):
    """Every level, half-way between neighbours, a hair to either side, what is too large or too small, and chance."""
    levels = formats.table(name)
    levels = levels[torch.isfinite(levels)].double().unique()[:: max(1, len(levels) // 2000)]
    middle = (levels[1:] + levels[:-1]) / 2
    values = torch.cat([levels, middle, torch.nextafter(middle.float(), torch.tensor(torch.inf)).double(),
                        torch.nextafter(middle.float(), torch.tensor(-torch.inf)).double()]).float()
    rng = np.random.default_rng(0)
    wide = torch.from_numpy((rng.standard_normal(5000) * 10.0 ** rng.uniform(-12, 8, 5000)).astype(np.float32))
    return torch.cat([values[torch.isfinite(values)], wide, torch.tensor([0.0, -0.0, 1e30, -1e30, 1e-40])])


@pytest.mark.parametrize("name", THEIRS)
def test_rounding_is_that_of_ml_dtypes_bit_by_bit(name):
    """They say "not a number" or infinity where we keep the largest, so both are given values within reach."""
    values = trying(name)
    reach = values.clamp(-formats.LARGEST[name], formats.LARGEST[name])
    theirs = reach.numpy().astype(THEIRS[name]).view(np.uint16 if len(formats.table(name)) > 256 else np.uint8)
    assert np.array_equal(formats.to_float(values, name).numpy(), theirs)


@pytest.mark.parametrize("name, dtype", [("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2),
                                         ("e5m10", torch.float16), ("e8m7", torch.bfloat16)])
def test_rounding_is_that_of_torch(name, dtype):
    values = trying(name).clamp(-formats.LARGEST[name], formats.LARGEST[name])
    assert torch.equal(formats.table(name)[formats.to_float(values, name)], values.to(dtype).float())


@pytest.mark.parametrize("bits, wide, dtype", [(8, False, torch.float8_e4m3fn), (8, True, torch.float8_e5m2),
                                               (16, False, torch.float16), (16, True, torch.bfloat16)])
def test_a_weight_without_scale_is_just_cast(bits, wide, dtype):
    weight = real("lenet-5", "conv2")
    form = minifloat.answer(prepared(minifloat, weight), bits, wide, "none")
    assert torch.equal(form.decode(), weight.to(dtype).float()) and form.nbytes == weight.numel() * bits // 8


def test_a_scale_puts_the_largest_weight_of_each_channel_on_the_largest_number():
    weight = real("resnet-20", "fc")
    form = minifloat.answer(prepared(minifloat, weight), 8, False, "channel")
    scale = weight.abs().amax(1, keepdim=True) / 448
    assert torch.equal(form.decode(), (weight / scale).to(torch.float8_e4m3fn).float() * scale)


def test_normal_float_levels_are_those_published_and_where_they_come_from():
    """QLoRA, appendix E; made as its authors do: quantiles of the bell curve on either side of an exact zero."""
    offset = 0.9677083
    bell = torch.distributions.Normal(0.0, 1.0)
    positive = bell.icdf(torch.linspace(offset, 0.5, 9)[:-1])
    negative = -bell.icdf(torch.linspace(offset, 0.5, 8)[:-1])
    made = torch.cat([positive, torch.zeros(1), negative]).sort().values
    assert torch.allclose(made / made.max(), formats.table("nf4"), atol=1e-6)
    published = [-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803, 0.1609302,
                 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]
    assert np.allclose(formats.NF4, published, atol=1e-7)


def test_normal_float_by_hand():
    weight = torch.tensor([[2.0, -2.0, 0.15, 1.2]])
    form = nf4.answer(prepared(nf4, weight), 4, 64, False)
    assert form.codes.values.tolist() == [15, 0, 8, 13] and form.scale.tolist() == [2.0]
    assert torch.allclose(form.decode(), 2 * torch.tensor([[1.0, -1.0, formats.NF4[8], formats.NF4[13]]]))


def test_double_quantization_costs_a_byte_for_64_weights_and_little_error():
    weight = real("lenet-300-100", "fc1")
    plain, double = (nf4.answer(prepared(nf4, weight), 4, 64, d) for d in (False, True))
    count = weight.numel() // 64
    assert plain.nbytes == weight.numel() // 2 + 4 * count
    assert double.nbytes == weight.numel() // 2 + count + 4 * -(-count // 256) + 4
    assert 0.5 + 0.127 / 8 * 0.95 < double.nbytes / weight.numel() < 0.5 + 0.127 / 8 * 1.05  # QLoRA: 0.127 bits a weight
    assert squared(double, weight) < 1.05 * squared(plain, weight)


def test_microscaling_by_hand():
    """The largest of the block is 5 = 1.25 * 2**2, E2M1 reaches to 2**2: the shared power is 2**0; then 10 of the next is 2**1."""
    weight = torch.zeros(1, 64)
    weight[0, :6] = torch.tensor([5.0, -2.4, 0.3, 0.25, 0.2, 0.75])
    weight[0, 32:35] = torch.tensor([15.9, -10.0, 1.0])
    form = microscaling.answer(prepared(microscaling, weight), 4, False)
    assert form.scale.codes.values.tolist() == [127, 128]
    assert form.decode()[0, :6].tolist() == [4.0, -2.0, 0.5, 0.0, 0.0, 1.0]  # ties to the even code
    assert form.decode()[0, 32:35].tolist() == [12.0, -8.0, 1.0]  # 15.9 / 2 is beyond 6 and stays there; 5 lies between 4 and 6
    assert form.nbytes == 32 + 2


@pytest.mark.parametrize("layer", ["stem.conv", "stage1.0.conv1", "fc"])  # rows of 9, 144 and 64: short, ragged and whole blocks
@pytest.mark.parametrize("bits, wide", [(4, False), (6, False), (6, True), (8, False), (8, True)])
def test_microscaling_is_the_specification_with_the_casts_of_ml_dtypes(bits, wide, layer):
    weight = real("resnet-20", layer)
    name = microscaling.FORMATS[bits, wide]
    rows = weight.flatten(1).numpy()
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 32))).reshape(-1, 32)
    power = np.floor(np.log2(np.abs(rows).max(1))) - np.floor(np.log2(formats.LARGEST[name]))
    scale = 2.0 ** power[:, None].astype(np.float32)
    cast = (rows / scale).clip(-formats.LARGEST[name], formats.LARGEST[name]).astype(np.float32).astype(THEIRS[name])
    theirs = (cast.astype(np.float32) * scale).reshape(len(weight), -1)[:, : weight[0].numel()]
    form = microscaling.answer(prepared(microscaling, weight), bits, wide)
    assert np.array_equal(form.decode().flatten(1).numpy(), theirs)
    assert form.nbytes == -(-weight.numel() * bits // 8) + len(rows)


def test_nvfp4_is_its_definition_with_the_casts_of_ml_dtypes():
    weight = real("lenet-300-100", "fc2")  # rows of 300: 18 blocks and 12 over
    rows = np.pad(weight.numpy(), ((0, 0), (0, 4))).reshape(-1, 16)
    largest = np.abs(rows).max(1)
    whole = np.float32(largest.max() / np.float32(448 * 6))
    scale = (largest / np.float32(6) / whole).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    step = (scale * whole)[:, None]
    cast = np.divide(rows, step, out=np.zeros_like(rows), where=step > 0).clip(-6, 6).astype(ml_dtypes.float4_e2m1fn)
    theirs = (cast.astype(np.float32) * step).reshape(100, -1)[:, :300]
    form = nvfp4.answer(prepared(nvfp4, weight), 4)
    assert np.array_equal(form.decode().numpy(), theirs)
    assert form.nbytes == 15_000 + 1900 + 4


def test_powers_of_two_by_hand():
    """INQ: the largest is 0.9, so the powers go down from 2**floor(log2(4 * 0.9 / 3)) = 1; with 3 bits they are 1, 1/2, 1/4."""
    weight = torch.tensor([0.9, 0.76, 0.74, -0.37, 0.3, 0.126, 0.124, -0.01])
    form = power_of_two.answer(prepared(power_of_two, weight), 3, "tensor")
    assert form.decode().tolist() == [1.0, 1.0, 0.5, -0.25, 0.25, 0.25, 0.0, 0.0]
    assert form.nbytes == 3 + 1


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_powers_of_two_are_the_nearest_there_are(bits):
    weight = real("lenet-5", "conv2")
    form = power_of_two.answer(prepared(power_of_two, weight), bits, "channel")
    top = 2 ** torch.floor(torch.log2(weight.flatten(1).abs().amax(1) * 4 / 3))
    levels = formats.table(f"pow2-{bits}") * top[:, None]  # (channels, levels)
    distance = (weight.flatten(1)[:, :, None] - levels[:, None]).abs().amin(2)
    assert torch.allclose((form.decode() - weight).flatten(1).abs(), distance, atol=1e-7)


def test_additive_levels_are_those_of_the_paper():
    """Li et al. 2020: with 4 bits and a sign in 5, {0, 1, 1/4, 1/16} + {0, 1/2, 1/8, 1/32}, over their largest sum."""
    sums = sorted(a + b for a in (0, 1, 1 / 4, 1 / 16) for b in (0, 1 / 2, 1 / 8, 1 / 32))
    assert np.allclose(formats.table("apot-5")[:16].numpy(), np.array(sums) / 1.5)
    assert formats.table("apot-3")[:4].tolist() == [0.0, 0.25, 0.5, 1.0]
    assert np.allclose(formats.table("apot-4")[:8].numpy(), np.array([0, 1, 2, 3, 4, 6, 8, 10]) / 10)
    for bits in (3, 4, 5, 7):
        levels = formats.table(f"apot-{bits}")[: 2 ** (bits - 1)]
        assert len(levels.unique()) == 2 ** (bits - 1) and (levels.diff() > 0).all() and levels[-1] == 1


def test_sums_of_powers_reach_further_than_single_powers():
    """The paper's point: more bits make single powers no finer near the largest weight, but sums of them are."""
    weight = real("lenet-300-100", "fc1")
    single = [squared(power_of_two.answer(prepared(power_of_two, weight), b, "tensor"), weight) for b in (4, 5)]
    sums = [squared(apot.answer(prepared(apot, weight), b, "tensor", 1.0), weight) for b in (5, 7)]
    assert single[1] > 0.9 * single[0] and sums[0] < 0.5 * single[1] and sums[1] < 0.25 * sums[0]


def test_fixed_point_by_hand():
    """Largest 1.3: ceil(log2(1.3) + 1) = 2 bits before the point, so of 4 bits 2 stand after it, and steps are quarters."""
    weight = torch.tensor([1.3, -0.6, 0.126, 0.12, -1.99])
    form = fixed_point.answer(prepared(fixed_point, weight), 4, "minmax")
    assert form.decode().tolist() == [1.25, -0.5, 0.25, 0.0, -2.0]
    assert form.nbytes == 3 + 1


@pytest.mark.parametrize("bits", fixed_point.BITS)
def test_the_best_point_is_the_best_of_all_tried(bits):
    weight = real("lenet-300-100", "fc1")
    ready = prepared(fixed_point, weight)
    best = squared(fixed_point.answer(ready, bits, "mse"), weight)
    tried = [weight.mul(2.0**q).round().clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).mul(2.0**-q) for q in range(-3, 22)]
    assert best == pytest.approx(min(float((t - weight).double().square().sum()) for t in tried), rel=1e-5)
    assert best <= squared(fixed_point.answer(ready, bits, "minmax"), weight)


def test_binary_is_the_best_sign_and_size():
    """XNOR-Net, equation 6: of all sizes with all signs, the mean magnitude with the weight's own sign errs least."""
    weight = real("lenet-5", "conv1")
    form = binary.answer(prepared(binary, weight), 1, "channel")
    rows = weight.flatten(1)
    size = rows.abs().sum(1) / rows.shape[1]
    assert torch.allclose(form.decode().flatten(1), torch.where(rows >= 0, 1.0, -1.0) * size[:, None])
    assert form.nbytes == -(-weight.numel() // 8) + 4 * len(weight)
    signs = form.decode().flatten(1).sign()
    for other in (0.9, 0.99, 1.01, 1.1):
        assert ((rows - signs * size[:, None] * other) ** 2).sum() > ((rows - form.decode().flatten(1)) ** 2).sum()


def test_ternary_by_hand_and_in_two_bits():
    """Mean magnitude 1, threshold 0.7: 0.6 and -0.5 are zero, the others become their mean of 1.45."""
    weight = torch.tensor([2.0, -1.0, 0.6, -0.5, 0.9, -1.9, 0.1, 1.0])
    form = ternary.answer(prepared(ternary, weight), 2, 0.7, "tensor")
    size = (2.0 + 1.0 + 0.9 + 1.9 + 1.0) / 5
    assert torch.allclose(form.decode(), torch.tensor([size, -size, 0, 0, size, -size, 0, size]))
    assert form.nbytes == 2 + 4


def test_the_ternary_size_is_the_best_for_its_places():
    weight = real("lenet-300-100", "fc2")
    form = ternary.answer(prepared(ternary, weight), 2, 0.7, "tensor")
    kept = weight.abs() > 0.7 * weight.abs().mean()
    assert torch.equal(form.decode() != 0, kept)
    best = float((weight.abs() * kept).sum() / kept.sum())
    assert float(form.scale) == pytest.approx(best, rel=1e-6)
    assert squared(form, weight) < squared(binary.answer(prepared(binary, weight), 1, "tensor"), weight)
