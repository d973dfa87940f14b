"""From a wish to a measured proposal: options measured once, promises kept by measurement, files within their budgets, and the best proven."""

import json
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
import torch

from compression.apply import compress
from compression.budget import options as budget_options
from compression.budget.joint import divergence
from compression.budget.options import measuring, original_operations, restored
from compression.budget.plans import ALONE, SOLVER, Bench, Wish, drop
from compression.budget.proposing import proposing
from compression.budget.recorded import recorded
from compression.budget.tables import merged
from compression.engine.instrument import Instrument
from compression.evaluate import ask
from compression.export import pack
from compression.measure import multiply_adds
from compression.method import drained
from compression.recipe import Recipe, from_json, step
from compression.registry import dial
from compression.score import changed, size_of
from compression.sensitivity import scan
from compression.zoo import shipped

BITS = [step("quantization.uniform", bits=b) for b in (8, 6, 5, 4, 3, 2)]
RANKS = [step("lowrank.svd", rank=r) for r in (0.3, 0.15)]
CODED = (step("coding.huffman"),)


@cache
def ready():
    net = shipped.load("digits-mlp")
    return net, Instrument(net)


def measured(steps, then=()):
    *_, last = measuring(ready()[1], steps, then)
    return last


@cache
def bench(locked=()):
    net, instrument = ready()
    every = measured(BITS).options + measured(RANKS).options
    table = merged([x.name for x in net.layers], every, size_of(compress(net, Recipe())), original_operations(net), locked)
    return Bench(net, table, net.data["validation"], lambda _: instrument, {}, locked)


def proposed(wish, of=None):
    *_, last = (p for p in proposing(of or bench(), wish) if p is not None)
    assert last.stage == "done" and all(p.complete for p in last.plans)
    return last


def test_options_are_the_cells_of_a_scan_and_are_kept():
    net, instrument = ready()
    *_, last = (s for s in scan(instrument, "quantization.uniform", "bits", (6, 3), net.data["validation"]) if s)
    two = [step("quantization.uniform", bits=b) for b in (6, 3)]
    found = measured(two)
    assert found.complete and [(o.layer, o.step, -o.change) for o in found.options] == [(c.layer, c.step, c.saved_bytes) for c in last.cells]
    inputs = net.data["train"].inputs[:32]
    weights = compress(net, Recipe().with_pin(net.layers[0].name, two[1])).weights()
    old, new = (torch.func.functional_call(net.module, w, (inputs,)).log_softmax(-1) for w in ({}, weights))
    assert found.options[1].nats == pytest.approx(float((old.exp() * (old - new)).sum(-1).mean()), rel=1e-4), "of examples as they come"
    layer, option = net.layers[0], found.options[1]
    stored = compress(net, Recipe((two[1],))).encoded[layer.name].decode()
    assert option.moved == pytest.approx(float((stored - layer.weight).square().sum()), rel=1e-5)
    assert restored(net, two, found.arrays(net, two)).options == found.options


def test_a_rank_saves_multiply_adds_and_bits_do_not():
    net, _ = ready()
    layer, option = net.layers[0], measured(RANKS).options[0]
    small = compress(net, Recipe().with_pin(layer.name, option.step))
    assert option.adds == multiply_adds(budget_options.smaller(small), net.example) - multiply_adds(net.module, net.example) < 0
    assert {o.adds for o in measured(BITS).options} == {0}


def test_coding_counts_where_bits_are_set():
    plain, coded = measured(BITS[3:4]).options, measured(BITS[3:4], CODED).options
    assert [o.change for o in coded] != [o.change for o in plain] and [o.nats for o in coded] == [o.nats for o in plain]
    net, _ = ready()
    table = merged([x.name for x in net.layers], coded, 19_390, then=CODED)
    chosen = table.recipe((1, 0))
    assert chosen.chain(net.layers[0].name) == (BITS[3], *CODED) and chosen.chain(net.layers[1].name) == ()


def test_within_bytes_and_multiply_adds_it_is_the_best_of_all_choices():
    table = bench().table
    wish = Wish(most_bytes=12_000, most_adds=3_500)
    found = proposed(wish)
    every = list(product(*(range(len(row)) for row in table.rows)))
    fits = [p for p in every if found.problem.fits(p)]
    best = min(sum(o.nats for o in table.chosen(p)) for p in fits)
    alone = next(p for p in found.plans if p.way == ALONE)
    assert len(fits) > 3 and alone.choice.cost == pytest.approx(best) and alone.choice.gap < 1e-6 and found.best.choice.places in fits
    changes = sum(o.adds for o in table.chosen(found.best.choice.places))
    assert found.best.adds == table.original_adds + changes <= 3_500 and changes < 0
    assert {p.way for p in found.plans} == {SOLVER, ALONE, "multiplier", "greedy", "uniform"}
    for plan in found.plans:
        assert plan.file_bytes == len(pack(compress(ready()[0], plan.recipe))) <= 12_000


