"""The engine's quick paths against the plain one: every shipped architecture, and graphs made to trip it up."""

import pytest
import torch
from awkward import Branches, Counting, InPlace, MemoInPlace, Mixing, Noisy, Sizes, Tied, TimeFirst, Twice, dropped
from engines import HARSH, plain_scores, random_network
from torch import nn

from compression.apply import encode
from compression.engine.answers import Answers, Mismatch
from compression.engine.choose import choose
from compression.engine.graph import Graph
from compression.engine.plain import Pairs
from compression.engine.screen import Screen
from compression.engine.tune import pace, record_bytes
from compression.network import network
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO


def agrees(net, x, slow="", every=1):
    """Scores and answers of each layer under two steps, one by one, stacked, and on rows: all as the plain path's."""
    engine = choose(net.module, net.layers, x[:3], slow)
    fast = Answers(engine)
    scores, record = engine.dense(x)
    torch.testing.assert_close(scores, plain_scores(net.module, {}, x), rtol=0, atol=2e-5 * float(scores.abs().max()))
    rows = [torch.arange(0, len(x), 2), torch.tensor([len(x) - 1, 0, 3])]
    for layer in net.layers[::every]:
        cells = [dict.fromkeys(layer.names, encode(layer, (s,))[0].decode()) for s in HARSH]
        right = [plain_scores(net.module, w, x) for w in cells]
        limit = 2e-5 * max(float(r.abs().max()) for r in right)
        torch.testing.assert_close(engine.changed(record, Pairs(cells)), torch.cat(right), rtol=0, atol=limit)
        torch.testing.assert_close(engine.changed(record, Pairs(cells, rows)), torch.cat([r[i] for r, i in zip(right, rows)]), rtol=0, atol=limit)
        torch.testing.assert_close(engine.changed(engine.record(x, [frozenset(layer.names)]), Pairs(cells[:1])), right[0], rtol=0, atol=limit)
        assert torch.equal(fast.changed(x, record, Pairs(cells)), torch.cat(right).argmax(-1)), layer.name
        assert torch.equal(fast.changed(x, record, Pairs(cells, rows)), torch.cat([r.argmax(-1)[i] for r, i in zip(right, rows)]))
    torch.testing.assert_close(engine.dense(x)[0], scores, rtol=0, atol=0)  # nothing is left changed
    return engine


@pytest.mark.parametrize("name", ZOO)
def test_every_architecture_gives_the_plain_answers(name):
    net = random_network(name)
    x = ZOO[name].load("test").inputs[: 6 if ZOO[name].text else 16]
    if ZOO[name].text:
        x = x[:, :32]
    assert agrees(net, x, every=3 if len(net.layers) > 12 else 1).kind == "graph"


@pytest.mark.parametrize("name", shipped.available())
def test_every_shipped_network_gives_the_plain_answers(name):
    net = shipped.load(name)
    few = 8 if net.data["test"].kind == "text" else 64
    assert agrees(net, net.data["test"].inputs[:few], every=4 if len(net.layers) > 12 else 1).kind == "graph"


@pytest.mark.parametrize("name", ["lenet-5", "resnet-20", "row-lstm", "vit"])
def test_without_tracing_the_answers_are_the_same(name):
    assert agrees(random_network(name), ZOO[name].load("test").inputs[:5], "memo", every=3).kind == "memo"


@pytest.mark.parametrize("name", ["lenet-5", "vit"])
def test_the_plain_engine_is_the_plain_path(name):
    assert agrees(random_network(name), ZOO[name].load("test").inputs[:5], "plain", every=3).kind == "plain"


@pytest.mark.parametrize(("module", "x", "kind"), [
    (Twice, torch.randn(7, 6), "graph"),
    (Tied, torch.randint(0, 9, (7, 5)), "graph"),
    (InPlace, torch.randn(7, 1, 6, 6), "graph"),
    (Sizes, torch.randn(7, 3, 4), "graph"),
    (TimeFirst, torch.randn(7, 3, 4), "graph"),
    (dropped, torch.randn(7, 4), "graph"),
    (Branches, torch.randn(7, 4), "memo"),
    (MemoInPlace, torch.randn(7, 1, 6, 6), "memo"),
], ids=lambda v: getattr(v, "__name__", ""))
def test_awkward_graphs_give_the_plain_answers(module, x, kind):
    torch.manual_seed(0)
    net = network("x", "X", module())
    assert agrees(net, x).kind == kind
    if kind == "graph":
        agrees(net, x, "memo")


