"""Students that a teacher tells what to answer while they become sparse, or are of low precision: losses by hand, and what comes of them."""

from math import log

import pytest
import torch
from torch import nn
from training import holds, kept, last

from compression.method import Layer
from compression.network import network
from compression.recipe import Recipe
from compression.train.distil import variational_student
from compression.train.distil.students import untrained
from compression.train.made import Made
from compression.train.procedure import Task
from compression.train.quantized import apprentice
from compression.train.sparse import variational
from compression.zoo import shipped

SURE, EVEN, LABEL = torch.tensor([[log(3.0), 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0])  # three to one, and one to one
APART = 0.75 * log(1.5) + 0.25 * log(0.5)  # KL(3/4, 1/4 ‖ 1/2, 1/2), in nats


class Says(nn.Module):
    """Answers the same to anything."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(scores.clone())

    def forward(self, inputs):
        return self.scores.expand(len(inputs), -1)


@pytest.fixture
def task():
    return Task(shipped.load("digits-mlp"), Recipe())


def test_the_students_loss_is_labels_and_teacher_by_their_shares():
    assert float(apprentice.told(EVEN, SURE, LABEL, 1.0, 0.25)) == pytest.approx(0.75 * log(2) + 0.25 * APART)
    student, teacher = EVEN.clone().requires_grad_(), SURE.clone().requires_grad_()
    apprentice.told(student, teacher, LABEL, 1.0, 0.5).backward()
    assert student.grad[0].tolist() == pytest.approx([0.5 * (0.5 - 1) + 0.5 * (0.5 - 0.75), 0.5 * 0.5 + 0.5 * (0.5 - 0.25)])
    assert teacher.grad is None, "what the teacher says is not bent toward the student"


def test_beside_its_student_the_teacher_learns_from_labels_alone():
    model = Made(shipped.load("digits-mlp"), {})
    model.body, model.teacher, inputs = Says(EVEN), Says(SURE), torch.zeros(1, 3)
    worth = apprentice.jointly(1.0, 0.5)(model, inputs, LABEL)
    assert float(worth.detach()) == pytest.approx(log(4 / 3) + 0.5 * log(2) + 0.5 * APART)
    worth.backward()
    assert model.teacher.scores.grad[0].tolist() == pytest.approx([-0.25, 0.25]), "of cross-entropy alone"
    fixed = apprentice.from_teacher(Says(SURE), 1.0, 0.5)
    assert float(fixed(model, inputs, LABEL).detach()) == pytest.approx(0.5 * log(2) + 0.5 * APART)


@pytest.mark.parametrize(("weights", "bits", "levels"), [("ternary", 2, 3), ("4 bits", 4, 16), ("8 bits", 8, 256)])
def test_weights_are_of_the_precision_that_is_said_and_what_is_judged_is_stored(weights, bits, levels):
    full = torch.randn(6, 200, generator=torch.Generator().manual_seed(0))
    part = apprentice.low(Layer("fc", full), weights)
    assert torch.equal(part().detach(), part.form().decode()) and part.form().codes.nbytes == 1200 * bits // 8
    assert max(len(row.unique()) for row in part().detach()) <= levels
    part().sum().backward()
    assert torch.equal(part.full.grad, torch.ones(6, 200)), "straight through"


def test_every_scheme_begins_where_it_should_and_gives_a_network_of_low_precision(task):
    runs = last("quantized.apprentice", task, student="half width", weights="4 bits", epochs=10).runs
    _, alone, a, b, tuned, c = runs
    assert [run.control for run in runs] == [True, True, False, False, True, False]
    assert alone.points[0].accuracy == a.points[0].accuracy == b.points[0].accuracy, "the same first weights, rounded"
    assert tuned.points[0].accuracy == c.points[0].accuracy > alone.points[0].accuracy + 0.3, "those of the one in full, rounded"
    sizes = [holds(task, run) for run in runs]
    assert max(sizes[1:]) < sizes[0] / 3 and len({tuple(run.trained.network.module.fc1.weight.shape) for run in runs}) == 1
    assert all(run.best.accuracy > 0.85 for run in runs)
    assert len({run.trained.network.digest for run in runs}) == 6, "each was taught in another way"
    again = last("quantized.apprentice", task, student="half width", weights="4 bits", epochs=10).runs
    assert [run.trained.network.digest for run in again] == [run.trained.network.digest for run in runs]
    assert again[2].trained.network.reference is task.network


def test_a_teacher_that_cannot_begin_anew_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(10, 64))

        def forward(self, inputs):
            return inputs.flatten(1) @ self.weight.T

    net = network("odd", "Odd", Odd(), shipped.load("digits-mlp").data)
    assert "reset_parameters" in apprentice.PROCEDURE.refuses(Task(net, Recipe()))


def test_without_a_share_the_teacher_is_not_asked():
    def never(inputs):
        raise AssertionError

    assert float(variational_student.led(never, 4.0, 0.0)(Says(EVEN), torch.zeros(1, 3), LABEL).detach()) == pytest.approx(log(2))
    worth = variational_student.led(Says(SURE), 1.0, 0.25)(Says(EVEN), torch.zeros(1, 3), LABEL)
    assert float(worth.detach()) == pytest.approx(0.75 * log(2) + 0.25 * APART)


def test_the_price_of_noise_is_added_to_what_the_teacher_says(task):
    net = task.network
    model = Made(net, {"fc1": variational.Noisy(net.layer("fc1").weight, 3)})
    model.register_buffer("warm", torch.tensor(0.5))
    inputs, labels = task.watch.inputs[:4], task.watch.labels[:4]
    answers = variational_student.led(net.module, 4.0, 0.7)
    whole = variational.bound(model.eval(), 0.1, 200, answers)(model, inputs, labels)
    assert float(whole.detach()) == pytest.approx(float((answers(model, inputs, labels) + 0.1 * 0.5 * model.makers[0].divergence() / 200).detach()))


def test_a_variational_student_ends_small_and_sparse(task):
    alone, taught = last("distil.variational_student", task, student="half width", weight=1.0, epochs=10, rate=1e-2).runs
    assert alone.control and alone.points[0].accuracy == taught.points[0].accuracy, "the same first weights"
    for run in (alone, taught):
        some, every = kept(run)
        assert every == 64 * 32 + 32 * 10 and some < 0.8 * every and run.best is run.points[-1]
        assert run.points[-1].traced["weights left (%)"] == pytest.approx(100 * some / every)
        assert holds(task, run) < 19_000 / 2
        assert run.picture.told[run.picture.begins].startswith(f"{run.points[-1].traced['weights left (%)']:.3g} % of the weights left")
    assert not torch.equal(alone.trained.network.module.fc1.weight, taught.trained.network.module.fc1.weight)
    assert untrained(task.network, "half width", 0).fc1.weight.shape == taught.trained.network.module.fc1.weight.shape
    assert last("distil.variational_student", task, student="half width", weight=1.0, epochs=10,
                rate=1e-2).runs[1].trained.network.digest == taught.trained.network.digest