def test_what_is_measured_together_is_what_plain_python_finds():
    net, instrument = ready()
    found = proposed(Wish(most_bytes=2_600))
    data = net.data["validation"]
    done = compress(net, found.best.recipe)
    said = ask(net.module, changed(done, done.weights()), data, torch.arange(len(data)))
    before = ask(net.module, None, data, torch.arange(len(data)))
    lost = float((before.top == data.labels).double().mean() - (said.top == data.labels).double().mean())
    assert drop(found.best.quality)[0] == pytest.approx(lost, abs=1e-9)
    none = replace(found.best.quality, change=found.best.quality.change._replace(value=0.0))
    assert str(drop(none)[0]) == "0.0", "no loss has no sign"
    rows = data.inputs[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:256]]
    with torch.inference_mode():
        old, new = (torch.log_softmax(torch.func.functional_call(net.module, w, (rows,)), -1) for w in ({}, changed(done, done.weights())))
    said = drained(divergence(instrument, found.table, data)(found.best.choice.places))
    assert -said == pytest.approx(float((old.exp() * (old - new)).sum(-1).mean()), rel=1e-4)


def test_a_promise_is_kept_by_the_upper_end_of_what_was_measured():
    found = proposed(Wish(most_drop=0.03))
    kept = [t for t in found.tries if t.kept]
    assert kept and all(t.high <= 0.03 for t in kept) and any(not t.kept for t in found.tries)
    assert found.best.file_bytes == min(t.file_bytes for t in kept) < found.table.original_bytes / 4
    assert drop(found.best.quality)[2] <= 0.03 and not found.broken
    assert all(p.file_bytes <= found.most_bytes for p in found.plans)


def test_a_promise_that_cannot_be_kept_says_what_the_least_is():
    found = proposed(Wish(most_bytes=2_100, most_drop=0.001))
    assert "the least that these options lose within the limits is" in found.broken and len(found.tries) == 1


@pytest.mark.parametrize("wish, says", [
    (Wish(most_bytes=100), "no choice keeps the file’s bytes to 100; the least these options come to is"),
    (Wish(most_adds=10), "no choice keeps multiply-adds to 10; the least these options come to is"),
    (Wish(), "nothing is asked for"),
])
def test_the_impossible_is_refused_in_a_sentence(wish, says):
    with pytest.raises(ValueError, match=says):
        next(proposing(bench(), wish))


def test_locked_layers_stay_and_hawqs_choice_is_by_curvature():
    net, _ = ready()
    first, second = (layer.name for layer in net.layers)
    found = proposed(Wish(most_bytes=12_000), bench((second,)))
    assert all(p.recipe.chain(second) == () for p in found.plans)
    free = proposed(Wish(most_bytes=2_600))
    table = bench().table
    flat_first, flat_second = (bench().curved(free, {first: a, second: b}) for a, b in ((1e-9, 1.0), (1.0, 1e-9)))
    moved = [[o.moved for o in table.chosen(p.choice.places)] for p in (flat_first, flat_second)]
    assert moved[0][0] >= moved[1][0] and moved[0][1] <= moved[1][1] and moved[0] != moved[1]


@pytest.mark.parametrize("name", ["digits-mlp", "resnet-20", "vit"])
def test_the_record_is_of_these_weights_and_of_recipes_that_fit(name):
    net = shipped.load(name)
    found = recorded(net)
    assert found, f"record it: python tests/bench/budget.py --write {name}"
    for budget in found["budgets"]:
        ways = budget["ways"]
        recipe = from_json(json.dumps(ways[SOLVER]["recipe"]))
        assert size_of(compress(net, recipe)) == ways[SOLVER]["file_bytes"] <= budget["most_bytes"]
        assert {dial(s.method) for o in recipe.overrides for s in o.steps} <= {"bits", "sparsity", "rank"}
        assert ways[ALONE]["nats_added"] <= min(ways[w]["nats_added"] for w in ("greedy", "multiplier", "uniform")) + 1e-4
        assert ways[SOLVER]["nats_together"] <= ways[ALONE]["nats_together"]
        assert np.isfinite([w["test"]["drop"] for w in ways.values()]).all()
