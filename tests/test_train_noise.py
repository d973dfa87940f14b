"""Weights with noise, gates and mixtures of their own: formulas by hand, dials that need no training, files as small as promised."""

import pytest
import torch
from torch import nn
from training import holds, kept, last

from compression.network import network
from compression.recipe import Recipe
from compression.train.procedure import Task
from compression.train.sparse import bayesian, hard_concrete, masked, soft_sharing, variational, vibnet
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


def test_the_price_of_a_gate_by_hand():
    """log(1 + mu² / sigma²): mean 3 and variance 3 is log 4, mean 1 and variance 1 is log 2."""
    log_alpha = torch.tensor([3 / 9, 1.0]).log()
    assert vibnet.penalty(log_alpha).tolist() == pytest.approx([1.3862944, 0.6931472])


def bottleneck(**given):
    part = vibnet.Bottleneck(torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]), 2, 0, **given)  # two inputs of each unit
    with torch.no_grad():
        part.mean.copy_(torch.tensor([2.0, 1.0]))
        part.loud.copy_(torch.tensor([-3.0, 1.0]) / vibnet.GAIN)
    return part


def test_a_shut_gate_takes_what_reads_its_unit_and_what_makes_it():
    part = bottleneck()
    assert part.log_alpha().tolist() == pytest.approx([-3 - 2 * 0.6931472, 1.0]) and part.open.tolist() == [True, False]
    assert torch.equal(part(), part.full) and part.eval()().tolist() == [[2.0, 4.0, 0.0, 0.0], [10.0, 12.0, 0.0, 0.0]]
    assert torch.equal(part.form().decode(), part().detach())
    feeder = vibnet.Bottleneck(torch.ones(2, 3), 3, 0, part).eval()
    assert feeder().tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]] and "readers" not in dict(feeder.named_modules())


def test_gates_are_drawn_for_each_example_around_their_mean():
    part = bottleneck()
    torch.manual_seed(0)
    seen = part.noisy(torch.ones(100_000, 4))
    assert torch.equal(seen[:, 0], seen[:, 1]) and torch.equal(seen[:, 2], seen[:, 3]), "one gate for each unit"
    assert seen.mean(0)[::2].tolist() == pytest.approx([2.0, 1.0], abs=0.02)
    assert seen.var(0)[::2].tolist() == pytest.approx([torch.tensor(-3.0).exp().item(), torch.tensor(1.0).exp().item()], rel=0.02)
    kernel = vibnet.Bottleneck(torch.ones(3, 2, 5, 5), 2, 0)
    assert kernel.noisy(torch.ones(4, 2, 6, 6)).flatten(2).std(2).max() == 0, "a channel has one gate at all places"


def test_a_unit_behind_a_flattening_is_its_channel():
    net = shipped.load("lenet-5")
    assert vibnet.fed(net) == {"conv2": "conv1", "fc1": "conv2", "fc2": "fc1"}
    assert vibnet.counts(net) == {"conv1": 1, "conv2": 20, "fc1": 50, "fc2": 500}
    kept = vibnet.both(net.layer("fc1").weight, torch.arange(50) < 49, None)
    assert not kept[:, -16:].any() and kept[:, :-16].all()


def test_a_weight_that_is_used_past_its_module_gets_no_gates():
    class Past(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(64, 5), nn.Linear(5, 10)

        def forward(self, inputs):
            return self.second(nn.functional.linear(inputs.flatten(1), self.first.weight).relu())

    net = network("past", "Past", Past(), shipped.load("digits-mlp").data)
    assert [layer.name for layer in vibnet.gated(net)] == ["second"] and vibnet.counts(net) == {"second": 5}


def test_units_that_tell_nothing_go_and_as_many_by_magnitude_beside(task):
    own, control = last("sparse.vibnet", task, gamma=3e-3, epochs=10).runs
    assert own.points[0].traced[vibnet.LEFT] == 100 > own.points[-1].traced[vibnet.LEFT]
    assert own.best is own.points[-1] and holds(task, own) < 19_000
    holds(task, control)
    for run in (own, control):
        fc1, fc2 = (layer.weight for layer in run.trained.network.layers if layer.weight.ndim > 1)
        assert torch.equal((fc2 == 0).all(0), (fc1 == 0).all(1)) and bool((fc1 == 0).all(0).any())
        units = int((fc1 != 0).any(0).sum()) + int((fc2 != 0).any(0).sum())
        assert 100 * units / 128 == pytest.approx(own.points[-1].traced[vibnet.LEFT])
    dial = own.picture
    assert dial.told[dial.begins] == f"{own.points[-1].traced[vibnet.LEFT]:.3g} % of the units left, {100 * own.best.accuracy:.1f} % right"
    assert last("sparse.vibnet", task, gamma=3e-3, epochs=10).runs[0].trained.network.digest == own.trained.network.digest
