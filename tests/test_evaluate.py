"""Accuracy with its interval: against plain loops, against scikit-learn's counts, and by hand."""

import threading

import pytest
import torch
from torch import nn

from compression.apply import compress
from compression.data import Data
from compression.evaluate import evaluate, order, parts, sign_test, skeleton
from compression.network import network
from compression.recipe import Recipe, step
from compression.score import changed, score
from compression.zoo import shipped

HALF = Recipe((step("pruning.magnitude", sparsity=0.6),))


def last(net, recipe, split="validation", **more):
    done = compress(net, recipe)
    return list(evaluate(net, changed(done, done.weights()), net.data[split], **more))[-1]


def test_it_counts_what_a_plain_loop_counts():
    net = shipped.load("lenet-300-100")
    data = net.data["validation"]
    done = compress(net, HALF)
    module = skeleton(net.module)
    with torch.inference_mode():
        before = module(data.inputs).argmax(1)
        module.load_state_dict(module.state_dict() | done.weights(), assign=True)
        after = module(data.inputs).argmax(1)
    q = last(net, HALF).quality
    was, now = before == data.labels, after == data.labels
    assert q.n == q.of == q.predictions == 5_000 and q.complete
    assert q.accuracy.value == pytest.approx(float(now.double().mean()))
    assert q.original.value == pytest.approx(float(was.double().mean()))
    assert (q.newly_wrong, q.newly_right) == (int((was & ~now).sum()), int((now & ~was).sum()))
    assert q.changed == int((before != after).sum()) and q.agreement.value == pytest.approx(1 - q.changed / 5_000)
    assert q.change.value == pytest.approx((q.newly_right - q.newly_wrong) / 5_000)


def test_the_paired_interval_is_the_one_in_the_books():
    q = last(shipped.load("lenet-300-100"), HALF).quality
    b, c, n = q.newly_wrong, q.newly_right, q.n
    half = 1.959964 * (b + c - (b - c) ** 2 / n) ** 0.5 / n
    assert q.change.high - q.change.value == pytest.approx(half, rel=1e-6)
    assert (q.change.high - q.change.low) < (q.accuracy.high - q.accuracy.low), "pairing is worth something"


def test_sign_test_by_hand():
    assert sign_test(0, 0) == 1 and sign_test(5, 5) == 1
    assert sign_test(14, 8) == pytest.approx(0.2863, abs=1e-4)
    assert sign_test(600, 500) == pytest.approx(0.00282, abs=2e-4)  # the exact binomial gives 0.0028
    assert sign_test(3, 9) == sign_test(9, 3)


def test_nothing_changed_gives_exact_zeros_and_shares_the_answers():
    progress = last(shipped.load("lenet-300-100"), Recipe())
    q = progress.quality
    assert (q.change.value, q.change.low, q.change.high, q.changed, q.newly_wrong) == (0, 0, 0, 0, 0)
    assert progress.new[0] is progress.old[0] and q.agreement.value == 1


def test_the_original_answers_once():
    net, dense, asked = shipped.load("digits-mlp"), {}, []
    hook = lambda *_: asked.append(1)  # noqa: E731
    handle = nn.modules.module.register_module_forward_hook(lambda m, *_: hook() if isinstance(m, nn.Sequential) else None)
    try:
        last(net, HALF, dense=dense)
        first = len(asked)
        last(net, HALF, dense=dense)
    finally:
        handle.remove()
    assert len(asked) - first == first / 2 == len(parts(net.data["validation"]))


def test_any_beginning_is_a_sample_and_the_order_is_fixed():
    data = shipped.load("lenet-5").data["test"]
    rows = order(data)
    assert torch.equal(rows, order(data)) and torch.equal(rows.sort().values, torch.arange(10_000))
    assert torch.bincount(data.labels[rows[:1000]]).min() > 70
    assert sum(map(len, parts(data))) == 10_000


def test_text_is_judged_by_characters_with_intervals_between_windows():
    net = shipped.load("char-lstm")
    data = net.data["validation"]
    few = Data(data.name, data.split, data.inputs[:40], data.labels[:40], data.classes, "text")
    done = compress(net, Recipe((step("quantization.uniform", bits=3),)))
    q = list(evaluate(net, done.weights(), few))[-1].quality
    assert (q.n, q.predictions) == (40, 40 * 128) and q.chance is None
    assert q.bits == pytest.approx(q.loss / 0.693147, rel=1e-5) and q.loss > q.original_loss
    spread = (q.accuracy.high - q.accuracy.low) / 2
    independent = 1.96 * (q.accuracy.value * (1 - q.accuracy.value) / q.predictions) ** 0.5
    assert spread > independent, "characters of one window hang together"


def test_without_labels_there_is_agreement_only():
    net = shipped.load("digits-mlp")
    data = net.data["test"]
    bare = Data("mine", "test", data.inputs, None, data.classes)
    q = list(evaluate(net, compress(net, HALF).weights(), bare))[-1].quality
    assert q.accuracy is None and q.change is None and q.loss is None and 0 < q.agreement.value < 1


def test_two_threads_do_not_disturb_each_other():
    net = shipped.load("lenet-300-100")
    alone = {s: last(net, Recipe((step("pruning.magnitude", sparsity=s),))).quality for s in (0.5, 0.9)}
    found = {}

    def work(s):
        torch.set_num_threads(1)
        found[s] = last(net, Recipe((step("pruning.magnitude", sparsity=s),))).quality

    threads = [threading.Thread(target=work, args=(s,)) for s in alone]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == alone


def test_a_score_holds_everything():
    found = score(shipped.load("digits-mlp"), HALF, "test")
    assert found.file_bytes < found.original_bytes and found.multiply_adds == found.original_multiply_adds == 64 * 64 + 640
    assert found.error.zeros == pytest.approx(0.6, abs=0.01) and found.quality.complete


def test_weights_that_are_no_numbers_are_refused():
    module = nn.Linear(3, 2)
    module.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="weight has 1 values that are not finite"):
        network("x", "X", module)
