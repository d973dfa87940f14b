"""A against B: what plain counting by hand gives, what an exchange does, and what equals give."""

from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compression import compare
from compression.compare import BETTER, CHANGED, OTHER, SAME, WORSE
from compression.data import Data
from compression.evaluate import Answers
from compression.writing import encoded, parting, writing
from compression.zoo import shipped

NAMES = ("cat", "dog", "owl")


def data(labels, kind="images"):
    labels = None if labels is None else torch.tensor(labels)
    return Data("Ten", "validation", torch.zeros(10 if labels is None else len(labels), 1), labels, NAMES, kind)


def said(top, confidence=None):
    top = torch.tensor(top)
    sure = torch.full(top.shape, 0.5) if confidence is None else torch.tensor(confidence)
    return Answers(top, sure, torch.zeros(top.shape))


def test_by_hand():
    truth = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    a, b = said([0, 0, 1, 1, 1, 2, 2, 2, 0, 2]), said([0, 1, 0, 1, 2, 0, 2, 2, 1, 0])
    found = compare.compare(data(truth), torch.arange(10), a, b)
    assert found.sorts.tolist() == [SAME, WORSE, BETTER, SAME, WORSE, OTHER, SAME, SAME, OTHER, WORSE]
    assert [found.count(s) for s in (WORSE, BETTER, OTHER)] == [3, 1, 2] and (found.worse, found.better) == (3, 1)
    assert found.chance == pytest.approx(2 * (comb(4, 0) + comb(4, 1)) / 16)
    assert [(c.n, c.a, c.b, c.worse, c.better) for c in found.by_class] == [(3, 2, 2, 1, 1), (3, 2, 1, 1, 0), (4, 3, 2, 1, 0)]
    assert found.confusion.tolist() == [[0, 0, 0], [1, -1, 0], [0, 1, -1]]
    assert compare.most_changed(found.confusion, 9) == [(1, 0, 1), (2, 1, 1)]
    q = found.quality
    assert (q.original.value, q.accuracy.value, q.change.value) == (0.7, 0.5, pytest.approx(-0.2))
    assert (q.newly_wrong, q.newly_right, q.changed) == (3, 1, 6)


def test_the_test_of_text_counts_windows_and_not_characters():
    truth = [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    a, b = said([[0, 0, 0], [1, 1, 0], [2, 0, 0]]), said([[0, 1, 1], [1, 0, 1], [2, 2, 0]])
    found = compare.compare(data(truth, "text"), torch.arange(3), a, b)
    assert (found.quality.newly_wrong, found.quality.newly_right) == (3, 2)
    assert (found.worse, found.better, found.chance) == (1, 1, 1.0), "one window lost two characters, one kept as many, one won one"


def test_calibration_by_hand():
    sure = torch.tensor([0.05, 0.5, 0.5, 0.95, 1.0])
    right = torch.tensor([False, True, False, True, True])
    found = compare.calibration(sure, right, bins=2)
    assert [(b.count, round(b.confidence, 6), round(b.accuracy, 6)) for b in found.bins] == [(3, 0.35, 0.333333), (2, 0.975, 1.0)]
    assert found.error == pytest.approx((abs(1.05 - 1) + abs(1.95 - 2)) / 5)
    sharp = compare.calibration(torch.ones(4), torch.tensor([True, True, True, False]))
    assert sharp.error == pytest.approx(0.25) and sum(b.count for b in sharp.bins) == 4


def test_the_surest_answers_come_first():
    a, b = said([0, 0, 0], [0.4, 0.9, 0.5]), said([1, 1, 0], [0.4, 0.9, 0.5])
    found = compare.compare(data([0, 0, 0]), torch.arange(3), a, b)
    assert compare.places(found, a, b, WORSE).tolist() == [[1], [0]] and not len(compare.places(found, a, b, BETTER))


def test_without_labels_only_changes_are_told():
    found = compare.compare(data(None), torch.arange(3), said([0, 1, 2]), said([0, 2, 2]))
    assert found.count(CHANGED) == 1 and found.chance is None and found.confusion is None and not found.by_class
    assert compare.places(found, said([0, 1, 2]), said([0, 2, 2]), None).tolist() == [[1]]


answers = st.lists(st.tuples(*[st.integers(0, 2)] * 3, *[st.floats(0.01, 1)] * 2), min_size=1, max_size=40)


@given(answers)
def test_an_exchange_flips_every_sign(rows):
    truth, a, b, sure, surer = map(list, zip(*rows))
    a, b, every = said(a, sure), said(b, surer), torch.arange(len(rows))
    there, back = compare.compare(data(truth), every, a, b), compare.compare(data(truth), every, b, a)
    assert torch.equal(there.confusion, -back.confusion)
    assert [c.change for c in there.by_class] == [-c.change for c in back.by_class]
    assert (there.worse, there.better, there.chance) == (back.better, back.worse, back.chance)
    assert there.quality.change.value == -back.quality.change.value and there.calibration == back.calibration[::-1]
    assert [there.count(s) for s in (SAME, WORSE, BETTER, OTHER)] == [back.count(s) for s in (SAME, BETTER, WORSE, OTHER)]
    assert int(there.confusion.sum()) == 0 and sum(c.n for c in there.by_class) == len(rows)


@given(answers)
def test_equals_differ_by_exactly_nothing(rows):
    truth, a, _, sure, _ = map(list, zip(*rows))
    found = compare.compare(data(truth), torch.arange(len(rows)), said(a, sure), said(a, sure))
    assert found.equal and found.quality.change.value == 0.0 and not found.confusion.any() and found.chance == 1.0
    assert not any(c.change or c.worse or c.better for c in found.by_class) and found.calibration[0] == found.calibration[1]


def test_two_networks_with_the_same_weights_write_the_same_text():
    net = shipped.load("char-lstm")
    data = net.data["validation"]
    prompt = encoded("Anne was ", data)
    alone = list(writing(net, None, prompt, 30, 128, seed=3))
    copied = {layer.names[0]: layer.weight.clone() for layer in net.layers}
    assert alone == list(writing(net, copied, prompt, 30, 128, seed=3)) != list(writing(net, None, prompt, 30, 128, seed=4))
    greedy = next(writing(net, None, prompt, 1, 128, temperature=0))
    with torch.inference_mode():
        assert greedy == int(net.module(prompt[None])[0, -1].argmax())
    with pytest.raises(ValueError, match="'é'"):
        encoded("café", data)
    with pytest.raises(ValueError, match="empty"):
        encoded("", data)


def test_where_two_texts_part():
    assert parting("abc", "abd") == 2 and parting("ab", "abc") is None and parting("", "x") is None
