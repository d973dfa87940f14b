"""GrOWL: the proximal step by hand and by brute force, what is tied, and that tied inputs stay so and are stored once."""

import numpy as np
import pytest
import torch
from training import holds, last

from compression.encoded import from_bytes
from compression.places import TiedInputs
from compression.recipe import Recipe
from compression.train.procedure import Task
from compression.train.sparse import growl
from compression.zoo import shipped


def test_the_pull_falls_along_a_line_to_the_strength():
    assert growl.pulls(8, 0.5, 2.0).tolist() == [1.5, 1.25, 1.0, 0.75, 0.5, 0.5, 0.5, 0.5]


def test_the_proximal_step_by_hand():
    """Sorted 5, 4, 1 less 3, 1, 1 is 2, 3, 0; the nearest that falls is 2.5, 2.5, 0: the two longest are tied, the shortest is gone."""
    assert growl.shrunk(np.array([1.0, 5.0, 4.0]), np.array([3.0, 1.0, 1.0])).tolist() == [0.0, 2.5, 2.5]
    assert growl.shrunk(np.array([3.0, 1.0]), np.array([0.5, 0.5])).tolist() == [2.5, 0.5], "all pulled alike: group lasso"


def test_the_proximal_step_is_the_least_of_what_it_is_said_to_be():
    dice = np.random.default_rng(0)
    for _ in range(20):
        lengths, pull = dice.random(4) * 2, np.sort(dice.random(4))[::-1]

        def worth(x, lengths=lengths, pull=pull):
            return 0.5 * np.square(x - lengths).sum() + (pull * np.sort(np.abs(x))[::-1]).sum()

        found = growl.shrunk(lengths, pull)
        assert all(worth(found) <= worth(np.maximum(0, found + 0.05 * dice.standard_normal(4))) + 1e-12 for _ in range(200))


def test_what_leads_away_from_an_input_is_shortened_in_its_direction():
    weight = torch.tensor([[3.0, 0.0, 0.6], [4.0, 2.0, 0.8]])  # lengths 5, 2 and 1
    growl.pull(weight, np.array([2.5, 1.0, 1.0]))  # 2.5, 1 and 0
    assert torch.allclose(weight, torch.tensor([[1.5, 0.0, 0.0], [2.0, 1.0, 0.0]]))


def test_inputs_that_are_alike_share_and_those_that_lead_to_nothing_do_not():
    """Zhang et al. 2018, equation 8: a·b / max(|a|², |b|²), so that twice as long is half as alike."""
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.9, 0.1]])
    assert growl.similarity(rows)[0].tolist() == pytest.approx([1.0, 0.5, 0.0, 1.9 / (1.9**2 + 0.1**2)])
    weight = torch.cat([rows, torch.zeros(1, 2)]).T.contiguous()
    group = growl.alike(weight, 0.8)
    assert group[4] == 0 and group[1] == group[3] and len(group[:4].unique()) == 3
    part = growl.Tied(weight, group)
    assert torch.allclose(part()[:, 1], torch.tensor([1.95, 0.05])) and torch.equal(part()[:, 1], part()[:, 3]) and not part()[:, 4].any()
    (part() * torch.arange(10.0).reshape(2, 5)).sum().backward()
    assert part.values.grad[group[1] - 1].tolist() == [1.0 + 3.0, 6.0 + 8.0], "the sum over those that share"
    form = part.form()
    assert torch.equal(form.decode(), part().detach()) and form.nbytes == 3 * 2 * 4 + 2  # three values of two numbers, five codes of two bits
    assert torch.equal(from_bytes(form.layout(), form.to_bytes()).decode(), form.decode())


def test_a_kernel_is_tied_whole():
    weight = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    weight = torch.cat([weight, weight[:, :1]], 1)  # the third input channel is the first
    group = growl.alike(weight, 0.9)
    assert group[0] == group[2] != group[1] and torch.equal(growl.Tied(weight, group)().detach(), weight)


def test_pressed_tied_and_trained_on():
    task = Task(shipped.load("digits-mlp"), Recipe())
    own, lasso = last("sparse.growl", task, epochs=5, rate=0.1, strength=0.1).runs
    assert lasso.control and own.points[-1].traced["different inputs (%)"] < lasso.points[-1].traced["different inputs (%)"]
    for run in (own, lasso):
        size = holds(task, run)
        first = run.trained.network.layers[0]
        assert isinstance(first.stored, TiedInputs) and len(first.weight.T.unique(dim=0)) < 64 and size < 17_000
        assert run.points[0].accuracy > 0.9 < run.best.accuracy
    assert own.picture.similarity.ndim == 2 and torch.allclose(own.picture.similarity.diagonal(), torch.ones(()))


def test_where_all_are_pulled_away_what_is_left_is_nothing():
    group = growl.alike(torch.zeros(3, 4), 0.7)
    assert group.tolist() == [0] * 4 and growl.Tied(torch.zeros(3, 4), group).form().decode().tolist() == [[0.0] * 4] * 3
