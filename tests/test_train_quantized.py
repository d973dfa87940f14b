"""Training with rounded weights: what is computed is what is stored, gradients are those of the papers, and it beats rounding alone."""

from math import log

import pytest
import torch

from compression import export
from compression.apply import compress
from compression.encoded import from_bytes
from compression.method import Layer
from compression.recipe import Recipe, step
from compression.registry import procedures
from compression.score import size_of
from compression.train.loop import accuracy, watched
from compression.train.procedure import Task
from compression.train.quantized import (
    activations,
    binary_connect,
    bitnet,
    dorefa,
    dsq,
    inq,
    loss_aware,
    lsq,
    mixed,
    quant_noise,
    soft_to_hard,
    ttq,
    xnor,
)
from compression.train.quantized.levels import LearnedStep, Rounded, Straight, least_error_step
from compression.train.quantized.plain import Plain
from compression.zoo import shipped

WAYS = [name for name in procedures() if name.startswith("quantized.") and name not in ("quantized.xnor_net", "quantized.apprentice")]
WEIGHT = torch.randn(6, 20, generator=torch.Generator().manual_seed(0)) / 5
LAYER = Layer("fc", WEIGHT)
MAKERS = {
    **{f"levels {b}": lambda b=b: Rounded(WEIGHT, least_error_step(LAYER, b), b) for b in (1, 2, 3, 8)},
    **{f"learnt {b}": lambda b=b: Rounded(WEIGHT, lsq.first_step(WEIGHT, b, 120), b, True) for b in (1, 2, 3, 8)},
    **{f"dorefa {b}": lambda b=b: dorefa.maker(b)(LAYER) for b in (1, 2, 3, 8)},
    "signs": lambda: binary_connect.Signs(WEIGHT, WEIGHT.abs().mean().reshape(1), True),
    "sized signs": lambda: xnor.SizedSigns(LAYER, "channel"),
    "two sizes": lambda: ttq.Learnt(WEIGHT, 0.1),
    "increment": lambda: inq.Increment(LAYER, 3, "channel"),
    "noise": lambda: quant_noise.Noisy(LAYER, 2, 0.5, 8),
    "soft": lambda: dsq.Soft(LAYER, 2),
    "loss-aware": lambda: loss_aware.Weighed(LAYER),
    "absmean": lambda: Plain(WEIGHT, bitnet.ternary),
    "soft to hard": lambda: soft_to_hard.Mixed(LAYER, step("sharing.kmeans", bits=2)),
}
BITS = {"signs": 1, "sized signs": 1, "two sizes": 2, "increment": 3, "noise": 2, "soft": 2, "loss-aware": 1, "absmean": 2,
        "soft to hard": 2}  # the others say them


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_judged_is_what_is_stored_in_the_bits_promised(name):
    maker = MAKERS[name]()
    with torch.no_grad():
        for p in maker.parameters():
            p.mul_(1.07)
    value, form = maker.eval()(), maker.form()
    assert torch.equal(value, form.decode()) and torch.equal(value, from_bytes(form.layout(), form.to_bytes()).decode())
    bits = BITS.get(name) or int(name.split()[-1])
    assert form.codes.nbytes == -(-WEIGHT.numel() * bits // 8) and len(value.unique()) <= 6 * 2**bits
    maker.train()().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in maker.parameters() if p.requires_grad)


def test_a_gradient_passes_straight_where_nothing_is_cut_off():
    full = torch.tensor([[-3.0, -1.6, 0.2, 0.9, 1.1]], requires_grad=True)
    maker = Rounded(full, torch.ones(1), 2)  # levels -2, -1, 0, 1
    value = maker()
    assert value.tolist() == [[-2.0, -2.0, 0.0, 1.0, 1.0]]
    (value * torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])).sum().backward()
    assert maker.full.grad.tolist() == [[0.0, 2.0, 3.0, 4.0, 0.0]]
    plain = Straight.apply(full, torch.zeros(1, 5), None).sum()
    plain.backward()
    assert full.grad.tolist() == [[1.0] * 5]


def test_the_gradient_of_a_learnt_step():
    """Esser et al. 2020, equation 3: -v/s + round(v/s) inside, the outermost level outside, times the gradient scale."""
    full, step = torch.tensor([[-3.0, -0.8, 0.3, 1.2]], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    value = LearnedStep.apply(full, step, 2, 0.1)  # in steps -6, -1.6, 0.6, 2.4; levels -2, -2, 1, 1
    assert value.tolist() == [[-1.0, -1.0, 0.5, 0.5]]
    value.sum().backward()
    assert step.grad.item() == pytest.approx(0.1 * (-2 + (-2 + 1.6) + (1 - 0.6) + 1))
    assert full.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]
    assert lsq.factor(100, 3) == pytest.approx(1 / 300**0.5)
    assert lsq.first_step(torch.full((1, 4), -0.3), 3, 4).item() == pytest.approx(0.6 / 3**0.5)


