"""Low rank for the inputs a layer really gets: bounds that hold by construction, plain oracles, and inputs that hide inside a module."""

import pytest
import torch
from torch import nn

from compression.context import Context
from compression.data import Data
from compression.layer_inputs import places
from compression.lowrank import responses, svd, whitened_svd
from compression.network import network
from compression.zoo import shipped

LAYERS = [("lenet-300-100", "fc2"), ("lenet-5", "conv2"), ("vit", "blocks.1.attention.out_proj"), ("char-gpt", "blocks.0.mlp.up")]


def missed(layer, form):
    """Squared error of the layer's outputs on the examples, and the squares of those outputs."""
    x = layer.context.inputs(layer.name)[:, 0].double()
    weight, decoded = (w.flatten(1).double() for w in (layer.weight, form.decode()))
    return float((x @ (weight - decoded).T).square().sum()), float((x @ weight.T).square().sum())


@pytest.mark.parametrize("net, name", LAYERS, ids=str)
def test_whitened_svd_misses_the_outputs_by_no_more_than_svd(net, name):
    layer = shipped.load(net).layer(name)
    whitened, plain = whitened_svd.prepare(layer.weight, layer), svd.prepare(layer.weight, layer)
    for rank in (0.02, 0.1, 0.3, 0.7):
        ours, total = missed(layer, whitened_svd.answer(whitened, rank, "whitened"))
        for other in (svd.answer(plain, rank), whitened_svd.answer(whitened, rank, "columns")):
            assert ours <= missed(layer, other)[0] + 1e-9 * total
    for scaling in whitened_svd.SCALINGS:
        assert torch.allclose(whitened_svd.answer(whitened, 1.0, scaling).decode(), layer.weight, atol=1e-5)


@pytest.mark.parametrize("scaling", whitened_svd.SCALINGS)
def test_whitened_svd_equals_the_papers_formula(scaling):
    """W ≈ U Σ Vᵀ S⁻¹ with W S = U Σ Vᵀ, S inverted."""
    layer = shipped.load("lenet-300-100").layer("fc2")
    x = layer.context.inputs("fc2")[:, 0].double()
    if scaling == "whitened":
        products = x.T @ x / len(x)
        root = torch.linalg.cholesky(products + 1e-3 * products.diagonal().mean() * torch.eye(300))
    else:
        root = torch.diag((x.abs().mean(0).clamp(min=1e-3 * x.abs().mean())) ** 0.5)
    left, singular, right = torch.linalg.svd(layer.weight.double() @ root, full_matrices=False)
    expected = left[:, :30] * singular[:30] @ right[:30] @ torch.linalg.inv(root)
    found = whitened_svd.answer(whitened_svd.prepare(layer.weight, layer), 0.3, scaling).decode()
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_what_is_left_out_is_the_error():
    layer = shipped.load("lenet-5").layer("conv2")
    found = whitened_svd.prepare(layer.weight, layer)
    x = layer.context.inputs("conv2")[:, 0].double()
    ridge = 1e-3 * float(x.square().mean())
    form = whitened_svd.answer(found, 0.4, "whitened")
    error, _ = missed(layer, form)
    moved = float((layer.weight.double() - form.decode()).square().sum())
    assert float(found.whitened[20:].square().sum()) == pytest.approx(error / len(x) + ridge * moved, rel=1e-4)


def test_response_pca_is_the_best_mix_of_answers():
    """And what it leaves over is the energy of the directions left out; fitted after the ReLU it leaves no more of that over."""
    layer = shipped.load("lenet-300-100").layer("fc1")
    found = responses.prepare(layer.weight, layer)
    for rung, said in zip(responses.RANKS, found.errors, strict=True):
        error, total = missed(layer, responses.answer(found, rung, "answers"))
        assert (error / total) ** 0.5 == pytest.approx(float(said), rel=1e-2, abs=1e-5)
        left = float(found.energy[max(1, round(rung * 300)) :].sum())
        assert float(said) ** 2 == pytest.approx(left, rel=1e-2, abs=1e-6)
    assert (found.refitted <= found.positive).all() and float(found.refitted[2]) < 0.95 * float(found.positive[2])
    y, bias = layer.context.outputs("fc1"), layer.context.module.fc1.bias
    x, wanted = layer.context.inputs("fc1")[:, 0], (y + bias).relu()
    decoded = responses.answer(found, 0.1, "after relu").decode()
    assert float(((x @ decoded.T + bias).relu() - wanted).norm() / wanted.norm()) == pytest.approx(float(found.refitted[2]), rel=1e-3)


