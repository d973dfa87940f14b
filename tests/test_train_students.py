"""Which part of a network teaches which: stages, students of every architecture, and what each signal moves."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compression.recipe import Recipe
from compression.train.distil.features import heads, look, matched, stages
from compression.train.distil.signal import SIGNALS
from compression.train.distil.students import STUDENT, renewed, untrained
from compression.train.distil.teaching import Lesson, prepared
from compression.train.procedure import Task
from compression.zoo import shipped


def some(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "count"), [("lenet-300-100", 2), ("lenet-5", 3), ("resnet-20", 10), ("depthwise", 13), ("vit", 6),
                                             ("row-lstm", 1), ("char-gpt", 5), ("digits-mlp", 1)])
def test_stages_of_every_kind_of_network(name, count):
    net = shipped.load(name)
    example = net.data["validation"].inputs[:3]
    places = stages(net.module, example)
    assert len(places) == count
    with torch.no_grad():
        seen = look(net.module, example, places, heads(net.module))
        assert torch.equal(seen.scores, net.module(example).flatten(0, -2)), "looking changes nothing"
    assert all(x.ndim == 4 and len(x) == 3 for x in seen.hidden) and not net.module._forward_hooks
    if name in ("vit", "char-gpt"):
        assert len(seen.attention) == 4
    if name == "lenet-300-100":
        assert places[0] == ("relu1", "fc1") and torch.equal(seen.before[0].relu(), seen.hidden[0])


def test_attention_scores_are_those_of_the_block():
    net = shipped.load("vit")
    block, x = net.module.blocks[0], some(2, 5, 64)
    with torch.no_grad():
        y = block.norm1(x)
        _, weights = block.attention(y, y, y, average_attn_weights=False)
        chain = nn.Sequential(block)
        assert torch.allclose(look(chain, x, (), ("0.attention",)).attention[0].softmax(-1), weights, atol=1e-6)


def test_stages_are_matched_by_depth():
    assert matched(3, 9) == ((0, 2), (1, 5), (2, 8)) and matched(1, 2) == ((0, 1),) and matched(0, 2) == ()


def test_there_is_a_student_of_every_architecture_and_it_is_smaller():
    for name in shipped.available():
        net = shipped.load(name)
        counts = []
        for which in STUDENT.ladder:
            if which == "half depth" and name.endswith("lstm"):
                with pytest.raises(ValueError, match="narrower"):
                    untrained(net, which, 0)
                continue
            module = untrained(net, which, 0)
            example = net.data["validation"].inputs[:2]
            with torch.no_grad():
                assert module.eval()(example).shape == net.module(example).shape
            counts.append(sum(p.numel() for p in module.parameters()))
        assert counts[-1] == net.parameters and max(counts[:-1]) < net.parameters and counts[:3] == sorted(counts[:3], reverse=True)


def test_a_student_is_drawn_by_its_seed_alone():
    net = shipped.load("digits-mlp")
    torch.manual_seed(3)
    first = untrained(net, "half width", 1).fc1.weight
    torch.manual_seed(4)
    assert torch.equal(first, untrained(net, "half width", 1).fc1.weight)
    assert not torch.equal(first, untrained(net, "half width", 2).fc1.weight)
    again = renewed(net.module)
    assert again.fc1.weight.shape == net.module.fc1.weight.shape and not torch.equal(again.fc1.weight, net.module.fc1.weight)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("name", ["digits-mlp", "lenet-5", "vit", "char-gpt"])
def test_every_signal_moves_every_part_of_a_student_or_says_why_not(name, signal):
    net = shipped.load(name)
    task, body = Task(net, Recipe()), untrained(net, "half width", 0)
    few = 6 if net.data["train"].kind != "text" else 2
    inputs, labels = (x[:few] for x in (net.data["train"].inputs, net.data["train"].labels))
    try:
        pupil, loss = prepared(task, body, Lesson(net.module, signal, 4.0, 0.7), task.teach)
        worth = loss(pupil, inputs, labels)
    except ValueError as refusal:
        assert (name, signal) in {("digits-mlp", "attention maps"), ("digits-mlp", "flow"), ("digits-mlp", "attention"), ("lenet-5", "attention")}
        assert "signal" in str(refusal)
        return
    worth.backward()
    assert bool(worth.isfinite()) and all(p.grad is not None and p.grad.isfinite().all() for p in pupil.parameters())
    assert all(p.grad is None for p in net.module.parameters())
    plain = F.cross_entropy(look(body, inputs).scores, labels.flatten())
    assert worth.item() != pytest.approx((1 - 0.7) * plain.item(), rel=1e-5), "the signal says something"
