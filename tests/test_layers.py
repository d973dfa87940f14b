"""Every parameter of a network is found once: as a layer that can be compressed, or as one that is left alone, with the reason."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from compression.layers import find, owners
from compression.network import network
from compression.zoo.catalogue import ZOO


class Custom(nn.Module):
    """A module with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("table", torch.ones(9))


class Everything(nn.Module):
    """One of each kind of layer; the head is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.linear = nn.Linear(8, 6)
        self.grouped = nn.Conv2d(4, 8, 3, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, bias=False)
        self.along = nn.Conv1d(3, 5, 2)
        self.lstm = nn.LSTM(8, 7, num_layers=2, bidirectional=True)
        self.gru = nn.GRU(8, 7)
        self.cell = nn.GRUCell(8, 7)
        self.packed = nn.MultiheadAttention(8, 2)
        self.apart = nn.MultiheadAttention(8, 2, kdim=6, vdim=5, add_bias_kv=True)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.RMSNorm(8), nn.InstanceNorm1d(8, affine=True)])
        self.slope = nn.PReLU()
        self.custom = Custom()
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight


MODULE = Everything().eval()
FOUND = find(MODULE)
LAYERS = {layer.name: layer for layer in FOUND.layers}
SKIPPED = {skipped.name: skipped for skipped in FOUND.skipped}


def test_layers_are_found_by_kind_and_in_order():
    assert [(layer.name, layer.kind, tuple(layer.weight.shape)) for layer in FOUND.layers[:5]] == [
        ("embed", "embedding", (11, 8)), ("linear", "linear", (6, 8)), ("grouped", "conv", (8, 2, 3, 3)),
        ("depthwise", "conv", (8, 1, 3, 3)), ("along", "conv", (5, 3, 2)),
    ]
    assert [LAYERS[name].groups for name in ("linear", "grouped", "depthwise", "along")] == [1, 2, 8, 1]
    assert len(LAYERS) == len(FOUND.layers)


def test_recurrent_layers_give_one_weight_for_each_matrix():
    found = {name: tuple(layer.weight.shape) for name, layer in LAYERS.items() if layer.kind == "recurrent"}
    lstm = {f"lstm.weight_{which}_l{layer}{way}" for which in ("ih", "hh") for layer in (0, 1) for way in ("", "_reverse")}
    assert set(found) == lstm | {"gru.weight_ih_l0", "gru.weight_hh_l0", "cell.weight_ih", "cell.weight_hh"}
    assert found["lstm.weight_ih_l0"] == (28, 8) and found["lstm.weight_ih_l1_reverse"] == (28, 14) and found["cell.weight_hh"] == (21, 7)


def test_attention_is_found_packed_and_apart():
    found = {name: tuple(layer.weight.shape) for name, layer in LAYERS.items() if name.startswith(("packed", "apart"))}
    assert found == {
        "packed.in_proj_weight": (24, 8), "packed.out_proj": (8, 8), "apart.q_proj_weight": (8, 8), "apart.k_proj_weight": (8, 6),
        "apart.v_proj_weight": (8, 5), "apart.out_proj": (8, 8),
    }
    assert LAYERS["packed.in_proj_weight"].kind == "attention"
    assert {"packed.in_proj_bias", "packed.out_proj.bias", "apart.bias_k", "apart.bias_v"} <= set(SKIPPED)


def test_a_tied_weight_comes_once_with_both_names():
    assert LAYERS["embed"].tied and LAYERS["embed"].names == ("embed.weight", "head.weight") and "head" not in LAYERS
    assert not LAYERS["linear"].tied
    places = list(owners(MODULE, LAYERS["embed"]))
    assert [(prefix, name) for prefix, _, name in places] == [("embed", "weight"), ("head", "weight")]
    assert all(getattr(owner, name) is MODULE.embed.weight for _, owner, name in places)


def test_what_is_left_alone_says_why():
    assert "bias" in SKIPPED["linear.bias"].why and SKIPPED["lstm.bias_ih_l0_reverse"].count == 28
    assert all("normalisation" in SKIPPED[f"norms.{i}.weight"].why for i in range(5))
    assert "Custom" in SKIPPED["custom.scale"].why and SKIPPED["custom.scale"].count == 4
    assert "PReLU" in SKIPPED["slope.weight"].why
    assert "custom.table" not in SKIPPED  # a buffer is no parameter
    whole = nn.Linear(3, 3)
    whole.weight = nn.Parameter(torch.ones(3, 3, dtype=torch.int8), requires_grad=False)
    assert "int8" in find(whole).skipped[0].why


@pytest.mark.parametrize("name", [*ZOO, None])
def test_layers_and_the_rest_make_up_the_whole(name):
    module = MODULE if name is None else ZOO[name].build()
    found = find(module)
    everything = sum(parameter.numel() for parameter in module.parameters())
    assert sum(layer.weight.numel() for layer in found.layers) + sum(skipped.count for skipped in found.skipped) == everything
    parameters = dict(module.named_parameters(remove_duplicate=False))
    assert sorted([n for layer in found.layers for n in layer.names] + [skipped.name for skipped in found.skipped]) == sorted(parameters)
    assert all(parameters[n].data_ptr() == layer.weight.data_ptr() for layer in found.layers for n in layer.names)


@pytest.mark.parametrize("shared", [nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))])
def test_a_module_used_twice_is_one_layer_of_two_names_and_stays_as_it_is(shared):
    torch.manual_seed(0)
    module = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(3, 2))
    made = network("x", "X", module)
    first, last = made.layers
    assert len(first.names) == 2 and first.tied and not last.tied
    assert sum(layer.weight.numel() for layer in made.layers) + sum(s.count for s in made.skipped) == made.parameters
    x, digest = torch.randn(5, 3), made.digest
    before = made.module(x)
    zeroed = functional_call(made.module, dict.fromkeys(first.names, torch.zeros(3, 3)), (x,))
    assert torch.equal(made.module(x), before) and network("x", "X", made.module).digest == digest
    assert torch.equal(zeroed, zeroed[:1].expand(5, 2))  # with a zero weight, no example differs from another


def test_a_reused_lstm_keeps_its_weights_in_both_places():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.again = nn.LSTM(3, 3, batch_first=True)

        def forward(self, x):
            return self.again(self.first(x)[0])[0]

    torch.manual_seed(0)
    module, x = Twice(), torch.randn(2, 4, 3)
    before = module(x)
    made = network("x", "X", module)
    assert made.module.first is not made.module.again and torch.equal(made.module(x), before)
    zeros = [dict.fromkeys(layer.names, torch.zeros_like(layer.weight)) for layer in made.layers]
    weights = zeros[0] | zeros[1]
    assert len(weights) == 4
    functional_call(made.module, weights, (x,))
    assert torch.equal(made.module(x), before)


def test_a_layer_at_the_root_has_a_name():
    assert [layer.names for layer in find(nn.Linear(3, 2)).layers] == [("weight",)]
    linear = nn.Linear(3, 2)
    assert list(owners(linear, find(linear).layers[0])) == [("", linear, "weight")]


@pytest.mark.parametrize(("name", "count"), [("lenet-300-100", 266_610), ("lenet-5", 431_080), ("vgg-small", 70_330), ("resnet-20", 272_186),
                                             ("depthwise", 52_762), ("vit", 156_714), ("row-lstm", 82_186)])
def test_parameter_counts_are_those_of_the_docstrings(name, count):
    found = find(ZOO[name].build())
    assert sum(layer.weight.numel() for layer in found.layers) + sum(skipped.count for skipped in found.skipped) == count