@pytest.mark.parametrize(("module", "why"), [
    (Counting, "its buffer runs changes while it runs"),
    (Noisy, "its answers differ from run to run"),
    (Mixing, "depends on the other examples"),
])
def test_what_no_shortcut_fits_goes_the_plain_way_and_says_so(module, why):
    net = network("x", "X", module())
    before = {name: b.clone() for name, b in net.module.named_buffers()}
    engine = choose(net.module, net.layers, torch.randn(5, 4))
    assert engine.kind == "plain" and why in engine.why
    assert all(torch.equal(b, before[name]) for name, b in net.module.named_buffers()), "looking at it left its marks"


class Levels(nn.Module):
    """Values on levels after a folded normalisation."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 26 * 26, 3)

    def forward(self, x):
        return self.out(((self.norm(self.conv(x)) * 8).round() / 8).flatten(1))


def test_where_values_are_rounded_on_the_way_no_last_bit_is_moved():
    net = network("x", "X", Levels().eval())
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    assert (engine.kind, engine.rounds, engine.folded, engine.bitwise) == ("graph", True, False, True)
    with pytest.raises(RuntimeError, match="levels"):
        Screen(engine)


@pytest.mark.parametrize("tips", [1, 2, 4])
def test_one_value_that_tips_over_is_no_forgotten_dependence(monkeypatch, tips):
    net = random_network("lenet-5")
    own, changed = Graph.changed, []

    def tipped(self, record, pairs):
        changed.append(pairs)
        return own(self, record, pairs) + (len(changed) == tips)

    monkeypatch.setattr(Graph, "changed", tipped)
    assert choose(net.module, net.layers, torch.randn(3, 1, 28, 28)).kind == "graph"
    monkeypatch.setattr(Graph, "changed", lambda self, record, pairs: own(self, record, pairs) + 1)
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    assert engine.kind != "graph" and "not foreseen" in engine.why


def test_only_what_follows_a_layer_runs_again():
    net = random_network("resnet-20")
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    ran = []
    for name, m in engine.root.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            m.register_forward_hook(lambda *_, name=name: ran.append(name))
    _, record = engine.dense(torch.randn(4, 1, 28, 28))
    assert len(ran) == 22
    for at, layer in enumerate(net.layers):
        ran.clear()
        engine.changed(record, Pairs([{layer.names[0]: layer.weight * 0.9}]))
        shortcut = "shortcut" in layer.name
        assert ran[0] == layer.name and len(ran) <= 22 - at and (shortcut or len(ran) >= 20 - at), "at most both shortcuts are spared"
        ran.clear()
        engine.record(torch.randn(4, 1, 28, 28), [frozenset(layer.names)])
        assert layer.name not in ran and len(ran) <= at + 1


def test_with_all_layers_changed_nothing_runs_twice():
    net = random_network("resnet-20")
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    ran = []
    for name, m in engine.root.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear):
            m.register_forward_hook(lambda *_, name=name: ran.append(name))
    weights = {n: layer.weight * 0.9 for layer in net.layers for n in layer.names}
    engine.changed(engine.record(torch.randn(4, 1, 28, 28), [frozenset(weights)]), Pairs([weights]))
    assert len(ran) == 22


def test_the_cache_is_one_batch_whatever_the_data():
    net = random_network("lenet-5")
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    _, record = engine.dense(torch.randn(8, 1, 28, 28))
    kept = [v for v in record if isinstance(v, torch.Tensor)]
    assert 0 < len(kept) <= len(net.layers) + 2, "only what some layer's change may read"


def test_neither_network_nor_weights_are_touched():
    net = random_network("resnet-20")
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    agrees(net, torch.randn(4, 1, 28, 28), every=7)
    assert all(torch.equal(v, before[k]) for k, v in net.module.state_dict().items())


def test_the_shadow_check_finds_a_forgotten_dependence():
    net = random_network("lenet-5")
    x = torch.randn(6, 1, 28, 28)
    fast = Answers(choose(net.module, net.layers, x), shadow=1.0)
    _, record = fast.engine.dense(x)
    pairs = Pairs([{"conv1.weight": net.layers[0].weight * -1}])
    fast.changed(x, record, pairs)
    assert fast.checked == 6
    plan = fast.engine.plans[frozenset(["conv1.weight"]), False]
    fast.engine.plans[frozenset(["conv1.weight"]), False] = plan._replace(stages=plan.stages[-1:])
    with pytest.raises(Mismatch, match=r"conv1\.weight: scores of the graph engine are off"):
        fast.changed(x, fast.engine._everything(x), pairs)


def test_ties_are_settled_by_the_plain_path():
    module = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    nn.init.zeros_(module[1].bias)
    net = network("x", "X", module)
    x = torch.randn(5, 4)
    fast = Answers(choose(net.module, net.layers, x))
    fast.engine.bitwise = False
    _, record = fast.engine.dense(x)
    same = fast.changed(x, record, Pairs([{"1.weight": torch.zeros(3, 6)}]))
    assert torch.equal(same, torch.zeros(5, dtype=torch.long)) and fast.asked == 5


def test_weights_beside_the_changed_ones_may_be_a_recipes():
    net = random_network("lenet-5")
    x = torch.randn(6, 1, 28, 28)
    for slow in ("", "memo", "plain"):
        engine = choose(net.module, net.layers, x, slow)
        base = {n: layer.weight * 0.7 for layer in net.layers for n in layer.names}
        moved = base | {"fc1.weight": net.layers[2].weight.flip(0)}
        record = engine.record(x, [frozenset(["fc1.weight"])], base)
        got = engine.changed(record, Pairs([moved], None, frozenset(["fc1.weight"])))
        torch.testing.assert_close(got, plain_scores(net.module, moved, x), rtol=1e-4, atol=1e-5)


def test_two_engines_side_by_side():
    net = random_network("vgg-small")
    x = torch.randn(6, 1, 28, 28)
    one = Answers(choose(net.module, net.layers, x))
    two = one.twin()
    pairs = Pairs([{"conv2.weight": net.layers[1].weight * 0.5}])
    assert torch.equal(one.changed(x, one.engine.dense(x)[1], pairs), two.changed(x, two.engine.dense(x)[1], pairs))


def test_the_pace_fits_memory_and_data():
    net = random_network("lenet-5")
    engine = choose(net.module, net.layers, torch.randn(3, 1, 28, 28))
    assert record_bytes(engine, torch.randn(4, 1, 28, 28)) == record_bytes(engine, torch.randn(9, 1, 28, 28)) > 4 * 784
    found = pace(engine, torch.randn(40, 1, 28, 28), bytes_kept=17 * int(record_bytes(engine, torch.randn(2, 1, 28, 28))))
    assert found.batch in (8, 16) and 1 <= found.piece <= 16
    assert pace(engine, torch.randn(2, 1, 28, 28)).piece <= 2


def test_ties_call_for_the_whole_batch_only_until_its_size_is_known_to_make_no_difference():
    module = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    net = network("x", "X", module)
    x = torch.randn(8, 4)
    x[0] = 0  # here, and only here, all scores of the variant are the same
    nn.init.zeros_(module[0].bias), nn.init.zeros_(module[1].bias)
    fast = Answers(choose(net.module, net.layers, x))
    fast.engine.bitwise = False
    record, pairs = fast.engine.dense(x)[1], Pairs([{"1.weight": net.layers[1].weight * 0.5}])
    fast.changed(x, record, pairs)
    assert fast.asked == 1 + 8
    fast._alike[8, 1] = True
    fast.changed(x, record, pairs)
    assert fast.asked == 9 + 1
    fast._alike[8, 1] = False
    fast.changed(x, record, pairs)
    assert fast.asked == 10 + 1 + 8, "where sizes differ, a tie of the alone is no proof of the batch's"
