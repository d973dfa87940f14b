"""Sampling: intervals that hold, allocations that add up, and all examples giving the plain answer."""

import numpy as np
import pytest
import torch

from compression.apply import compress
from compression.engine import sampling, scan
from compression.engine.answers import Answers
from compression.engine.choose import choose
from compression.engine.grid import Bank, full, table
from compression.engine.live import live
from compression.engine.sampling import Counts, Tolerance
from compression.evaluate import evaluate
from compression.recipe import Recipe, step
from compression.score import changed
from compression.zoo import shipped
from compression.zoo.data import Data

STEPS = [step("pruning.magnitude", sparsity=s) for s in (0.5, 0.9)] + [step("quantization.uniform", bits=2, symmetric=True, per="tensor")]


@pytest.fixture(scope="module")
def digits():
    net = shipped.load("digits-mlp")
    data = net.data["test"]
    fast = Answers(choose(net.module, net.layers, data.inputs[:3]))
    return net, data, fast, Bank(net.layers, STEPS), scan.original(fast, data.inputs, 64)


def plain_drop(net, data, weights):
    before, after = net.module(data.inputs).argmax(1), torch.func.functional_call(net.module, weights, (data.inputs,)).argmax(1)
    return float((before == data.labels).double().mean() - (after == data.labels).double().mean())


def counts(differences, design, n):
    """Counts of the first n examples of each stratum, from a table (cells, examples)."""
    parts = [differences[:, o[:k]] for o, k in zip(design.order, n)]
    return Counts(np.tile(n, (len(differences), 1)), np.stack([p.sum(1) for p in parts], 1), np.stack([(p**2).sum(1) for p in parts], 1))


def test_strata_are_equal_disjoint_and_ordered_by_margin():
    margins = np.random.default_rng(0).random(1_003)
    design = sampling.design(margins, 8)
    assert sorted(np.concatenate(design.order)) == list(range(1_003)) and np.ptp(design.sizes) <= 1
    assert all(margins[a].max() <= margins[b].min() for a, b in zip(design.order, design.order[1:]))
    assert not np.array_equal(design.order[0], np.sort(design.order[0])), "any beginning of a stratum is a sample"
    again = sampling.design(margins, 8)
    assert all(np.array_equal(a, b) for a, b in zip(design.order, again.order))


def test_with_all_examples_the_interval_is_the_answer():
    rng = np.random.default_rng(1)
    d = rng.choice([-1.0, 0, 1], p=[0.02, 0.9, 0.08], size=(5, 400))
    design = sampling.design(rng.random(400), 8)
    judged = sampling.judge(counts(d, design, design.sizes), design)
    assert judged.drop == pytest.approx(d.mean(1)) and judged.half == pytest.approx(0)


def test_no_flips_seen_is_not_proof_of_none():
    design = sampling.design(np.arange(800.0), 8)
    judged = sampling.judge(counts(np.zeros((1, 800)), design, np.full(8, 20)), design)
    assert judged.drop[0] == 0 and 0.001 < judged.half[0] < 0.05


def test_half_widths_without_shrinkage_are_the_books():
    """One cell, many examples a stratum: Cochran 1977, Sampling Techniques, equation 5.6."""
    rng = np.random.default_rng(2)
    d = rng.choice([0.0, 1], p=[0.7, 0.3], size=(1, 8_000))
    design = sampling.design(rng.random(8_000), 4)
    judged = sampling.judge(counts(d, design, np.full(4, 1_000)), design)
    variance = sum(0.25**2 * d[0, o[:1000]].var() / 1000 * (1 - 1000 / 2000) for o in design.order)
    assert judged.half[0] == pytest.approx(sampling.Z * variance**0.5, rel=0.01)


def test_examples_go_where_the_differences_are():
    rng = np.random.default_rng(3)
    margins = rng.random(4_000)
    d = (rng.random((6, 4_000)) < 0.3 * (margins < 0.2)).astype(float)
    design = sampling.design(margins, 8)
    c = counts(d, design, np.full(8, 30))
    judged = sampling.judge(c, design)
    wanted = sampling.more(c, judged, design, np.array([True] * 5 + [False]))
    assert (wanted[0] >= c.n[0]).all() and wanted[0, 0] > 2 * wanted[0, -1] and (wanted[5] == c.n[5]).all()
    assert wanted.sum(1)[0] <= 1.4 * 240 + 32 + 240


def test_asking_always_ends():
    design = sampling.design(np.arange(50.0), 8)
    c = counts(np.zeros((1, 50)), design, np.full(8, 2))
    for _ in range(40):
        wanted = sampling.more(c, sampling.judge(c, design), design, np.array([True]))
        if (wanted == design.sizes).all():
            break
        assert wanted.sum() > c.n.sum()
        c = counts(np.zeros((1, 50)), design, wanted[0])
    assert (wanted == design.sizes).all()


