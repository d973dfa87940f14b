"""Weights with noise, gates and mixtures of their own: formulas by hand, dials that need no training, files as small as promised."""

import pytest
import torch
from training import holds, kept, last

from compression.recipe import Recipe
from compression.train.procedure import Task
from compression.train.sparse import bayesian, hard_concrete, masked, soft_sharing, variational
from compression.zoo import shipped


@pytest.fixture
def task():
    return Task(shipped.load("digits-mlp"), Recipe())


def test_the_divergence_is_that_of_the_paper_and_none_at_infinite_noise():
    """Molchanov et al. 2017, equation 14: -(k1 sigmoid(k2 + k3 x) - log(1 + 1 / alpha) / 2 - k1)."""
    x = torch.tensor([-3.0, 0.0, 2.0])
    by_hand = -(0.63576 * torch.sigmoid(1.87320 + 1.48695 * x) - 0.5 * torch.log1p(torch.exp(-x)) - 0.63576)
    assert torch.allclose(variational.divergence(x), by_hand) and float(variational.divergence(torch.tensor(30.0))) < 1e-6


def test_weights_drown_and_the_rest_is_stored(task):
    noisy, control = last("sparse.variational", task, epochs=3, rate=1e-2).runs
    now = [p.traced[masked.LEFT] for p in noisy.points]
    assert now[0] == 100 and now[-1] < 80 and noisy.best is noisy.points[-1]
    assert kept(noisy) == kept(control)
    holds(task, noisy)
    dial = noisy.picture
    assert float(dial.bars.sum()) == pytest.approx(100) and dial.settings[dial.begins] == "3"
    assert dial.told[dial.begins] == f"{now[-1]:.3g} % of the weights left, {100 * noisy.best.accuracy:.1f} % right"


def test_a_groups_noise_is_that_of_all_its_weights_and_it_goes_as_a_whole():
    part = bayesian.Sized(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 0.0)
    assert part.size.shape == (1, 2) and bayesian.Sized(torch.zeros(3, 2, 5, 5), 0.0).size.shape == (3, 1, 1, 1)
    with torch.no_grad():
        part.size.copy_(torch.tensor([[2.0, 1.0]]))
        part.loud.copy_(torch.tensor([[-3.0, 1.0]]) / bayesian.GAIN)
    assert part.group_alpha().detach().flatten().tolist() == pytest.approx([-3 - 4**0.5 * 0.6931472, 1.0])
    part.eval()
    assert part().tolist() == [[2.0, 0.0], [6.0, 0.0]] and torch.equal(part.form().decode(), part().detach())
    assert float(part.divergence().detach()) == pytest.approx(float(variational.divergence(part.group_alpha().detach()).sum()))


def test_noisy_inputs_are_forgotten_whole(task):
    own, control = last("sparse.bayesian", task, weight=100.0, threshold=2, epochs=5, rate=1e-2).runs
    first = next(layer.weight for layer in own.trained.network.layers if layer.weight.ndim > 1)
    gone = (first == 0).all(0)
    assert bool(gone.any()) and bool((first[:, ~gone] != 0).any(0).all())
    assert kept(own) == kept(control) and holds(task, own) < 19_000


def test_a_gate_is_shut_with_the_chance_that_is_said():
    log_alpha = torch.tensor(0.7)
    dice = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    opened = (hard_concrete.gate(log_alpha.expand(200_000), dice) > 0).float().mean()
    assert float(opened) == pytest.approx(float(hard_concrete.chance(log_alpha)), abs=5e-3)
    part = hard_concrete.Gated(torch.ones(4, 3), "input")
    assert float(part.count().detach()) == pytest.approx(12 * float(hard_concrete.chance(torch.tensor(9.0).log())), abs=1e-4)


def test_gates_shut_and_what_is_left_is_stored(task):
    own, control = last("sparse.hard_concrete", task, strength=30.0, epochs=10, rate=1e-2).runs
    now = [p.traced[masked.LEFT] for p in own.points]
    assert now[0] == 100 and now[-1] < 60 and kept(own) == kept(control)
    assert holds(task, own) < 19_000


def test_the_density_of_a_mixture_is_that_of_torch_and_sums_to_one():
    torch.manual_seed(0)
    curves = soft_sharing.Curves(torch.randn(500) / 10, 4, 0.5)
    normal = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=curves.log_shares.detach()),
                                                   torch.distributions.Normal(curves.means.detach(), curves.widths.detach()))
    x = torch.linspace(-2, 2, 4001)
    assert torch.allclose(curves.log_density(x).detach(), normal.log_prob(x), atol=1e-4)
    assert float(curves.log_density(x).detach().exp().sum() * 1e-3) == pytest.approx(1, abs=1e-3)
    assert float(curves.log_shares.detach()[0].exp()) == pytest.approx(0.5) and float(curves.means.detach()[0]) == 0


def test_weights_gather_and_are_stored_as_a_few_values(task):
    frozen, gathered = last("sparse.soft_sharing", task, epochs=10).runs
    assert frozen.control and gathered.points[-1].traced["values used"] <= 16
    assert gathered.best.accuracy > 0.85 and holds(task, gathered) < 19_000 / 5
    dial = gathered.picture
    assert len(dial.settings) == len(gathered.points) == len(dial.bars) and dial.settings[0] == "0" and dial.settings[-1] == str(gathered.steps)
    assert float(dial.bars[-1].sum()) == pytest.approx(100, abs=1)