def test_the_gradient_of_a_clip_level():
    """Choi et al. 2018, equation 3: 1 for what is clipped, 0 below."""
    x, alpha = torch.tensor([-1.0, 0.4, 1.4, 2.0, 5.0], requires_grad=True), torch.tensor(1.5, requires_grad=True)
    value = activations.ClippedLevels.apply(x, alpha, 3)
    assert value.tolist() == [0.0, 0.5, 1.5, 1.5, 1.5]
    (value * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert alpha.grad.item() == 9.0 and x.grad.tolist() == [0.0, 2.0, 3.0, 0.0, 0.0]


def test_a_clip_level_fixed_for_good_rounds_as_it_was_trained():
    part = activations.Clipped(1.37, 3, True)
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 2
    assert torch.equal(part(x), part.fixed()(x))


def test_learnt_sizes_get_the_sum_over_their_weights():
    """Zhu et al. 2017, equations 7 and 8."""
    maker = ttq.Learnt(torch.tensor([[1.0, 0.5, 0.01, -0.3]]), 0.1)
    assert maker.plus.item() == 0.75 and maker.minus.item() == pytest.approx(0.3)
    (maker() * torch.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
    assert maker.plus.grad.item() == 3.0 and maker.minus.grad.item() == -4.0
    assert torch.allclose(maker.full.grad, torch.tensor([[0.75, 1.5, 3.0, 1.2]]))


def test_the_gradient_of_sized_signs_goes_through_size_and_sign():
    maker = xnor.SizedSigns(Layer("fc", torch.tensor([[0.5, -1.5]])), "tensor")
    assert maker().tolist() == [[1.0, -1.0]]
    (maker() * torch.tensor([[1.0, 2.0]])).sum().backward()  # size 1: its slope is sign / 2, and the sum of g * sign is -1
    assert maker.full.grad.tolist() == [[1.0 - 0.5, 0.0 + 0.5]]


def test_curvature_weighs_the_size():
    assert loss_aware.size(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 1.0])).item() == 1.25


def test_a_soft_staircase_meets_levels_and_thresholds_and_hardens():
    steps = torch.tensor([-3.0, -2.0, -1.0, -0.5, 0.0, 1.0, 4.0])
    for softness in (0.5, 0.1, 0.01):
        assert torch.allclose(dsq.staircase(steps, 2, softness), torch.tensor([-2.0, -2.0, -1.0, -0.5, 0.0, 1.0, 1.0]), atol=1e-5)
    x = torch.tensor([0.2, 0.8])
    assert torch.allclose(dsq.staircase(x, 2, 0.001), torch.tensor([0.0, 1.0]), atol=0.02)
    assert torch.allclose(dsq.staircase(torch.tensor([-0.6, 0.6]), 1, 0.001), torch.tensor([-0.5, 0.5]), atol=1e-2)


def test_rounded_gradients_are_right_on_average():
    gradient = torch.tensor([[0.3, -1.0], [0.02, 0.05]])
    assert torch.allclose(dorefa.rounded(gradient, 2, torch.zeros(2, 2)), torch.tensor([[1 / 3, -1.0], [0.05 / 3, 0.05]]))
    dice = torch.Generator().manual_seed(0)
    drawn = torch.stack([dorefa.rounded(gradient, 2, torch.rand(2, 2, generator=dice) - 0.5) for _ in range(4000)])
    assert torch.allclose(drawn.mean(0)[0, 0], gradient[0, 0], atol=0.02)


def test_what_is_held_stays_and_the_largest_are_held_first():
    maker = inq.Increment(LAYER, 3, "channel")
    maker.hold(0.5, "largest")
    assert int(maker.held.sum()) == 60 and WEIGHT.abs()[maker.held].min() >= WEIGHT.abs()[~maker.held].max()
    before = maker().detach().clone()
    assert torch.equal(before[~maker.held], WEIGHT[~maker.held])
    with torch.no_grad():
        maker.full.add_(0.1)
    assert torch.equal(maker().detach()[maker.held], before[maker.held]) and not torch.equal(maker(), before)
    maker.hold(1.0, "largest")
    assert torch.equal(maker(), maker.form().decode())


def test_noise_leaves_the_others_as_they_are():
    torch.manual_seed(0)
    maker = quant_noise.Noisy(LAYER, 2, 0.5, 8).train()
    value, hard = maker(), maker.inner()
    assert bool(((value == hard) | (value == WEIGHT)).all()) and 0.2 < float((value == hard).float().mean()) < 0.8


