"""Which rank is suggested, and decomposed layers run as chains of small ones."""


import numpy as np
import pytest
import torch
from tensors import randn, trained
from torch import nn

from compression.apply import compress, smaller
from compression.lowrank import (
    suggest,
)
from compression.network import network
from compression.recipe import Recipe, step
from compression.registry import methods


@pytest.mark.parametrize("shape, rank, noise", [((100, 300), 20, 0.1), ((100, 300), 20, 0.5), ((64, 576), 16, 0.3), ((200, 200), 60, 1.0),
                                                ((300, 100), 20, 0.1), ((50, 500), 0, 1.0)])
@pytest.mark.parametrize("suggestion", [suggest.evbmf, suggest.gavish_donoho])
def test_a_planted_rank_is_found(suggestion, shape, rank, noise):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])) + noise * rng.normal(size=shape)
    assert suggestion(np.linalg.svd(matrix, compute_uv=False), shape) == rank


def test_the_threshold_of_evbmf_is_that_of_the_paper():
    """Nakajima et al. 2013: the zero is close to 2.5129 times the root of the ratio, and equal to it for a square."""
    assert suggest.threshold(1.0) == pytest.approx(2.5129, abs=1e-4)
    assert suggest.threshold(0.3) == pytest.approx(2.5129 * 0.3**0.5, rel=0.02)
    assert suggest.evbmf(np.zeros(4), (4, 9)) == 0


def test_evbmf_finds_less_than_the_full_rank_of_a_trained_layer():
    weight = trained("lenet-300-100", "fc1")
    rank = suggest.evbmf(torch.linalg.svdvals(weight.double()).numpy(), tuple(weight.shape))
    assert 0 < rank < 300


class Nets(nn.Module):
    """Convolutions with all settings that a chain must pass on."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, (5, 3), stride=(2, 1), padding=(2, 1), padding_mode="reflect")
        self.b = nn.Conv2d(8, 12, 3, padding="same", dilation=2, bias=False)
        self.c = nn.Conv2d(12, 6, 3, stride=2, padding=1, padding_mode="circular")
        self.d = nn.Conv2d(6, 5, 1, stride=2)

    def forward(self, x):
        return self.d(self.c(self.b(self.a(x)).relu()).relu())


@pytest.mark.parametrize("name, knobs, modules", [
    ("svd", {}, 2), ("tucker2", {}, 3), ("hooi", {}, 3), ("jaderberg2", {}, 2), ("jaderberg1", {}, 3), ("cp", {"kernel": "whole"}, 3),
    ("cp", {"kernel": "separable"}, 4), ("block_term", {"blocks": 2}, 3),
])
def test_convolutions_become_chains_that_compute_the_same(name, knobs, modules):
    torch.manual_seed(0)
    net = network("nets", "Nets", Nets().eval())
    method = methods()[f"lowrank.{name}"]
    done = compress(net, Recipe((step(f"lowrank.{name}", **knobs | {"rank": 0.5 if 0.5 in method.knob("rank").ladder else 0.3}),)))
    assert not any(done.refused.values())
    module, x = smaller(done), randn(2, 3, 20, 17)
    assert [len(m) for m in module.children()] == [modules] * 4
    with torch.inference_mode():
        wanted = torch.func.functional_call(net.module, done.weights(), (x,))
        assert torch.allclose(module(x), wanted, atol=1e-4 * float(wanted.abs().max()))
    forms = done.encoded.values()
    stored = sum(form.nbytes // 4 for form in forms)
    assert sum(p.numel() for p in module.parameters()) == stored + 8 + 6 + 5, "the chain holds what is stored, and the biases"


@pytest.mark.parametrize("name", ["tensor_train", "tensor_ring", "kronecker", "sparse"])
def test_what_is_no_chain_runs_with_the_decoded_weight(name):
    net = network("nets", "Nets", nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(72, 10)).eval())
    done = compress(net, Recipe((step(f"lowrank.{name}"),)))
    module = smaller(done)
    assert type(module[0]) is nn.Conv2d and torch.equal(module[2].weight, done.weights()["2.weight"])
