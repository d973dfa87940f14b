"""Asked in bfloat16 first: the answers stay the plain path's, and what is in doubt, or no sooner, is asked in float32."""

from itertools import accumulate, cycle

import pytest
import torch
from engines import HARSH, plain_scores
from torch import nn

from compression import crew
from compression.apply import encode
from compression.engine import scan, screen
from compression.engine.answers import Answers, Mismatch
from compression.engine.choose import choose
from compression.engine.grid import Bank
from compression.engine.plain import Pairs
from compression.engine.screen import Screen
from compression.network import network
from compression.zoo import shipped


def screened(net, x, quicker=True):
    """Answers with a screen whose clock says that bfloat16 takes a tenth of the time, or ten times as long."""
    fast = Answers(choose(net.module, net.layers, x[:3]))
    times = accumulate(cycle([0, 10, 0, 1] if quicker else [0, 1, 0, 10]))  # start and end of float32, then of bfloat16
    fast._screen = Screen(fast.engine, lambda: next(times))
    return fast


@pytest.mark.parametrize("name", shipped.available())
def test_every_shipped_network_gives_the_plain_answers_when_screened(name):
    net = shipped.load(name)
    x = net.data["test"].inputs[: 4 if net.data["test"].kind == "text" else 160]
    if net.data["test"].kind == "text":
        fast = Answers(choose(net.module, net.layers, x[:3]))
        assert fast.screen() is None, "one character in doubt would call for the whole window"
    else:
        fast = screened(net, x)
    rows = [torch.arange(0, len(x), 2), torch.tensor([len(x) - 1, 0, 3])]
    for layer in net.layers[:: max(1, len(net.layers) // 4)]:
        cells = [dict.fromkeys(layer.names, encode(layer, (s,))[0].decode()) for s in HARSH]
        right = [plain_scores(net.module, w, x).argmax(-1) for w in cells]
        record = fast.engine.record(x, [frozenset(layer.names)])
        for _ in range(2):  # with the pilot, and after it
            assert torch.equal(fast.changed(x, record, Pairs(cells), many=True), torch.cat(right)), layer.name
        assert torch.equal(fast.changed(x, record, Pairs(cells, rows), many=True), torch.cat([r[i] for r, i in zip(right, rows)]))
    if fast.screen():
        assert any(k.screened > k.settled for k in fast.screen().known.values()), "nothing was left to bfloat16"


def close_call():
    """Scores that lie so close together that bfloat16 often mistakes the best."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))
    return network("x", "X", module), torch.randn(400, 8)


def test_the_screen_is_sure_only_thanks_to_its_guard(monkeypatch):
    net, x = close_call()
    weights = [{"0.weight": net.layers[0].weight * 0.9}]
    right = plain_scores(net.module, weights[0], x).argmax(-1)
    fast = screened(net, x)
    assert torch.equal(fast.changed(x, fast.engine.dense(x)[1], Pairs(weights), many=True), right)
    monkeypatch.setattr(screen, "FACTOR", 0.0)
    monkeypatch.setattr(screen, "FLOOR", 0.0)
    fast = screened(net, x)
    assert not torch.equal(fast.changed(x, fast.engine.dense(x)[1], Pairs(weights), many=True), right)


def test_only_pilot_and_doubtful_examples_are_asked_again():
    net = shipped.load("resnet-20")
    x = net.data["test"].inputs[:128]
    fast = screened(net, x)
    own, rough = fast.engine, fast.screen().rough
    asked = {"exact": 0, "rough": 0}
    for name, engine in (("exact", own), ("rough", rough)):
        engine.root.get_submodule("fc").register_forward_hook(lambda m, i, o, name=name: asked.update({name: asked[name] + len(o)}))
    cells = [{"stage2.1.conv1.weight": net.layers[11].weight * s} for s in (0.9, 0.8)]
    _, record = own.dense(x)
    fast.changed(x, record, Pairs(cells), many=True)  # the pilot, and the clock
    known = [fast.screen().known[w["stage2.1.conv1.weight"]] for w in cells]
    before, asked["exact"], asked["rough"] = [k.settled for k in known], 0, 0
    assert all(k.both >= screen.PILOT for k in known)
    fast.changed(x, record, Pairs(cells), many=True)
    assert asked == {"exact": sum(k.settled for k in known) - sum(before), "rough": 256}
    fast.changed(x, record, Pairs(cells))
    assert asked["rough"] == 256, "who does not come back often is asked in float32"


def test_what_the_screen_does_not_help_goes_back_to_float32(monkeypatch):
    net, x = close_call()
    layer = net.layers[0]
    pairs = Pairs([{"0.weight": layer.weight * 0.9}])
    slow, few, doubtful = screened(net, x, quicker=False), screened(net, x), screened(net, x)
    _, rough = slow.screen().changed(slow.engine.dense(x)[1], pairs)
    assert not rough.any(), "bfloat16 is slower here"
    record = few.engine.dense(x[: screen.ENOUGH - 1])[1]
    assert not few.screen().changed(record, pairs)[1].any() and few.screen().changed(record, pairs)[1].any(), "at the second sight"
    monkeypatch.setattr(screen, "FACTOR", 100.0)
    record = doubtful.engine.dense(x)[1]
    doubtful.screen().changed(record, pairs)
    known = doubtful.screen().known[pairs.weights[0]["0.weight"]]
    assert known.hopeless
    doubtful.screen().changed(record, pairs)
    assert known.screened < len(x), "asked in float32 from then on"


def test_rough_and_exact_variants_side_by_side_keep_their_places():
    net, x = close_call()
    fast = screened(net, x)
    cells = [{"0.weight": net.layers[0].weight * s} for s in (0.9, -1.0, 0.5)]
    record = fast.engine.dense(x)[1]
    fast.screen().changed(record, Pairs(cells))
    hopeless = fast.screen().known[cells[1]["0.weight"]]
    hopeless.settled = hopeless.screened
    scores, rough = fast.screen().changed(record, Pairs(cells))
    right = torch.cat([plain_scores(net.module, w, x) for w in cells])
    assert torch.equal(scores.argmax(-1), right.argmax(-1))
    assert [bool(part.any()) for part in rough.chunk(3)] == [True, False, True]
    torch.testing.assert_close(scores[~rough], right[~rough])


def test_the_shadow_check_finds_a_wrong_screen(monkeypatch):
    net, x = close_call()
    fast = screened(net, x)
    fast.shadow = 1.0
    record, pairs = fast.engine.dense(x)[1], Pairs([{"0.weight": net.layers[0].weight * 0.9}])
    fast.changed(x, record, pairs, many=True)
    monkeypatch.setattr(screen, "FACTOR", 0.0)
    monkeypatch.setattr(screen, "FLOOR", 0.0)
    with pytest.raises(Mismatch, match="answers differ from the plain path's"):
        for _ in range(3):
            fast.changed(x, record, pairs, many=True)


def test_unsure_examples_are_those_of_the_smallest_leads():
    net, x = close_call()
    fast = Answers(choose(net.module, net.layers, x[:3]))
    lead = plain_scores(net.module, {}, x).topk(2, -1).values.diff().abs().squeeze(-1)
    rows = scan.unsure(fast, x, 20)
    assert len(set(rows.tolist())) == 20 and lead[rows].max() <= lead.kthvalue(100).values and lead[rows].min() == lead.min()
    assert sorted(scan.unsure(fast, x[:5], 20).tolist()) == list(range(5)), "no more than there are"


def test_a_first_ranking_sharpens_the_answers_to_examples_in_doubt():
    net = shipped.load("digits-mlp")
    teach = net.data["train"]
    fast, bank = Answers(choose(net.module, net.layers, teach.inputs[:3])), Bank(net.layers, HARSH)
    near, all_near = crew.doubted(fast, teach), teach.inputs[:256]
    leads, usual = (net.module(x).topk(2, -1).values.diff().abs() for x in (near, all_near))
    assert len(near) == 32 and leads.max() <= usual.median()
    for i, nats in crew.first_ranking(fast, bank, teach):
        old, new = ((plain_scores(net.module, w, near) / 0.7).log_softmax(-1) for w in ({}, bank.weights(i)))
        assert nats == pytest.approx(float((old.exp() * (old - new)).sum(-1).mean()), rel=1e-4, abs=1e-6)
