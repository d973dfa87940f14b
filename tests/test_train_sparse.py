"""Sparse training: scores and counts by hand, masks that hold, densities that are exact, files as small as promised."""

import pytest
import torch
from torch import nn
from training import holds, kept, last

from compression.network import network
from compression.recipe import Recipe
from compression.train.made import Made
from compression.train.procedure import Task
from compression.train.sparse import at_start, dynamic, edge_popup, masked, movement, regularised, tickets
from compression.zoo import shipped


@pytest.fixture
def task():
    return Task(shipped.load("digits-mlp"), Recipe())


def test_a_masked_weight_gets_no_gradient_outside_and_is_stored_without_it():
    part = masked.Masked(torch.tensor([[1.0, -2.0], [0.0, 3.0]]), torch.tensor([True, False, True, False]))
    assert part().tolist() == [[1.0, 0.0], [0.0, 0.0]]
    part().sum().backward()
    assert part.full.grad.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert torch.equal(part.form().decode(), part().detach()) and part.form().values.nbytes == 8


def test_the_least_go_over_all_tensors_together():
    masks = masked.without_least([torch.tensor([[3.0, 1.0]]), torch.tensor([2.0, 0.5])], 2)
    assert [m.tolist() for m in masks] == [[[True, False]], [True, False]]


