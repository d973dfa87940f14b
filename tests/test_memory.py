"""The memory of the app holds what it may and no more."""

import numpy as np
import torch

from app.memory import Bounded, weigh
from compression.encoded import Dense


def test_it_forgets_what_was_used_longest_ago():
    held = Bounded(10_000)
    for i in range(4):
        held[i] = torch.zeros(1_000)  # 4,000 bytes
        assert 0 in held or i > 1
        held.get(1)
    assert list(held) == [1, 3] or list(held) == [3, 1]


def test_it_counts_what_is_inside():
    assert weigh(Dense(torch.zeros(100))) >= 400 and weigh((np.zeros(10), [torch.zeros(5)])) >= 100


def test_something_too_large_is_still_held_alone_and_replacing_does_not_count_twice():
    held = Bounded(100)
    held["a"] = torch.zeros(1_000)
    held["a"] = torch.zeros(2_000)
    assert list(held) == ["a"]
    held["b"] = 1
    assert list(held) == ["b"]
    del held["b"]
    assert len(held) == 0 and held._held == 0