@pytest.mark.parametrize("rate", [0.004, 0.03, 0.2, 0.5])
def test_intervals_hold_at_every_look(rate):
    """Flips that thin out with the margin: the share of cells whose interval holds the full answer, at each of six looks."""
    rng = np.random.default_rng(4)
    margins = rng.exponential(size=4_000)
    chance = np.minimum(0.9, 4 * rate * np.exp(-3 * margins))
    d = (rng.random((40, 4_000)) < chance) * rng.choice([1.0, -1], p=[0.7, 0.3], size=(40, 4_000))
    truth, held, strictly = d.mean(1), [], []
    for seed in range(8):
        design = sampling.design(margins, 8, seed)
        n = sampling.start(design, 96)
        for look in range(1, 7):
            c = counts(d, design, n)
            judged = sampling.judge(c, design)
            held.append(np.abs(judged.drop - truth) <= judged.half + 1e-12)
            strict = sampling.judge(c, design, sampling.level(look, strict=True))
            strictly.append(np.abs(strict.drop - truth) <= strict.half + 1e-12)
            n = sampling.more(c, judged, design, np.ones(40, bool))[0]
    assert np.mean(held) >= 0.95 and np.mean(strictly) >= 0.985


def test_strict_levels_spend_five_percent_in_all():
    from statistics import NormalDist

    spent = sum(2 * (1 - NormalDist().cdf(sampling.level(k, True))) for k in range(1, 2_000))
    assert 0.049 < spent <= 0.05 + 1e-6 and sampling.level(3) == sampling.Z


def test_the_full_grid_is_the_plain_answer(digits):
    net, data, fast, bank, _ = digits
    d = table(full(fast, bank, data.inputs, torch.arange(len(data)), 100), data.labels)
    for i, cell in enumerate(bank.cells):
        assert d[i].mean() == pytest.approx(plain_drop(net, data, bank.weights(i)), abs=1e-9), cell


def test_a_scan_down_to_nothing_is_the_plain_answer(digits):
    net, data, fast, bank, first = digits
    last = list(scan.adaptive(fast, bank, data, first, Tolerance(0, 0)))[-1]
    assert last.done and (last.n == len(data)).all() and last.half == pytest.approx(0)
    for i in range(len(bank.cells)):
        assert last.drop[i] == pytest.approx(plain_drop(net, data, bank.weights(i)), abs=1e-9)


def test_all_examples_are_asked_in_whole_batches_of_all_strata(digits, monkeypatch):
    _, data, fast, bank, first = digits
    asked, own = [], Answers.changed

    def watched(self, x, record, pairs, many=False):
        asked.append((len(x), pairs.rows is None, many))
        return own(self, x, record, pairs, many)

    monkeypatch.setattr(Answers, "changed", watched)
    states = list(scan.adaptive(fast, bank, data, first, Tolerance(0, 0), pilot=40, batch=64))
    whole = [n for n, all_rows, many in asked if all_rows and many]
    assert states[-1].looks == 2 and sum(whole) == len(bank.measured) * (len(data) - int(states[0].n[0]))
    early = states[2]
    assert early.looks == 1 and (early.n < len(data)).all() and (early.counts.n > states[0].counts.n).all(), "its share of every stratum"
    rest = list(scan.adaptive(fast, bank, data, first, Tolerance(0, 0), pilot=40, batch=64, state=early))
    assert np.array_equal(rest[-1].drop, states[-1].drop) and np.array_equal(rest[-1].n, states[-1].n)
    looser = next(s for s in scan.adaptive(fast, bank, data, first, Tolerance(0.02, 0.1), pilot=40) if s.done)
    opened = scan.State(**{**vars(looser), "open": looser.n < len(data)})
    rest = list(scan.adaptive(fast, bank, data, first, Tolerance(0, 0), pilot=40, batch=64, state=opened))
    assert rest[-1].drop == pytest.approx(states[-1].drop, abs=1e-12), "after a scan that was content with less"


def test_a_scan_streams_narrows_and_stops(digits):
    _, data, fast, bank, first = digits
    states = list(scan.adaptive(fast, bank, data, first, Tolerance(0.03, 0.2), pilot=40, batch=32))
    n = np.stack([s.n for s in states])
    assert len(states) > 4 and (np.diff(n, axis=0) >= 0).all() and states[-1].done
    assert (states[-1].half <= np.maximum(0.03, 0.2 * np.abs(states[-1].drop)) + 1e-9).all()
    assert states[-1].n.mean() < len(data)