def test_a_round_of_tickets_prunes_each_layer_by_what_is_asked():
    end, first = torch.tensor([[0.1, -3.0, 2.0, 0.0]]), torch.tensor([[0.0, -2.9, 0.5, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    by_size, = tickets.pruned([end], [first], [mask], 1 / 3, "magnitude")
    by_growth, = tickets.pruned([end], [first], [mask], 2 / 3, "growth")
    assert by_size.tolist() == [[False, True, True, False]]
    assert by_growth.tolist() == [[False, False, True, False]]
    assert int(tickets.pruned([end], [first], [mask], 1 / 3, "random")[0].sum()) == 2
    assert tickets.signs_of(torch.tensor([1.0, -3.0])).tolist() == pytest.approx([8**0.5, -(8**0.5)])


def test_snip_and_grasp_of_a_quadratic():
    """Of L = w'Aw / 2 the gradient is Aw and the Hessian A: the scores are |w * Aw| and w * AAw."""
    a, w = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([1.0, -2.0], requires_grad=True)
    def loss():
        return w @ a @ w / 2
    assert at_start.snip(loss(), [w])[0].tolist() == [0.0, 10.0]
    assert at_start.grasp(loss(), [w])[0].tolist() == [-5.0, 30.0]  # Aw = (0, -5), AAw = (-5, -15)


def test_synflow_keeps_a_power_of_the_density_and_empties_no_layer():
    assert at_start.leaving(0.9, 2, 10_000) == [3162, 1000]
    torch.manual_seed(0)
    wide = network("w", "W", nn.Sequential(nn.Linear(40, 40, bias=False), nn.ReLU(), nn.Linear(40, 3, bias=False)), example=torch.ones(1, 40))
    steps = at_start.synflow(wide, 0.98, 100)
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    masks = end.value.value
    assert sum(int(m.sum()) for m in masks) == round(0.02 * (1600 + 120)) and all(bool(m.any()) for m in masks)


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_densities_by_the_sum_of_sides_add_up(sparsity):
    shapes = [(300, 784), (100, 300), (10, 100)]
    counts = dynamic.erdos_renyi(shapes, sparsity)
    sizes = [a * b for a, b in shapes]
    assert sum(counts) == round((1 - sparsity) * sum(sizes)) and all(c <= n for c, n in zip(counts, sizes, strict=True))
    open_ = [c / sum(s) for c, s, n in zip(counts, shapes, sizes, strict=True) if c < n]
    assert max(open_) - min(open_) < 0.02


def moving():
    net = network("m", "M", nn.Sequential(nn.Linear(4, 1, bias=False)), example=torch.ones(1, 4))
    model = Made(net, {"0": dynamic.Moving(torch.tensor([[0.1, -2.0, 5.0, 7.0]]), torch.tensor([[True, True, False, False]]))})
    (model(torch.tensor([[0.0, 1.0, 2.0, 3.0]])).sum()).backward()
    return model, model.makers[0]


def test_growth_goes_where_the_gradient_of_a_weight_that_is_not_there_is_largest():
    model, part = moving()
    assert part.gradient.tolist() == [[0.0, 1.0, 2.0, 3.0]] and part.full.grad.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    assert dynamic.moved(model, "gradient", 0.5) == 1
    assert part.kept.tolist() == [[False, True, False, True]] and part().tolist() == [[0.0, -2.0, 0.0, 0.0]]
    assert part.mean[0, 3] == pytest.approx(0.3)


def test_what_crosses_zero_dies_and_as_many_are_born():
    torch.manual_seed(0)
    model, part = moving()
    with torch.no_grad():
        part.full[0, 0] = -0.5
    assert dynamic.reborn(model, 1e-3, 1.0) == 1 and int(part.kept.sum()) == 2
    assert part.kept[0, 1] and float(part().detach().abs().sum()) == pytest.approx(2.0, abs=0.01), "what is born begins at zero"


@pytest.mark.parametrize("grow", list(dynamic.TITLES))
def test_a_moving_mask_keeps_its_count_and_wanders(task, grow):
    end = last("sparse.dynamic", task, grow=grow, sparsity=0.9, every=5, epochs=3)
    moved, still, dense = end.runs
    assert {p.traced[masked.LEFT] for p in (*moved.points, *still.points)} == {100 * round(0.1 * 4736) / 4736}
    assert moved.points[-1].traced["places ever used (%)"] > moved.points[0].traced["places ever used (%)"]
    assert holds(task, moved) < holds(task, dense) / 4


@pytest.mark.parametrize("criterion", list(at_start.TITLES))
def test_a_mask_before_training_holds_to_the_end(task, criterion):
    runs = last("sparse.at_start", task, epochs=2, criterion=criterion, sparsity=0.9, rounds=10).runs
    count, total = kept(runs[0])
    assert count == round(0.1 * total) and holds(task, runs[0]) < holds(task, runs[-1]) / 4
    assert [r.control for r in runs] == [False, *[True] * (len(runs) - 1)]


def test_a_ticket_halves_in_every_round_and_its_control_has_its_mask(task):
    dense, ticket, other = last("sparse.tickets", task, epochs=2, rounds=3, rewind=10).runs
    steps = dense.points[-1].step
    assert sorted({round(p.traced[masked.LEFT], 1) for p in ticket.points}) == [12.5, 25.0, 50.0]
    assert ticket.points[-1].step == ticket.steps == 3 * steps and ticket.best.step > 2 * steps
    assert kept(ticket)[0] == kept(other)[0] and kept(ticket)[0] / kept(ticket)[1] == pytest.approx(1 / 8, abs=1e-3)
    for one, two in zip(ticket.trained.network.layers, other.trained.network.layers, strict=True):
        assert one.weight.ndim == 1 or torch.equal(one.weight != 0, two.weight != 0)
    assert holds(task, ticket) < holds(task, dense) / 3


def test_what_cannot_begin_again_says_so():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.shift = nn.Linear(4, 2), nn.Parameter(torch.zeros(2))

        def forward(self, x):
            return self.fc(x) + self.shift

    own = network("own", "Own", Own(), example=torch.ones(1, 4))
    assert "reset_parameters()" in masked.no_beginning(Task(own, Recipe()))
    assert masked.no_beginning(Task(shipped.load("lenet-5"), Recipe())) is None


def test_penalties_by_hand():
    w = torch.tensor([[3.0, 4.0], [0.0, -1.0]])
    value = {name: float(regularised.penalty(name, w, 1.0)) for name in ("l1", "l2", "elimination", "rows", "columns")}
    assert value["l1"] == 8 and value["l2"] == 26 and value["elimination"] == pytest.approx(0.9 + 16 / 17 + 0.5)
    assert value["rows"] == pytest.approx(6 * 2**0.5, abs=1e-4) and value["columns"] == pytest.approx((3 + 17**0.5) * 2**0.5, abs=1e-4)


def test_groups_go_whole():
    w = torch.tensor([[3.0, 0.1], [0.5, 1.0]])
    assert regularised.cut([w], 0.5, "rows")[0].tolist() == [[True, True], [False, False]]
    assert regularised.cut([w], 0.5, "columns")[0].tolist() == [[True, False], [True, False]]
    assert regularised.cut([w], 0.5, "l1")[0].tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("name", ["l1", "columns"])
def test_under_a_penalty_then_pruned_then_trained_on(task, name):
    runs = last("sparse.regularised", task, penalised=name, sparsity=0.8, epochs=1).runs
    half = runs[0].steps // 2
    for run in runs:
        assert {round(p.traced[masked.LEFT]) for p in run.points if p.step < half} == {100} and run.best.step >= half
        assert kept(run)[0] == kept(run)[1] - round(0.8 * kept(run)[1])
    holds(task, runs[0])


def test_a_scores_gradient_is_that_of_the_weight_times_the_weight_kept_or_not():
    full, scores = torch.tensor([2.0, -3.0], requires_grad=True), torch.zeros(2, requires_grad=True)
    (movement.Chosen.apply(full, scores, torch.tensor([True, False])) * torch.tensor([5.0, 7.0])).sum().backward()
    assert full.grad.tolist() == [5.0, 0.0] and scores.grad.tolist() == [10.0, -21.0]
    assert movement.best(torch.tensor([[1.0, 3.0], [2.0, 3.0]]), 3).tolist() == [[False, True], [True, True]]


def test_by_movement_each_layer_ends_with_its_share(task):
    moved, control = last("sparse.movement", task, epochs=2, sparsity=0.9).runs
    for layer in (*moved.trained.network.layers, *control.trained.network.layers):
        assert layer.weight.ndim == 1 or int(layer.weight.count_nonzero()) <= round(0.1 * layer.weight.numel())
    assert moved.best is moved.points[-1] and holds(task, moved) < 4000


def test_what_is_popped_was_never_trained_and_takes_two_bits(task):
    popped, _ = last("sparse.edge_popup", task, epochs=5, rate=1e-2).runs
    first = masked.fresh(task, task.seed)
    for before, after in zip(first.layers, popped.trained.network.layers, strict=True):
        weight, kept = after.weight, after.weight != 0
        assert int(kept.sum()) == weight.numel() // 2 and len(weight.unique()) == 3
        assert torch.equal(weight[kept] > 0, before.weight[kept] >= 0)
    assert popped.best.accuracy > 0.6 and holds(task, popped) < 4736 / 4 + 800
    assert edge_popup.Popped(torch.ones(2, 8), 0.25, True).size == 1.0
