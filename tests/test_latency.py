"""Times are medians of turns, beside the original; nothing is called faster while the scatter does not say so."""

import pytest
import torch
from screen import cold, healthy, nobody_left, opened, press  # noqa: F401
from torch import nn

from app import jobs, words
from compression import measure
from compression.apply import compress, smaller
from compression.recipe import Recipe, step
from compression.zoo import shipped


class Clock:
    """Goes on only while a module runs, by as much as that takes."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now


class Takes(nn.Module):
    def __init__(self, clock, name, *seconds):
        super().__init__()
        self.clock, self.name, self.seconds, self.runs = clock, name, seconds, 0

    def forward(self, x):
        self.clock.now += self.seconds[self.runs % len(self.seconds)]
        self.clock.order.append(self.name)
        self.runs += 1
        return x


def test_medians_of_turns_in_which_each_goes_first_as_often():
    clock = Clock()
    a, b = Takes(clock, "a", 2.0), Takes(clock, "b", 1.0, 1.0, 1.0, 9.0)
    *between, last = measure.latency(a, b, torch.zeros(4, 1), rounds=8, warm_up=1, clock=clock)
    assert between == [None] * 9 and clock.order == ["a", "b"] + ["a", "b", "b", "a"] * 4
    assert (last.seconds, last.original, last.ratio, last.batch, last.rounds) == (1.0, 2.0, 0.5, 4, 8)
    assert last.low == 1.0 and last.high <= 9.0 and last.ratio_low == 0.5 and last.processor


def test_nothing_is_called_faster_while_the_scatter_does_not_say_so():
    assert "1.25× as fast as the original (0.50 ms)" in words.latency(1, 0.0004, 0.0003, 0.0005, 0.0005, (0.8, 0.7, 0.9))
    assert "no different from" in words.latency(1, 0.0004, 0.0003, 0.0005, 0.0005, (0.8, 0.7, 1.1))
    assert "1.50× the time of" in words.latency(64, 0.03, 0.03, 0.03, 0.02, (1.5, 1.2, 1.6))


@pytest.mark.parametrize("name", ["lenet-5", "row-lstm", "char-gpt"])
def test_every_kind_of_network_can_be_timed(name):
    net = shipped.load(name)
    other = smaller(compress(net, Recipe((step("lowrank.svd", rank=0.2),))))
    *_, last = measure.latency(net.module, other, net.example, rounds=2, warm_up=1)
    assert last.seconds > 0 and last.original > 0 and last.batch == 1


def test_the_page_measures_on_demand_and_says_of_which_recipe():
    at = healthy(opened(net="digits-mlp"))
    assert any("Latency: not measured" in m.value for m in at.markdown)
    press(at, "Measure latency")
    assert jobs.long.find(f"{at.session_state['owner']}.latency").ended(60)
    said = next(m.value for m in healthy(at.run()).markdown if "Latency." in m.value)
    assert "Batch of 1:" in said and "Batch of 64:" in said and "rounds in turns" in said
    at.session_state["recipe"] = at.session_state["recipe"].with_default(step("pruning.magnitude", sparsity=0.9))
    assert any("Of another recipe, 50 % zero" in m.value for m in healthy(at.run()).markdown)
