"""Distillation: students with and without a teacher, and what each way of teaching gives."""

from math import log

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from compression.apply import compress
from compression.recipe import Recipe, step
from compression.registry import procedures
from compression.score import size_of
from compression.train.distil.co_teaching import PICKED, Pair, crossed, surest
from compression.train.distil.data_free import made_up, summary
from compression.train.distil.features import look, stages
from compression.train.distil.few_images import Few, drawn
from compression.train.distil.few_labels import UNKNOWN, MeanTeacher, few, labelled
from compression.train.distil.halved import begun
from compression.train.distil.heldout import found, without
from compression.train.distil.noisy import noisy
from compression.train.distil.sequences import written
from compression.train.distil.students import untrained
from compression.train.distil.teaching import by_class, plan
from compression.train.distil.wrong_labels import corrupted
from compression.train.loop import fit
from compression.train.procedure import Task
from compression.zoo import shipped

SMALL = Recipe((step("pruning.magnitude", sparsity=0.8), step("sharing.kmeans", bits=2)))
NEEDS = {"distil.sequences": ("char-lstm", {"windows": 32, "student": "eighth width"}), "distil.halved": ("lenet-300-100", {})}
DISTIL = [name for name in procedures() if name.startswith("distil.")]


def near(value):
    return pytest.approx(value, rel=1e-5, abs=1e-6)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_held_out_class_is_recognized_once_its_score_is_raised():
    answers, labels = torch.tensor([[5.0, 0.0], [2.0, 1.0], [1.0, 0.8], [0.0, 4.0]]), torch.tensor([0, 0, 1, 1])
    assert found(answers, labels, 1) == (0.5, 1.0) and found(answers, torch.zeros(4).long(), 1) == (0.0, 0.0)
    data = shipped.load("digits-mlp").data["train"]
    assert set(without(data, 3).labels.tolist()) == set(range(10)) - {3}


def test_noise_falls_on_a_share_of_the_rows_and_multiplies_their_scores():
    torch.manual_seed(0)
    before = torch.tensor([[1.0, 0.0, -2.0]]).expand(2000, 3)
    after = noisy(0.8, 0.3)(before)
    struck = (after != before).any(1)
    assert struck.double().mean().item() == pytest.approx(0.8, abs=0.03) and (after[:, 1] == 0).all()
    assert (after[struck, 2] / -2).std().item() == pytest.approx(0.3, abs=0.02)


def test_wrong_labels_are_of_another_class_and_few_labels_are_few():
    data = shipped.load("digits-mlp").data["train"]
    wrong = corrupted(data, 0.4, 0).labels
    assert (wrong != data.labels).double().mean().item() == pytest.approx(0.4, abs=0.05) and set(wrong.tolist()) <= set(range(10))
    told = few(data, 50, 0).labels
    assert int((told != UNKNOWN).sum()) == 50 and torch.equal(told[told != UNKNOWN], data.labels[told != UNKNOWN])
    scores = torch.tensor([[log(3.0), 0.0], [9.0, 0.0]])
    assert labelled(scores, torch.tensor([0, UNKNOWN])).item() == near(-log(0.75)) and labelled(scores, torch.tensor([UNKNOWN] * 2)).item() == 0


