"""How options act together: what single layers move the scores by is what the plain path says, adds up, and is gone down by."""

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from compression.apply import compress
from compression.budget import together as improving
from compression.budget.exact import exact
from compression.budget.moves import EXAMPLES, Moves, descended, moving
from compression.budget.plans import ALONE, SOLVER, Bench
from compression.budget.problem import Choice, Limit, Problem
from compression.budget.tables import Option, merged
from compression.engine.instrument import Instrument
from compression.method import drained
from compression.recipe import Recipe, step
from compression.score import changed, size_of
from compression.zoo import shipped

STEPS = [step("quantization.uniform", bits=b) for b in (4, 3, 2, 1)]


@cache
def ready(name="digits-mlp", steps=4):
    net = shipped.load(name)
    rows = [(x, s, compress(net, Recipe().with_pin(x.name, s))) for x in net.layers for s in STEPS[:steps]]
    original = size_of(compress(net, Recipe()))
    table = merged([x.name for x in net.layers], [Option(x.name, s, size_of(done) - original, 0.01 * i) for i, (x, s, done) in enumerate(rows)],
                   original)
    instrument = Instrument(net)
    *_, moves = moving(instrument, table, {})
    return net, instrument, table, moves


def divergence(net, recipe, inputs):
    done = compress(net, recipe)
    with torch.inference_mode():
        old, new = (F.log_softmax(torch.func.functional_call(net.module, w, (inputs,)), -1) for w in ({}, changed(done, done.weights())))
    return float((old.exp() * (old - new)).sum(-1).mean())


@pytest.mark.parametrize("name, steps", [("digits-mlp", 4), ("lenet-5", 1)])
def test_of_one_changed_layer_it_is_what_the_plain_path_finds(name, steps):
    net, _, table, moves = ready(name, steps)
    inputs = net.data["train"].inputs[: EXAMPLES["images"]]
    for i, row in enumerate(table.rows):
        for j in range(len(row)):
            places = tuple(j if k == i else 0 for k in range(len(table.rows)))
            assert moves.nats(places) == pytest.approx(divergence(net, table.recipe(places), inputs), rel=1e-3, abs=1e-6)


def test_of_a_text_an_even_part_of_all_places_is_kept():
    _, _, table, moves = ready("char-lstm", 1)
    assert len(moves.old) == len(moves.scores) > EXAMPLES["text"] and all(row.shape == (2, *moves.scores.shape) for row in moves.rows)
    assert float(moves.rows[0][0].abs().max()) == 0 < moves.nats((1,) * len(table.rows))


def test_two_moves_that_undo_each_other_cost_nothing_together_and_are_found():
    scores = torch.tensor([[2.0, 0.0]])
    one, none = torch.tensor([[1.5, 0.0]]), torch.zeros(1, 2)
    moves = Moves(F.log_softmax(scores, -1), scores, (torch.stack([none, one]), torch.stack([none, -one]), torch.stack([none, one / 3])))
    p, q = torch.sigmoid(torch.tensor(2.0)), torch.sigmoid(torch.tensor(3.5))
    by_hand = float(p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log())
    assert moves.nats((1, 0, 0)) == pytest.approx(by_hand, rel=1e-5) and moves.nats((1, 1, 0)) == pytest.approx(0, abs=1e-6)
    assert moves.exchanged((1, 0, 0))[1] == pytest.approx([0, -by_hand], rel=1e-5)
    bytes_ = Limit("bytes", tuple(np.array([2.0, 1.0]) for _ in range(3)), 4)  # two of three must change
    problem = Problem(tuple(np.array([0.0, c]) for c in (0.3, 0.3, 0.1)), (bytes_,))
    found = drained(descended(moves, problem, (1, 0, 1)))
    assert found.places == (1, 1, 0) and found.cost == pytest.approx(0, abs=1e-6)


def test_it_goes_down_within_the_limits_until_no_exchange_of_one_layer_helps():
    _, _, table, moves = ready("lenet-5")
    for most in (60_000, 120_000, 300_000):
        problem = table.within(most)
        start = exact(problem).places
        found = drained(descended(moves, problem, start))
        near = [(*found.places[:i], j, *found.places[i + 1 :]) for i, row in enumerate(table.rows) for j in range(len(row))]
        assert problem.fits(found.places) and moves.nats(start) >= found.cost == pytest.approx(moves.nats(found.places))
        assert found.cost <= min(moves.nats(p) for p in near if problem.fits(p)) + 1e-6


def test_from_a_choice_on_it_is_again_what_the_plain_path_finds():
    net, instrument, table, _ = ready("lenet-5", 2)
    start = (1, 2, 0, 1)
    *_, moves = moving(instrument, table, {}, start)
    inputs = net.data["train"].inputs[: EXAMPLES["images"]]
    assert moves.nats(start) == pytest.approx(divergence(net, table.recipe(start), inputs), rel=1e-3)
    for places in ((2, 2, 0, 1), (1, 2, 2, 1), (1, 2, 0, 0)):
        assert moves.nats(places) == pytest.approx(divergence(net, table.recipe(places), inputs), rel=1e-3)


def test_it_is_taken_only_where_it_is_better_when_measured_together(monkeypatch):
    net, instrument, table, moves = ready()
    bench = Bench(net, table, net.data["validation"], lambda _: instrument)
    bench.moves = moves
    problem = table.within(3_000)
    fits = sorted((p for p in product(*(range(len(row)) for row in table.rows)) if problem.fits(p)), key=bench.moves.nats)

    def at_once(found):
        return found
        yield

    def better_of(start, other):
        monkeypatch.setattr(improving, "descended", lambda moves, of, begin: at_once(Choice(other, moves.nats(other))))
        steps = improving.together(bench, (bench.plan(ALONE, Choice(start, 1.0)),), lambda most: table.within(most), None, looks=1)
        found = drained(steps)
        assert found.way == SOLVER and found.together == pytest.approx(bench.moves.nats(found.choice.places))
        return found.choice.places

    assert better_of(fits[-1], fits[0]) == fits[0] and better_of(fits[0], fits[-1]) == fits[0]