def test_a_scan_goes_on_where_it_stopped(digits):
    _, data, fast, bank, first = digits
    whole = list(scan.adaptive(fast, bank, data, first, Tolerance(0.02, 0.1), pilot=40))
    half = next(s for s in whole if s.looks == 2)
    rest = list(scan.adaptive(fast, bank, data, first, Tolerance(0.02, 0.1), pilot=40, state=half))
    assert rest[-1].done and (rest[-1].n >= half.n).all()
    closed = ~half.open
    assert np.array_equal(rest[-1].n[closed], half.n[closed])


def test_cells_without_effect_cost_nothing(digits):
    net, data, fast, _, first = digits
    bank = Bank(net.layers, [step("quantization.uniform", bits=32), step("pruning.magnitude", sparsity=0.0)])
    assert bank.same == {0, 1, 2, 3} and not bank.measured
    states = list(scan.adaptive(fast, bank, data, first))
    assert len(states) == 1 and states[0].done and (states[0].drop == 0).all() and (states[0].n == 0).all()


def test_little_memory_decodes_again_and_says_the_same(digits):
    net, data, fast, bank, _ = digits
    small = Bank(net.layers, STEPS, bytes_kept=1)
    rows = torch.arange(40)
    assert len(small._decoded) == 1
    assert np.array_equal(table(full(fast, small, data.inputs, rows, 20), data.labels), table(full(fast, bank, data.inputs, rows, 20), data.labels))


def test_the_ranking_puts_harsh_above_mild(digits):
    net, _, fast, bank, _ = digits
    divergence = dict(scan.ranking(fast, bank, net.data["train"].inputs[:32]))
    assert set(divergence) == set(range(len(bank.cells))) and all(v >= -1e-6 for v in divergence.values())
    assert divergence[1] > divergence[0] and divergence[4] > divergence[3]


def test_live_accuracy_ends_in_what_evaluate_says(digits):
    net, data, fast, _, first = digits
    done = compress(net, Recipe((step("pruning.magnitude", sparsity=0.8),)))
    weights = changed(done, done.weights())
    design = sampling.design(first.margins)
    seen = [s for s in live(fast, weights, data, first, design, piece=32) if s is not None]
    q = list(evaluate(net, weights, data))[-1].quality
    assert seen[-1].complete and seen[-1].half == pytest.approx(0)
    assert seen[-1].accuracy == pytest.approx(q.accuracy.value) and seen[-1].drop == pytest.approx(-q.change.value)
    assert (seen[-1].newly_wrong, seen[-1].newly_right) == (q.newly_wrong, q.newly_right)
    assert 200 <= seen[0].n < len(data) and seen[0].low <= seen[-1].drop <= seen[0].high


def test_live_accuracy_works_in_small_pieces(digits):
    net, data, fast, _, first = digits
    done = compress(net, Recipe((step("pruning.magnitude", sparsity=0.8),)))
    sizes = []
    fast.engine.operations  # noqa: B018  (a graph engine: the hook below sees its layers)
    handle = dict(fast.engine.root.named_modules())["fc1"].register_forward_hook(lambda m, i, o: sizes.append(len(o)))
    try:
        steps = live(fast, changed(done, done.weights()), data, first, sampling.design(first.margins), piece=32)
        for _ in range(3):
            sizes.clear()
            next(steps)
            assert sum(sizes) <= 2 * 32, "no more than one piece between two looks"
    finally:
        handle.remove()


def test_live_accuracy_keeps_what_comes_before_the_first_change(digits):
    net, data, fast, _, first = digits
    design, kept, ran = sampling.design(first.margins), {}, []
    weights = [{"fc2.weight": net.layers[1].weight * f} for f in (0.5, -1.0)]
    plain = [next(s for s in live(fast, w, data, first, design) if s) for w in weights]
    handle = dict(fast.engine.root.named_modules())["fc1"].register_forward_hook(lambda *_: ran.append(1))
    try:
        found = [next(s for s in live(fast, w, data, first, design, kept=kept) if s) for w in weights]
    finally:
        handle.remove()
    assert [f.drop for f in found] == [p.drop for p in plain] and len(ran) == len(kept)


def test_live_without_changes_or_without_labels(digits):
    net, data, fast, _, first = digits
    design = sampling.design(first.margins)
    nothing = list(live(fast, {}, data, first, design))
    assert len(nothing) == 1 and nothing[0].complete and nothing[0].drop == nothing[0].half == 0
    bare = Data("mine", "test", data.inputs, None, data.classes)
    weights = {"fc2.weight": net.layers[1].weight.flip(0)}
    last = list(live(fast, weights, bare, first, design))[-1]
    assert last.accuracy is None and last.drop == pytest.approx(float((last.told.top != first.answers[last.rows]).double().mean()))
