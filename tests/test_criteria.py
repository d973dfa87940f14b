"""What decides which weights go: every score against a plain calculation of its own."""

import doctest

import pytest
import torch

from compression.encoded import Dense
from compression.method import Layer
from compression.pruning import disagreement as apart
from compression.pruning import magnitude, random
from compression.pruning.disagreement import disagreement


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
