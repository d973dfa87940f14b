"""Every loss of distillation as worked out by hand."""

from math import exp, log, sqrt

import pytest
import torch

from compression.train.distil import losses
from compression.train.distil.mutual import mutual


def near(value):
    return pytest.approx(value, rel=1e-5, abs=1e-6)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_soft_targets_by_hand():
    teacher, student = torch.tensor([[2 * log(3.0), 0.0]]), torch.zeros(1, 2)
    assert losses.softened(teacher, 2.0)[0].tolist() == near([0.75, 0.25])
    wanted = 4 * (0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5))
    assert losses.soft_targets(student, teacher, 2.0).item() == near(wanted)


def test_soft_targets_come_to_matching_scores_at_high_temperature():
    teacher, gradients = some(5, 7), []
    for loss in (lambda s: losses.soft_targets(s, teacher, 1e3), lambda s: losses.logits(s, teacher)):
        student = some(5, 7, seed=1).double().requires_grad_()
        loss(student).backward()
        gradients.append(student.grad)
    assert torch.allclose(*gradients, atol=1e-4) and gradients[0].abs().max() > 0.05


def test_a_constant_added_to_all_scores_is_no_difference():
    assert losses.logits(torch.tensor([[1.0, 3.0]]), torch.tensor([[5.0, 7.0]])).item() == 0
    assert losses.logits(torch.tensor([[1.0, 3.0]]), torch.tensor([[3.0, 1.0]])).item() == near(2.0)


def test_hints_and_attention_maps_by_hand():
    assert losses.hint(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])).item() == near(1.25)
    student, teacher = torch.tensor([3.0, 2.0]), torch.tensor([[[[1.0, 0.0]], [[1.0, 0.0]]]])
    student = student.sqrt().reshape(1, 1, 1, 2)  # sums of squares 3 and 2
    assert losses.attention_map(student)[0].tolist() == near([3 / sqrt(13), 2 / sqrt(13)])
    assert losses.attention(student, teacher).item() == near(((3 / sqrt(13) - 1) ** 2 + 4 / 13) / 2)


def test_flow_by_hand():
    first, second = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 1.0]], [[0.0, 2.0]]]])
    assert losses.flow(first, second)[0].tolist() == [[2.5, 2.0]]
    assert losses.flows([first, second], [first, torch.zeros_like(second)]).item() == near((2.5**2 + 2**2) / 2)


def test_similarity_by_hand():
    student, teacher = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.eye(2)
    assert losses.gram(student)[1].tolist() == near([1 / sqrt(5), 2 / sqrt(5)])
    wanted = 2 * (1 - 1 / sqrt(2)) + 2 * (1 - 2 / sqrt(5))  # squared distances of the rows, which have length 1
    assert losses.similarity(student, teacher).item() == near(wanted / 4)


def test_relations_by_hand():
    line = torch.tensor([[0.0], [1.0], [4.0]])  # apart 1, 3, 4: in units of their mean 3/8, 9/8, 3/2
    assert sorted(losses.distances(line).tolist()) == near([3 / 8, 3 / 8, 9 / 8, 9 / 8, 3 / 2, 3 / 2])
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert losses.angles(corner)[0, 1, 2].item() == near(0) and losses.angles(corner)[1, 0, 2].item() == near(1 / sqrt(2))
    assert losses.relations(corner, 7 * corner + 2).item() == near(0), "neither size nor place counts"
    far = torch.tensor([[0.0], [0.0], [0.0], [1.0]]), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    d = (losses.distances(far[0]) - losses.distances(far[1])).abs()
    a = (losses.angles(far[0]) - losses.angles(far[1])).abs()

    def huber(x):
        return torch.where(x <= 1, x**2 / 2, x - 0.5).mean().item()

    assert d.max() > 1 and a.max() >= 1 and losses.relations(*far).item() == near(huber(d) + 2 * huber(a))


def test_contrast_by_hand():
    student = teacher = torch.eye(2)
    right = 1 / (1 + 0.1 * exp(-1.0))  # e / (e + 1/10)
    wrong = 1 / (1 + 0.1)
    assert losses.contrast(student, teacher, 10, tau=1.0).item() == near(-log(right) - log(1 - wrong))


def test_information_by_hand():
    mean, teacher = torch.zeros(1, 2, 1, 1), torch.tensor([1.0, 4.0]).reshape(1, 2, 1, 1)
    assert losses.information(mean, torch.tensor([1.0, 4.0]), teacher).item() == near((0.5 + log(2.0) + 2.0) / 2)


def test_hidden_states_and_attention_scores_by_hand():
    a, b = torch.tensor([[3.0, 4.0]]).reshape(1, 2, 1, 1), torch.tensor([[1.0, 0.0]]).reshape(1, 2, 1, 1)
    assert losses.patient(a, b).item() == near(0.4**2 + 0.8**2)
    hidden = torch.tensor([[1.0, float("-inf")], [2.0, 5.0]])
    assert losses.attention_scores(torch.tensor([[0.0, float("-inf")], [2.0, 3.0]]), hidden).item() == near(5 / 3)


def test_correlation_and_boundaries_by_hand():
    same, apart = torch.tensor([[1.0, 0.0], [2.0, 0.0]]), torch.eye(2)
    assert losses.correlation(same, apart, gamma=0.5, order=1).item() == near((exp(-1.0) * 1) ** 2 / 2)
    assert losses.boundaries(torch.tensor([0.5, 0.5, -2.0]), torch.tensor([1.0, -1.0, -1.0])).item() == near((0.25 + 2.25) / 3)


def test_mutual_learning_by_hand():
    one, other, labels = torch.tensor([[log(3.0), 0.0]]), torch.zeros(1, 2), torch.tensor([0])
    kl = 0.75 * log(1.5) + 0.25 * log(0.5), 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)
    assert mutual([one, other], labels, "each other").item() == near(-log(0.75) + log(2.0) + sum(kl))
    assert mutual([one, one], labels, "their mean").item() == near(-2 * log(0.75))