def test_targets_are_the_best_of_a_fine_grid():
    torch.manual_seed(0)
    wanted, given = torch.randn(50).relu(), torch.randn(50)
    z = responses.targets(wanted, given, 0.3)
    grid = torch.linspace(-4, 4, 8001)[:, None]
    costs = (wanted - grid.relu()).square() + 0.3 * (grid - given).square()
    ours = (wanted - z.relu()).square() + 0.3 * (z - given).square()
    assert (ours <= costs.min(0).values + 1e-6).all()


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch says so of its own speed
@pytest.mark.parametrize("kind, extra", [
    (nn.LSTM, {}), (nn.LSTM, {"proj_size": 3}), (nn.GRU, {"batch_first": True}), (nn.RNN, {"nonlinearity": "relu"})])
def test_every_level_of_a_recurrent_layer_shows_its_inputs(kind, extra):
    """What the weights make of the inputs found, with both biases, gives the states that follow, by a cell run step by step."""
    torch.manual_seed(0)
    owner = kind(4, 5, num_layers=2, bidirectional=True, **extra)
    x = torch.randn(6, 7, 4)
    context = around(nn.Sequential(owner, First(), nn.Linear(2 * extra.get("proj_size", 5), 3)), x)
    time, width = 1 if extra.get("batch_first") else 0, extra.get("proj_size", 5)
    with torch.no_grad():
        first = one_level(kind, owner, 0, x, extra, time)
        second = one_level(kind, owner, 1, first, extra, time)
        assert torch.allclose(second, owner(x)[0], atol=1e-6)
        blank = torch.zeros_like(second.narrow(time, 0, 1)[..., :width])
        forward, back = second[..., :width], second[..., width:]
        length = second.shape[time]
        expected = {"weight_ih_l0_reverse": x, "weight_ih_l1": first,
                    "weight_hh_l1": torch.cat([blank, forward.narrow(time, 0, length - 1)], time),
                    "weight_hh_l1_reverse": torch.cat([back.narrow(time, 1, length - 1), blank], time)}
    for name, rows in expected.items():
        assert torch.allclose(context.inputs(f"0.{name}")[:, 0], rows.reshape(-1, rows.shape[-1]), atol=1e-6), name


class First(nn.Module):
    def forward(self, given):
        return given[0]


def one_level(kind, owner, level, x, extra, time):
    """Both directions of one level, step by step."""
    width = extra.get("proj_size", 5)
    found = []
    for end in ("", "_reverse"):
        wi, wh, bi, bh = (getattr(owner, f"{part}_l{level}{end}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        steps = list(x.unbind(time))
        h, c, out = torch.zeros(len(steps[0]), width), torch.zeros(len(steps[0]), 5), []
        for step in reversed(steps) if end else steps:
            a, b = step @ wi.T + bi, h @ wh.T + bh
            if kind is nn.LSTM:
                i, f, g, o = (a + b).chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                h = h @ getattr(owner, f"weight_hr_l{level}{end}").T if width < 5 else h
            elif kind is nn.GRU:
                (r, z, n), (hr, hz, hn) = a.chunk(3, 1), b.chunk(3, 1)
                r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
                h = (1 - z) * (n + r * hn).tanh() + z * h
            else:
                h = (a + b).relu()
            out.append(h)
        found.append(torch.stack(out[::-1] if end else out, time))
    return torch.cat(found, -1)


def around(module, x):
    """The context of a module with these inputs as its examples, all of them in order."""
    net = network("small", "Small", module, {"train": Data("random", "train", torch.cat([x, x]), None, (), "vectors")})
    return Fixed(net.context, x)


class Fixed(Context):
    """A context whose examples are given."""

    def __init__(self, known, x):
        super().__init__(known.module, known.layers, {"train": known.data})
        self.given = x

    examples = property(lambda self: self.given)


def test_an_attentions_last_layer_shows_its_inputs():
    """Heads attended one by one, with a mask."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    mask = torch.triu(torch.full((5, 5), -torch.inf), 1)

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False, attn_mask=mask)[0]

    x = torch.randn(3, 5, 8)
    context = around(Masked(), x)
    with torch.no_grad():
        q, k, v = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
        heads = [((a @ b.transpose(1, 2)) / 2 + mask).softmax(-1) @ c for a, b, c in zip(*(t.chunk(2, -1) for t in (q, k, v)), strict=True)]
        expected = torch.cat(heads, -1)
    assert torch.allclose(context.inputs("attention.out_proj")[:, 0], expected.reshape(-1, 8)[places(15)], atol=1e-6)
    assert context.why_not(("inputs",), context.layers[0]) is None
