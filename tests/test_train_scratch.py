"""Short forms trained from the start: sizes as promised, as many numbers beside them, and stored as they were judged."""

import pytest
import torch

from compression import export
from compression.apply import compress
from compression.method import Layer
from compression.recipe import Recipe
from compression.registry import procedures
from compression.score import size_of
from compression.sharing.hashing import places
from compression.train.loop import accuracy, watched
from compression.train.procedure import Task
from compression.train.scratch import adapters, beside, hashed, low_rank
from compression.zoo import shipped

WEIGHT = torch.randn(12, 40, generator=torch.Generator().manual_seed(0)) / 6


@pytest.fixture
def task():
    return Task(shipped.load("digits-mlp"), Recipe())


def last(name, task, **given):
    way = procedures()[name]
    *_, end = (p for p in way.run(task, **way.settings(**({"epochs": 5} | given))) if p)
    return end


def holds(task, run):
    """What was judged is what is stored, bit for bit, and weighs what its file weighs."""
    done = compress(run.trained.network, run.trained.recipe)
    assert accuracy(run.trained.network.module, watched(task.network.data["validation"])) == run.best.accuracy
    assert all(torch.equal(done.encoded[layer.name].decode(), layer.weight) for layer in done.network.layers)
    assert len(export.pack(done)) == size_of(done)
    return size_of(done)


@pytest.mark.parametrize("name", [name for name in procedures() if name.startswith("scratch.") and name != "scratch.adapters"])
def test_short_beside_narrow_and_plain(task, name):
    short, narrow, plain = last(name, task).runs
    numbers = [r.points[0].traced[beside.NUMBERS] for r in (short, narrow, plain)]
    assert 0.8 * numbers[0] <= numbers[1] <= numbers[0] < numbers[2] / 2
    assert [r.control for r in (short, narrow, plain)] == [False, True, True]
    assert short.points[-1].accuracy > short.points[0].accuracy
    for run in (short, narrow, plain):
        assert 4 * run.points[0].traced[beside.NUMBERS] < holds(task, run) < 4 * run.points[0].traced[beside.NUMBERS] + 1500


def test_a_bucket_gets_the_sum_over_its_weights():
    part = hashed.Buckets(WEIGHT, 1 / 8, True, 3)
    wanted = torch.randn(WEIGHT.shape, generator=torch.Generator().manual_seed(1))
    (part() * wanted).sum().backward()
    bucket, sign = places(480, 60, 3)
    assert torch.allclose(part.values.grad, torch.zeros(60).index_add(0, bucket, wanted.flatten() * sign), atol=1e-5)
    assert torch.equal(part.form().decode(), part().detach()) and part.form().nbytes == 240


def test_a_rank_is_the_largest_that_fits_and_first_weights_keep_their_spread():
    assert low_rank.rank_of((300, 784), 1 / 8) * (300 + 784) <= 300 * 784 / 8 < (low_rank.rank_of((300, 784), 1 / 8) + 1) * (300 + 784)
    form = low_rank.thin(Layer("fc", WEIGHT), 1 / 2)
    assert float(beside.stored(Layer("fc", WEIGHT), form)().detach().std()) == pytest.approx(float(WEIGHT.std()), rel=1e-4)
    assert low_rank.thin(Layer("fc", torch.ones(1, 4)), 1 / 2) is None


@pytest.mark.parametrize("base", list(adapters.BASES))
def test_adapters_begin_as_their_base_which_stays(base):
    part = adapters.adapted(Layer("fc", WEIGHT), base, 2)
    assert torch.equal(part().detach(), part.base.decode())
    with torch.no_grad():
        part.left.add_(0.1)
    form = part.form()
    assert torch.equal(form.decode(), part().detach()) and torch.equal(form.rest.decode(), part.base.decode())
    assert form.nbytes == part.base.nbytes + 4 * 2 * (12 + 40)
    part().sum().backward()
    assert [name for name, p in part.named_parameters() if p.grad is not None] == ["left", "right"]


def test_adapters_win_back_what_rounding_took(task):
    over, control = last("scratch.adapters", task).runs
    assert over.points[0].accuracy == control.points[0].accuracy < over.best.accuracy
    assert holds(task, over) > holds(task, control)