def test_each_learns_from_what_the_other_finds_likeliest():
    """Han et al. 2018, algorithm 1. The first is surest of example 0, the second of example 1, of which the other learns."""
    first = torch.tensor([[9.0, 0.0], [log(3.0), 0.0]], requires_grad=True)
    second = torch.tensor([[0.0, log(4.0)], [9.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0, 0])
    assert surest(first, labels, 1).tolist() == [0] and surest(second, labels, 1).tolist() == [1]
    worth = crossed([first, second], labels, 1)
    assert worth.item() == near(-log(0.75) - log(0.2))
    worth.backward()
    assert not first.grad[0].any() and first.grad[1].any() and second.grad[0].any() and not second.grad[1].any()
    assert crossed([second], labels, 1).item() < 0.001, "one alone picks for itself"


def test_more_and_more_is_left_out_until_the_forget_rate_is_reached():
    pair = Pair([nn.Identity()], 100, 0.4)
    kept = []
    for at in (0, 10, 20, 100):
        pair.step.fill_(at)
        kept.append(pair.kept(10))
    assert kept == [10, 8, 6, 6]


def test_labels_that_are_picked_are_mostly_right():
    _, progress = last("distil.co_teaching", epochs=10, student="same", wrong=0.4)
    for run in progress.runs[1:]:
        assert run.points[0].traced[PICKED] < 70 and run.points[-1].traced[PICKED] > 85
    assert "characters" in procedures()["distil.co_teaching"].why_not(Task(shipped.load("char-gpt"), Recipe()))


def test_the_mean_teacher_follows_its_student():
    pair = MeanTeacher(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        pair.student.weight.fill_(1.0)
        pair.mean.weight.zero_()
    pair.follow(0.9, 100)
    assert pair.mean.weight.item() == near(0.1)
    pair.follow(0.9, 1)
    assert pair.mean.weight.item() == near(0.55)


def test_what_is_kept_of_the_data_and_inputs_that_fit_it():
    kept = summary(torch.tensor([[0.0], [2.0], [7.0]]), torch.tensor([0, 0, 1]), 2)
    assert kept.mean.flatten().tolist() == near([1.0, 3.0]) and kept.share.tolist() == near([2 / 3, 1 / 3])
    net = shipped.load("digits-mlp")
    place, train = stages(net.module, net.data["train"].inputs[:3])[-1], net.data["train"]
    with torch.no_grad():
        seen = look(net.module, train.inputs, (place,))
    kept = summary(seen.hidden[0].flatten(1), seen.scores.argmax(-1), 10)
    making = made_up(net.module, place, kept, train, 100, 60, 0)
    with pytest.raises(StopIteration) as end:
        while True:
            next(making)
    made = end.value.value
    with torch.no_grad():
        confident = net.module(made.inputs).softmax(-1).max(-1).values.mean()
    assert len(made.labels.unique()) >= 8 and confident > 0.8


def test_steps_on_images_are_gradient_descent_and_teach_the_network_that_is_given():
    net = shipped.load("digits-mlp")
    images, labels = drawn(net.data["train"], 2, 0)
    assert labels.tolist() == [c for c in range(10) for _ in range(2)]
    model, plain = Few(untrained(net, "same", 0), images, labels, 2, True), untrained(net, "same", 0)
    sgd = torch.optim.SGD(plain.parameters(), 0.1)
    for _ in range(2):
        sgd.zero_grad()
        F.cross_entropy(plain(images), labels).backward()
        sgd.step()
    inputs = net.data["validation"].inputs[:5]
    assert torch.allclose(model(inputs), plain(inputs), atol=1e-5)
    model(inputs).sum().backward()
    assert model.images.grad.abs().sum() > 0
    assert torch.allclose(model.after()(inputs), plain(inputs), atol=1e-5)
    _, progress = last("distil.few_images", epochs=2)
    real, learnt = progress.runs
    assert learnt.best.accuracy > real.best.accuracy and learnt.picture.images.shape == (10, 64)


def test_every_other_block_is_the_teachers():
    for name, first, second in (("char-gpt", "blocks.1.query.weight", "blocks.2.query.weight"), ("resnet-20", "fc.bias", "fc.bias")):
        net = shipped.load(name)
        module = begun(Task(net, Recipe()), True)
        assert torch.equal(module.state_dict()[first], net.module.state_dict()[second])
        module(net.data["validation"].inputs[:2])
    for name, why in (("row-lstm", "narrower"), ("digits-mlp", "fits")):
        assert why in procedures()["distil.halved"].why_not(Task(shipped.load(name), Recipe()))


def test_text_goes_on_from_its_start_as_the_model_finds_likely():
    class Next(nn.Module):
        def forward(self, text):
            return 50.0 * F.one_hot((text + 1) % 5, 5)

    starts = torch.tensor([[0, 1], [3, 4]])
    text = written(Next(), starts, 6, torch.Generator().manual_seed(0))
    assert text.tolist() == [[0, 1, 2, 3, 4, 0], [3, 4, 0, 1, 2, 3]]


def test_the_early_teacher_is_the_whole_one_cut_off():
    _, progress = last("distil.early", epochs=5)
    whole, early, *_ = progress.runs
    assert early.steps < whole.steps / 2 and [p.accuracy for p in early.points] == [p.accuracy for p in whole.points[: len(early.points)]]


def test_probabilities_by_class_add_up():
    data = shipped.load("digits-mlp").data["validation"]
    assert torch.allclose(by_class(some(len(data), 10), data, 4.0).sum(1), torch.ones(10))


def last(name, recipe=SMALL, **given):
    subject, more = NEEDS.get(name, ("digits-mlp", {}))
    known, task = procedures()[name], Task(shipped.load(subject), recipe)
    given |= more
    assert known.why_not(task) is None
    *_, progress = (p for p in known.run(task, **known.settings(**given)) if p)
    return task, progress


@pytest.mark.parametrize("name", DISTIL)
def test_every_way_runs_and_gives_networks_that_are_compared_with_the_teacher(name):
    task, progress = last(name, epochs=1)
    assert any(run.control for run in progress.runs) and not all(run.control for run in progress.runs) and progress.share == 1
    for run in progress.runs:
        assert run.points[-1].step == run.steps and run.trained.network.reference is task.network
        assert size_of(compress(run.trained.network, run.trained.recipe)) > 0


@pytest.mark.parametrize("name", ["distil.signals", "distil.noisy", "distil.few_labels"])
def test_the_seed_alone_decides(name):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        runs.append([[p.accuracy for p in run.points] for run in last(name, epochs=1)[1].runs])
    assert runs[0] == runs[1]


def test_the_control_is_plain_training_from_the_same_weights():
    task, progress = last("distil.signals", epochs=2, student="half width")
    plain, how = untrained(task.network, "half width", 0), plan(task, 2)
    points = [p.accuracy for p in fit(plain, task.teach, task.watch, how, 0) if p]
    control, led = progress.runs
    assert control.control and [p.accuracy for p in control.points] == points
    assert control.points[0].accuracy == led.points[0].accuracy, "both begin from the same weights"
    if control.points[-1].best:
        assert torch.equal(control.trained.network.module.fc1.weight, plain.fc1.weight)


def test_a_student_comes_nearer_to_its_teacher_with_soft_targets_alone_counting():
    _, progress = last("distil.signals", epochs=20, student="half width", alpha=0.9)
    traced = [p.traced["agreement with the teacher (%)"] for p in progress.runs[1].points]
    assert traced[-1] > 85 > traced[0] and progress.runs[1].picture.by_teacher.shape == (10, 10)


def test_a_compressed_student_keeps_its_zeros_and_its_length():
    task, progress = last("distil.compressed", epochs=1)
    before = compress(task.network, SMALL)
    for run in progress.runs:
        after = compress(run.trained.network, run.trained.recipe)
        for layer in task.network.layers:
            was, now = before.encoded[layer.name], after.encoded[layer.name]
            assert torch.equal(was.decode() == 0, now.decode() == 0) and was.nbytes == now.nbytes
    assert procedures()["distil.compressed"].why_not(Task(task.network, Recipe()))


def test_the_assistant_and_each_generation_are_taught_by_the_one_before():
    _, progress = last("distil.assistant", epochs=2)
    assert [run.title.split(",")[-1].strip() for run in progress.runs] == [
        "without a teacher", "taught by the teacher", "taught by the teacher", "taught by the assistant"]
    assert [p.accuracy for p in progress.runs[1].points] != [p.accuracy for p in progress.runs[3].points]
    _, progress = last("distil.self", epochs=2)
    assert not torch.equal(progress.runs[1].trained.network.module.fc1.weight, progress.runs[2].trained.network.module.fc1.weight)


def test_what_cannot_be_is_said_in_a_sentence():
    with pytest.raises(ValueError, match="no attention blocks"):
        last("distil.signals", epochs=1, signal="attention")
    with pytest.raises(ValueError, match="has none"):
        last("distil.signals", epochs=1, signal="hints", student="half depth")
    assert "write" in procedures()["distil.sequences"].why_not(Task(shipped.load("digits-mlp"), Recipe()))
    assert "normalisation" in procedures()["distil.few_images"].why_not(Task(shipped.load("resnet-20"), Recipe()))
    assert "characters" in procedures()["distil.heldout"].why_not(Task(shipped.load("char-gpt"), Recipe()))
