"""Flow through a network and SynFlow: sums over paths, conservation, rounds, and layers that are not emptied."""

from itertools import product

import pytest
import torch
from random_nets import small
from torch import nn

from compression.method import drained
from compression.pruning import (
    flow,
    global_magnitude,
    synflow,
)
from compression.pruning.ranking import LADDER
from compression.registry import methods
from compression.zoo import shipped


def test_flow_is_the_sum_over_all_paths():
    net = small(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), inputs=(10, 3))
    a, b = (layer.weight.double().abs() for layer in net.layers)
    module = flow.pipes(net.context)
    found = synflow.scores(module, flow.ones(net.context), {n: module.get_parameter(n) for n in ("0.weight", "2.weight")})
    paths = {(i, j, k): a[j, i] * b[k, j] for i in range(3) for j in range(4) for k in range(2)}
    for j, i in product(range(4), range(3)):
        assert float(found["0.weight"][j, i]) == pytest.approx(float(sum(v for p, v in paths.items() if p[:2] == (i, j))))
    for k, j in product(range(2), range(4)):
        assert float(found["2.weight"][k, j]) == pytest.approx(float(sum(v for p, v in paths.items() if p[1:] == (j, k))))


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5", "vgg-small", "depthwise"])
def test_flow_is_conserved_from_layer_to_layer(name):
    net = shipped.load(name)
    module = flow.pipes(net.context)
    found = synflow.scores(module, flow.ones(net.context), {layer.name: module.get_parameter(layer.names[0]) for layer in net.layers})
    sums = [float(s.sum()) for s in found.values()]
    assert sums == pytest.approx([sums[0]] * len(sums), rel=1e-9) and sums[0] > 0


def test_flow_refuses_networks_that_are_no_pipes():
    for name, why in (("vit", flow.NO_PATHS), ("row-lstm", flow.NO_PATHS), ("char-lstm", flow.NO_NUMBERS)):
        layer = shipped.load(name).layers[1]
        assert methods()["pruning.synflow"].why_not(layer.weight, layer) == why
        assert methods()["pruning.nisp"].why_not(layer.weight, layer) == why


def test_synflow_goes_in_rounds(monkeypatch):
    """Against the loop of the paper's algorithm 1 with the same number of rounds, its threshold at the densities of the rounds."""
    monkeypatch.setattr(synflow, "ROUNDS", 8)
    monkeypatch.setattr(synflow, "LAST", 0.2)
    net = small(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3), inputs=(10, 6))
    weights = [layer.weight.double().abs() for layer in net.layers]
    masks = [torch.ones_like(w) for w in weights]
    for k in range(1, 8):
        a, b = (w * m for w, m in zip(weights, masks))
        scores = [a * b.sum(0)[:, None], b * a.sum(1)[None]]
        threshold = torch.cat([s.flatten() for s in scores]).sort().values[63 - round(63 * 0.2 ** (k / 8))]
        masks = [(s >= threshold).double() for s in scores]
    kept = torch.cat([m.flatten() for m in masks]) > 0
    last = drained(synflow.leaving(net.context))[-int(kept.sum()):]
    assert sorted(last.tolist()) == kept.nonzero().flatten().tolist() and len(last) == round(63 * 0.2 ** (7 / 8))


def test_synflow_leaves_every_layer_something_where_magnitude_empties_one():
    net = shipped.load("resnet-20")
    layer = net.layers[3]
    flowing, large = synflow.prepare(layer.weight, layer), global_magnitude.prepare(layer.weight, layer)
    assert flowing.densities[:, -1].min() > 0.001 and large.densities[:, -1].min() == 0
    assert large.lamp_densities[:, -1].min() > 0.001
    total = sum(each.weight.numel() for each in net.layers)
    for ready in (flowing, large):
        kept = sum(float(d) * each.weight.numel() for d, each in zip(ready.densities[:, 90], net.layers))
        assert kept == pytest.approx(total - round(LADDER[90] * total))
