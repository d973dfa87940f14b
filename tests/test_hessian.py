"""Hessian traces: the estimate against the whole Hessian of a small network, and through layers whose quick kernels have no second derivative."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

from compression.budget.hessian import traces
from compression.data import Data
from compression.network import network


def small(module, inputs, classes=3, train=True):
    torch.manual_seed(0)
    data = Data("random", "train" if train else "validation", inputs, torch.arange(len(inputs)) % classes, ("a", "b", "c"))
    return network("small", "Small", module, {data.split: data})


def test_the_mean_trace_is_that_of_the_whole_hessian():
    torch.manual_seed(1)
    net = small(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), torch.randn(60, 4))
    *_, found = traces(net, probes=120)
    x, y = net.context.examples, net.context.labels
    for layer, mean, error in zip(net.layers, found.mean, found.error):
        name = layer.names[0]
        whole = hessian(lambda w, name=name: F.cross_entropy(functional_call(net.module, {name: w}, (x,)), y))(layer.weight.detach().clone())
        size = layer.weight.numel()
        exact = float(whole.reshape(size, size).trace()) / size
        assert abs(mean - exact) < 4 * error < 0.7 * exact, (name, mean, exact, error)
    assert found.examples == len(x) and [t.probes for t in traces(net, probes=3)] == [1, 2, 3]
    assert [t.mean for t in traces(net, probes=2, seed=5)] == [t.mean for t in traces(net, probes=2, seed=5)]


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.lstm, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.lstm(x)[0][:, -1])


def test_attention_and_recurrent_layers_have_second_derivatives_too():
    torch.manual_seed(2)
    *_, found = traces(small(Attending(), torch.randn(20, 4, 8)), probes=2)
    assert all(mean == mean and mean != 0 for mean in found.mean), found


def test_without_training_examples_it_says_so():
    with pytest.raises(ValueError, match="give it a train split"):
        next(traces(small(nn.Linear(4, 3), torch.randn(9, 4), train=False)))
