"""Pruning that makes up for what goes: the surgeon against trying everything, SparseGPT against its plain loop."""


import pytest
import torch
from random_nets import small
from torch import nn

from compression.method import drained
from compression.pruning import (
    obs,
    sparse_gpt,
)
from compression.pruning import sparse_gpt_groups as groups
from compression.surgeon import damped
from compression.zoo import shipped


def surgeon_by_force(weight, h, count):
    """Try every weight: set it to zero too, solve least squares for the others, and take the one that costs least."""
    gone, w = [], weight
    for _ in range(count):
        tried = {}
        for q in (q for q in range(len(weight)) if q not in gone):
            left = [i for i in range(len(weight)) if i not in (*gone, q)]
            new = torch.zeros_like(weight)
            new[left] = torch.linalg.solve(h[left][:, left], (h @ weight)[left])
            tried[q] = float((new - weight) @ h @ (new - weight)), new
        best = min(tried, key=lambda q: tried[q][0])
        gone.append(best)
        w = tried[best][1]
    return w


def inputs_of(d, seed=0):
    """Correlated inputs' mean products, (d, d)."""
    torch.manual_seed(seed)
    x = torch.randn(50, d) @ torch.randn(d, d)
    return damped(x.T @ x / 50)


def test_the_surgeon_does_what_trying_everything_would_do(monkeypatch):
    h, weight = inputs_of(8), torch.randn(3, 8, dtype=torch.float64)
    for room in (10**6, 1):  # all rows together, and one at a time
        monkeypatch.setattr(obs, "ROOM", room)
        found = drained(obs.prune(weight, h, (0.25, 0.5, 0.75)))
        for share, new in zip((0.25, 0.5, 0.75), found):
            by_force = torch.stack([surgeon_by_force(row, h, round(8 * share)) for row in weight])
            assert torch.allclose(new, by_force, atol=1e-8)


def sparse_gpt_plainly(weight, h, sparsity, block):
    """Algorithm 1 without its factor: at each input the inverse over the inputs from it on is computed anew."""
    w, d = weight.clone(), weight.shape[1]
    tails = [torch.linalg.inv(h[j:, j:]) for j in range(d)]
    for j in range(d):
        if j % block == 0:
            end = min(j + block, d)
            scores = torch.stack([w[:, i] ** 2 / tails[i][0, 0] for i in range(j, end)], 1)
            gone = torch.zeros(scores.numel(), dtype=torch.bool)
            gone[scores.flatten().argsort()[: round(sparsity * scores.numel())]] = True
            gone = gone.reshape(scores.shape)
        for row in range(len(w)):
            if gone[row, j % block]:
                w[row, j:] -= w[row, j] / tails[j][0, 0] * tails[j][0]
                w[row, j] = 0
    return w


@pytest.mark.parametrize("block", [3, 4, 64])
def test_sparse_gpt_is_its_plain_loop(block):
    h, weight = inputs_of(10), torch.randn(4, 10, dtype=torch.float64)
    for share in (0.3, 0.5, 0.8):
        assert torch.allclose(drained(sparse_gpt.prune(weight, h, (share,), block))[0], sparse_gpt_plainly(weight, h, share, block), atol=1e-9)


@pytest.mark.parametrize("name, layer", [("lenet-5", "conv2"), ("vit", "blocks.0.mlp.up"), ("depthwise", "block2.pointwise")])
def test_making_up_for_what_goes_leaves_less_error(name, layer):
    """On the examples that taught: the surgeon is nearest, then SparseGPT, and both nearer than magnitude without an update."""
    found = shipped.load(name).layer(layer)
    best, gpt = obs.prepare(found.weight, found), sparse_gpt.prepare(found.weight, found)
    for share in (0.5, 0.7, 0.9):
        one, two = best.errors[obs.LADDER.index(share)], gpt.errors[sparse_gpt.LADDER.index(share)]
        assert one < two < gpt.errors_by_magnitude[sparse_gpt.LADDER.index(share)]
        assert (obs.answer(best, share).decode() == 0).sum() == round(share * found.weight[0].numel()) * len(found.weight)
    x = found.context.inputs(layer)
    old, new = (torch.einsum("pgd,god->pgo", x, w.reshape(x.shape[1], -1, x.shape[2])) for w in (found.weight, best.pruned[0.5]))
    assert float((old - new).square().sum() / old.square().sum()) == pytest.approx(float(best.errors[10]), rel=1e-3)


@pytest.mark.parametrize("m", [4, 8])
@pytest.mark.parametrize("name, layer", [("vit", "blocks.1.mlp.down"), ("resnet-20", "stage2.1.conv1")])
def test_sparse_gpt_in_groups_keeps_exactly_n_of_m_channels(name, layer, m):
    found = shipped.load(name).layer(layer)
    ready = groups.prepare(found.weight, found)
    for share in (0.25, 0.5, 0.75):
        new = groups.answer(ready, share, m).decode().movedim(1, -1)
        assert ((new.reshape(-1, m) != 0).sum(1) == round((1 - share) * m)).all()
    assert ready.errors_of_8[2] < ready.errors_by_magnitude[2]


def test_grouped_channels_of_a_linear_layer_are_the_plain_loop():
    """In turns of 4 inputs a row of 8: the plain loop for each row alone, since a group is one row's."""
    net = small(nn.Linear(8, 3), nn.ReLU(), nn.Linear(3, 3), inputs=(80, 8))
    layer = net.layers[0]
    found = groups.answer(groups.prepare(layer.weight, layer), 0.5, 4).decode()
    h = damped(layer.context.products("0")[0])
    plain = torch.cat([sparse_gpt_plainly(row[None].double(), h, 0.5, 4) for row in layer.weight])
    assert torch.allclose(found.double(), plain, atol=1e-6)
