"""What decides which weights go: every score against a plain calculation of its own."""

import copy
import doctest
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from compression.context import Context
from compression.data import Data
from compression.encoded import Dense
from compression.method import Layer, drained
from compression.network import network
from compression.pruning import (
    apoz,
    bn_gamma,
    fisher,
    flow,
    global_magnitude,
    gradient_weight,
    magnitude,
    nisp,
    obd,
    obs,
    random,
    sparse_gpt,
    synflow,
    unit_gates,
)
from compression.pruning import disagreement as apart
from compression.pruning import sparse_gpt_groups as groups
from compression.pruning.disagreement import disagreement
from compression.pruning.ranking import LADDER, removed
from compression.registry import methods
from compression.surgeon import damped
from compression.zoo import shipped


def small(*parts, inputs=(12, 6), seed=0):
    """A network of a few parts with random weights and labelled examples."""
    torch.manual_seed(seed)
    module, x = nn.Sequential(*parts), torch.randn(*inputs)
    classes = module(x).shape[1]
    return network("small", "Small", module, {"train": Data("random", "train", x, torch.arange(len(x)) % classes,
                                                           tuple("abcdefgh"[:classes]), "images" if x.ndim == 4 else "vectors")})


def mlp():
    return small(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def one_by_one(net, loss=F.cross_entropy):
    """Gradients of the loss of each example that teaches, by backward() on a module of their own: [{parameter name: gradient}]."""
    found = []
    for x, y in zip(net.context.examples, net.context.labels):
        module = copy.deepcopy(net.module).requires_grad_()
        loss(module(x[None]), y[None]).backward()
        found.append({name: p.grad for name, p in module.named_parameters()})
    return found


def test_disagreement_by_hand():
    first = torch.tensor([[1.0, 0.0, 3.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
    second = torch.tensor([[1.0, 2.0, 0.0, 0.0], [5.0, 5.0, 0.0, 0.0]])
    found = disagreement(Dense(first), Dense(second))
    assert found.keeps.tolist() == [[3, 1, 2, 0], [3, 3, 0, 0]]
    assert found.counts == (3, 1, 1, 3) and found.share == 0.25 and found.by_chance == 0.5
    assert found.rows.tolist() == [0.5, 0] and found.columns.tolist() == [0, 0.5, 0.5, 0]
    assert doctest.testmod(apart).failed == 0
    with pytest.raises(ValueError, match="two prunings of one layer"):
        disagreement(Dense(first), Dense(second.T))


def test_a_criterion_agrees_with_itself_and_with_a_lot_only_by_chance():
    weight = torch.randn(100, 200, generator=torch.Generator().manual_seed(1))
    ready = magnitude.prepare(weight, Layer("w", weight)), random.prepare(weight, Layer("w", weight))
    best, lot = magnitude.answer(ready[0], 0.7), random.answer(ready[1], 0.7)
    assert disagreement(best, best).share == 0
    found = disagreement(best, lot)
    assert found.by_chance == pytest.approx(0.42) and found.share == pytest.approx(0.42, abs=0.01)
    assert found.counts[1] == found.counts[2]


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.93])
@pytest.mark.parametrize("name", ["lenet-5", "resnet-20", "char-lstm"])
def test_one_threshold_for_all_layers_is_the_one_torch_finds(name, sparsity):
    net = shipped.load(name)
    holders = []
    for layer in net.layers:
        holders.append(nn.Module())
        holders[-1].weight = nn.Parameter(layer.weight.clone())
    prune.global_unstructured([(h, "weight") for h in holders], prune.L1Unstructured, amount=sparsity)
    for holder, layer in zip(holders, net.layers):
        found = global_magnitude.answer(global_magnitude.prepare(layer.weight, layer), sparsity, "magnitude").decode()
        assert torch.equal(found, holder.weight.detach())


def test_equal_scores_are_cut_to_the_very_number_asked_for():
    counts = removed([torch.ones(7), torch.zeros(3), torch.ones(10)], (0.0, 0.1, 0.5, 0.95))
    assert counts.tolist() == [[0, 0, 7, 7], [0, 2, 3, 3], [0, 0, 0, 9]]


def test_lamp_by_a_plain_loop():
    weight = torch.tensor([[3.0, -1.0], [0.5, 2.0]])
    for w, found in zip(weight.flatten(), global_magnitude.lamp(weight).flatten()):
        assert float(found) == pytest.approx(float(w**2 / sum(v**2 for v in weight.flatten() if v**2 >= w**2)))


def test_gradients_of_single_examples_are_those_of_backward():
    """And from them SNIP's and Fisher's score; for the last layer also by the formula (p - y) h'."""
    net = mlp()
    last, grads = net.layers[1], one_by_one(net)
    each = torch.stack([g["2.weight"] for g in grads])
    assert torch.allclose(gradient_weight.score(last), (each.mean(0) * last.weight).abs(), atol=1e-7)
    assert torch.allclose(fisher.score(last), (each * last.weight).square().mean(0) / 2, atol=1e-8)
    hidden = torch.tanh(net.context.examples @ net.layers[0].weight.T + net.module[0].bias)
    wrong = net.module(net.context.examples).softmax(1) - F.one_hot(net.context.labels, 3)
    assert torch.allclose(each, wrong[:, :, None] * hidden[:, None], atol=1e-6)
    assert len(grads) == net.context.alone == 6


@pytest.mark.parametrize("module", [gradient_weight, fisher, obd])
def test_scores_decide_what_is_kept(module):
    net = mlp()
    everything = torch.cat([module.score(layer).flatten() for layer in net.layers])
    least = set(everything.argsort()[: round(0.4 * 45)].tolist())
    start = 0
    for layer in net.layers:
        ready, n = module.prepare(layer.weight, layer), layer.weight.numel()
        gone = module.METHOD.answer(ready, 0.4, "network").decode().flatten() == 0
        assert {start + i for i in gone.nonzero().flatten().tolist()} == least & set(range(start, start + n))
        alone = module.METHOD.answer(ready, 0.4, "layer").decode().flatten() == 0
        assert set(alone.nonzero().flatten().tolist()) == set(module.score(layer).flatten().argsort()[: round(0.4 * n)].tolist())
        assert ready.densities[:, 40].tolist() == pytest.approx(
            [1 - len([i for i in least if a <= i < b]) / (b - a) for a, b in ((0, 30), (30, 45))])
        start += n


def test_curvature_over_all_signs_is_the_gauss_newton_diagonal():
    net = mlp()
    x, names = net.context.examples[0], ["0.weight", "2.weight"]
    weights = tuple(layer.weight for layer in net.layers)

    def scores(*w):
        return torch.func.functional_call(net.module, dict(zip(names, w)), (x[None],))[0]

    p = scores(*weights).softmax(0)
    curve = torch.diag(p) - p[:, None] * p
    signs = [torch.tensor(s)[None] for s in product((-1.0, 1.0), repeat=3)]
    for i, jacobian in enumerate(torch.func.jacrev(scores, (0, 1))(*weights)):  # (classes, out, in)
        expected = torch.einsum("cij,cd,dij->ij", jacobian, curve, jacobian)
        pushed = [torch.func.grad(lambda *w, s=s: obd.push(scores(*w)[None], s), i)(*weights).square() for s in signs]
        assert torch.allclose(torch.stack(pushed).mean(0), expected, atol=1e-7)


def test_curvature_of_a_linear_softmax_is_its_hessian():
    """There Gauss and Newton leave nothing out; the random signs come near it."""
    net = small(nn.Linear(4, 3, bias=False), inputs=(240, 4))
    x, y = net.context.examples, net.context.labels
    exact = torch.func.hessian(lambda w: F.cross_entropy(x @ w.T, y))(net.layers[0].weight)
    diagonal = torch.einsum("ijij->ij", exact)
    found = obd.curvature(net.context)["0"]
    assert torch.allclose(found, diagonal, rtol=0.4) and float((found / diagonal).mean()) == pytest.approx(1, abs=0.06)
    assert torch.allclose(obd.score(net.layers[0]) * 2 / net.layers[0].weight.square(), found)


def test_what_the_curvature_says_of_a_single_weight_is_what_its_loss_does_to_the_answers():
    """Twenty weights of LeNet-5, from the least to the most worth: the divergence of the answers when each alone is set to zero."""
    net = shipped.load("lenet-5")
    layer = net.layer("conv2")
    x, said = net.context.examples[: net.context.alone], obd.score(layer).flatten()
    old = F.log_softmax(net.module(x), -1)
    places = said.argsort()[torch.linspace(5000, len(said) - 1, 20).long()]
    found = []
    for place in places:
        weight = layer.weight.clone()
        weight.view(-1)[place] = 0
        new = F.log_softmax(torch.func.functional_call(net.module, {"conv2.weight": weight}, (x,)), -1)
        found.append((old.exp() * (old - new)).sum(-1).mean())
    ratios = torch.stack(found) / said[places]
    assert 0.8 < float(ratios.median()) < 1.25 and float(ratios.min()) > 0.3 and float(ratios.max()) < 3


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


def test_gates_lean_as_small_steps_say():
    """Every output's weights made a little larger and smaller: the change of each example's loss is the slope along the gate."""
    net = mlp()
    layer = net.layers[0]
    ready, step = unit_gates.prepare(layer.weight, layer), 1e-2
    for unit in range(5):
        slopes = []
        for x, y in zip(net.context.examples[: net.context.alone], net.context.labels):
            ends = []
            for change in (-step, step):
                weight = layer.weight.clone()
                weight[unit] *= 1 + change
                ends.append(float(F.cross_entropy(torch.func.functional_call(net.module, {"0.weight": weight}, (x[None],)).double(), y[None])))
            slopes.append((ends[1] - ends[0]) / (2 * step))
        slopes = torch.tensor(slopes)
        assert float(ready.skeletonization[unit]) == pytest.approx(-float(slopes.mean()), abs=2e-4)
        assert float(ready.taylor[unit]) == pytest.approx(float(slopes.abs().mean()), abs=2e-4)
        assert float(ready.fisher[unit]) == pytest.approx(float(slopes.square().mean() / 2), abs=2e-4)
    for score in unit_gates.SCORES:
        gone = unit_gates.answer(ready, 0.4, score, "layer").decode().abs().sum(1) == 0
        assert set(gone.nonzero().flatten().tolist()) == set(getattr(ready, score).argsort()[:2].tolist())


def test_gates_of_all_layers_share_one_threshold():
    net = mlp()
    ready = [unit_gates.prepare(layer.weight, layer) for layer in net.layers]
    everything = torch.cat([r.fisher for r in ready])
    going = [int((r.fisher <= everything.sort().values[3]).sum()) for r in ready]
    assert [int(r.going["fisher"][unit_gates.LADDER.index(0.5)]) for r in ready] == going and sum(going) == 4
    scaled = [r.taylor / r.taylor.square().sum().sqrt() for r in ready]  # Taylor's are compared as shares of their layer
    for share, count in ((0.25, 2), (0.5, 4), (0.75, 6)):
        least = torch.cat(scaled).sort().values[count - 1]
        assert [int(r.going["taylor"][unit_gates.LADDER.index(share)]) for r in ready] == [int((s <= least).sum()) for s in scaled]


def test_worth_is_passed_back_through_magnitudes():
    net = shipped.load("lenet-300-100")
    one, two, three = (layer.weight.abs() for layer in net.layers)
    back = three.T @ torch.ones(10)
    assert torch.allclose(nisp.prepare(two, net.layers[1]).worth, back, rtol=1e-4)
    assert torch.allclose(nisp.prepare(one, net.layers[0]).worth, two.T @ back, rtol=1e-4)


def test_the_worth_of_a_channel_is_what_a_little_more_of_it_gives():
    net = shipped.load("vgg-small")
    ready = nisp.prepare(net.layers[1].weight, net.layers[1])
    module, x = flow.pipes(net.context), flow.ones(net.context)
    before = float(module(x).sum())
    owner = module.get_submodule(net.layers[1].name)
    for channel in (0, 7, 20):
        more = torch.zeros(len(ready.worth), dtype=torch.float64)
        more[channel] = 1e-6 * before
        hook = owner.register_forward_hook(lambda _, given, out, more=more: out + more[:, None, None])
        assert (float(module(x).sum()) - before) / (1e-6 * before) == pytest.approx(float(ready.worth[channel]), rel=1e-3)
        hook.remove()


def test_zeros_after_the_rectifier_are_counted():
    net = shipped.load("lenet-300-100")
    x = net.context.examples
    after = F.relu(x.flatten(1) @ net.layers[0].weight.T + net.module.fc1.bias)
    ready = apoz.prepare(net.layers[0].weight, net.layers[0])
    assert torch.allclose(ready.zeros, (after == 0).float().mean(0), atol=1e-6) and torch.allclose(ready.mean, after.mean(0), atol=1e-5)
    assert set(ready.order[:30].tolist()) == set((after == 0).float().mean(0).argsort(descending=True, stable=True)[:30].tolist())
    assert apoz.refuses(net.layers[2].weight, net.layers[2]).endswith("none follows fc3 directly.")


def test_zeros_of_a_channel_are_counted_over_its_places_after_the_norm():
    net = shipped.load("resnet-20")
    layer = net.layer("stage1.0.conv1")
    block = net.module.stage1[0]
    with torch.no_grad():
        after = F.relu(block.bn1(block.conv1(net.module.relu(net.module.stem(net.context.examples)))))
    assert torch.allclose(apoz.prepare(layer.weight, layer).zeros, (after == 0).float().mean((0, 2, 3)), atol=1e-6)
    second = net.layer("stage1.0.conv2")  # its rectifier takes a sum
    assert apoz.refuses(second.weight, second) is not None
    assert torch.equal(bn_gamma.prepare(layer.weight, layer).gamma, block.bn1.weight.abs())
    assert torch.equal(bn_gamma.prepare(second.weight, second).gamma, block.bn2.weight.abs())
    gone = bn_gamma.answer(bn_gamma.prepare(layer.weight, layer), 0.25).decode().flatten(1).abs().sum(1) == 0
    assert set(gone.nonzero().flatten().tolist()) == set(block.bn1.weight.abs().argsort()[:4].tolist())


def test_the_sign_of_a_scale_does_not_matter():
    net = small(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 3), inputs=(12, 1, 6, 6))
    net.module[1].weight.copy_(torch.tensor([0.5, -3.0, 2.0, -0.1]))
    assert bn_gamma.prepare(net.layers[0].weight, net.layers[0]).order.tolist() == [3, 0, 2, 1]


def test_other_examples_teach_under_another_seed():
    net = shipped.load("lenet-5")
    other = Context(net.module, net.layers, net.data, net.example, seed=1)
    assert other.digest != net.context.digest and not torch.equal(other.examples, net.context.examples)
    assert not torch.equal(other.gradients("conv1").mean, net.context.gradients("conv1").mean)