@pytest.mark.parametrize("name", WAYS)
def test_it_beats_rounding_alone_and_flows_on_as_it_was_judged(name):
    net, way = shipped.load("digits-mlp"), procedures()[name]
    bits = {"bits": 2} if any(k.name == "bits" for k in way.knobs) else {}
    *_, last = (p for p in way.run(Task(net, Recipe()), **way.settings(epochs=10, **bits)) if p)
    control, run = last.runs[0], last.runs[-1]
    assert control.control and len(control.points) == 1 and run.best.accuracy > control.best.accuracy
    assert 0 <= run.points[-1].traced["codes changed since the last look (%)"] < 100
    assert float(getattr(run.picture, "how", run.picture).used.sum()) == pytest.approx(100)
    for found, point in ((control, control.best), (run, run.best)):
        done = compress(found.trained.network, found.trained.recipe)
        assert accuracy(found.trained.network.module, watched(net.data["validation"])) == point.accuracy
        assert all(torch.equal(done.encoded[layer.name].decode(), layer.weight) for layer in done.network.layers)
        assert size_of(done) < size_of(compress(net, Recipe())) / 4 and len(export.pack(done)) == size_of(done)


def test_bits_go_where_the_loss_bends():
    layers = [Layer("a", WEIGHT), Layer("b", WEIGHT.flip(0))]
    bits = mixed.allotted({"a": 1.0, "b": 100.0}, layers, 3)
    assert bits["b"] > bits["a"] and sum(bits.values()) <= 6
    assert mixed.allotted({"a": 1.0, "b": 1.0}, layers, 3) == {"a": 3, "b": 3}


def test_a_locked_layer_stays_and_where_nothing_can_be_rounded_it_says_so():
    net, way = shipped.load("digits-mlp"), procedures()["quantized.straight_through"]
    first = net.layers[0].name
    *_, last = (p for p in way.run(Task(net, Recipe(locked=(first,))), **way.settings(epochs=1)) if p)
    assert last.runs[1].trained.network.layer(first).stored is None
    assert "locks every layer" in way.why_not(Task(net, Recipe(locked=("*",))))
    assert procedures()["quantized.pact"].why_not(Task(net, Recipe())) is None


def test_bitnet_rounds_weights_by_their_mean_and_inputs_by_their_largest_magnitude():
    """Ma et al. 2024, equations 1 to 3: mean magnitude 0.5, so that 0.2 is nearer to 0 and 0.3 to 1."""
    form = bitnet.ternary(torch.tensor([[0.2, -0.3, 1.2, -0.3]]))
    assert form.decode().tolist() == [[0.0, -0.5, 0.5, -0.5]] and form.codes.nbytes == 1
    x = torch.tensor([[[1.0, -2.0, 0.4], [0.0, 0.0, 0.0]]], requires_grad=True)
    value = bitnet.WholeNumbers(3)(x)  # levels of 2/3
    assert torch.allclose(value, torch.tensor([[[4 / 3, -2.0, 2 / 3], [0.0, 0.0, 0.0]]]))
    value.sum().backward()
    assert bool((x.grad == 1).all())


def test_bitnet_leaves_embeddings_and_the_answers_and_says_where_there_is_nothing_else():
    inner = [layer.name for layer in bitnet.inner(Task(shipped.load("char-gpt"), Recipe()), shipped.load("char-gpt"))]
    assert len(inner) == 24 and all(name.startswith("blocks.") for name in inner)
    assert "but the one" in bitnet.refuses(Task(shipped.load("row-lstm"), Recipe()))


def test_a_weight_is_mixed_of_shared_values_and_hardens_to_the_next_one():
    """Agustsson et al. 2017: softmax of minus hardness times squared distances, in standard deviations."""
    part = soft_to_hard.Mixed(Layer("fc", torch.tensor([[-1.0, -1.0, 1.0, 1.0]])), step("sharing.kmeans", bits=1))
    with torch.no_grad():
        part.full.copy_(torch.tensor([[-1.0, -0.5, 0.0, 0.5]]))
    part.hardness.fill_(log(3) / 2)  # at -0.5 the squares are 0.25 and 2.25, so the nearer one counts three times as much
    assert torch.allclose(part.train()()[0, 1:3], torch.tensor([-0.5, 0.0]), atol=1e-6)
    with torch.no_grad():
        part.full[0, 2] = 0.25
    part.hardness.fill_(1e4)
    assert part.eval()().tolist() == [[-1.0, -1.0, 1.0, 1.0]] and torch.allclose(part.train()(), part.eval()())
    part.train()().sum().backward()
    assert part.values.grad.tolist() == [2.0, 2.0], "each value gets the sum over the weights that are it"


def test_the_entropy_of_shares_is_that_of_their_mean():
    assert soft_to_hard.entropy(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).item() == pytest.approx(1.0)
    assert soft_to_hard.entropy(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).item() == pytest.approx(0.811278, abs=1e-5)
