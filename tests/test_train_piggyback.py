"""Piggyback: masks and their gradient by hand, other tasks that are what they say, weights that stay, and bytes that a task adds."""

import pytest
import torch
from torch import nn
from training import holds, last

from compression.network import network
from compression.recipe import Recipe
from compression.train.procedure import Task
from compression.train.sparse import masked, piggyback
from compression.zoo import shipped


def test_a_weight_counts_above_the_threshold_and_its_score_hears_of_it_either_way():
    part = piggyback.Piggybacked(torch.tensor([[2.0, -3.0]]), 0.005)
    assert part.kept.all(), "all scores begin at 0.01"
    with torch.no_grad():
        part.scores.copy_(torch.tensor([[0.005, 0.006]]))
    assert part().tolist() == [[0.0, -3.0]] and torch.equal(part.form().decode(), part().detach())
    (part() * torch.tensor([[5.0, 7.0]])).sum().backward()
    assert part.scores.grad.tolist() == [[10.0, -21.0]], "the gradient of the masked weight times the weight"
    assert [name for name, p in part.named_parameters() if p.requires_grad] == ["scores"]


def test_a_mask_is_one_bit_a_weight():
    assert piggyback.Piggybacked(torch.ones(9, 11), 0.005).bits().nbytes == -(-99 // 8)


def test_images_are_turned_by_the_quarters_they_are_labelled_with():
    data = shipped.load("digits-mlp").data["validation"]
    other = piggyback.turned(data)
    assert other.labels.bincount(minlength=4).min() > 60 and len(other) == len(data) and other.classes == piggyback.TURNS
    for image, was, quarters in zip(other.inputs[:20], data.inputs[:20], other.labels[:20], strict=True):
        assert torch.equal(image.rot90(-int(quarters), (1, 2)), was)
    assert piggyback.turned(data).digest == other.digest


def test_digits_are_enlarged_to_the_networks_images():
    like, digits = shipped.load("lenet-5").data["validation"], shipped.load("digits-mlp").data["validation"]
    other = piggyback.enlarged("validation", like)
    assert other.inputs.shape == (360, 1, 28, 28) and torch.equal(other.labels, digits.labels)
    grey = other.inputs * like.std + like.mean
    assert float(grey.min()) > -1e-5 and float(grey.max()) < 1 + 1e-5 and float(grey.std()) > 0.2
    with pytest.raises(ValueError, match="knows digits already"):
        piggyback.examples(shipped.load("digits-mlp"), "digits")


@pytest.mark.parametrize(("name", "layer"), [("lenet-5", "fc2"), ("resnet-20", "fc"), ("vit", "head"), ("row-lstm", "head"), ("digits-mlp", "fc2")])
def test_the_last_layer_is_found(name, layer):
    net = shipped.load(name)
    found = piggyback.last(net)
    assert found == layer or (layer == "head" and net.layer(found).weight.shape[0] == 10)


def test_frozen_weights_stay_to_the_bit_and_the_mask_is_all_that_is_learnt_beside_the_last_layer():
    task = Task(shipped.load("digits-mlp"), Recipe())
    own, head, all_of_it = last("sparse.piggyback", task, onto="turns", epochs=20).runs
    origin, made = task.network.layer("fc1").weight, own.trained.network.layer("fc1").weight
    assert torch.equal(made, torch.where(made != 0, origin, 0.0)) and 0 < int((made == 0).sum()) < made.numel()
    assert torch.equal(head.trained.network.layer("fc1").weight, origin)
    assert not torch.equal(all_of_it.trained.network.layer("fc1").weight, origin)
    assert torch.equal(own.trained.network.module.fc1.bias, task.network.module.fc1.bias)
    other = Task(own.trained.network.reference, Recipe())
    assert other.watch.classes == piggyback.TURNS and other.network.module.fc2.out_features == 4
    for run in (own, head, all_of_it):
        holds(other, run)
    bits, layer = -(-64 * 64 // 8), (64 * 4 + 4) * 4
    assert [r.points[-1].traced[piggyback.ADDED] * 1000 for r in (own, head, all_of_it)] == [bits + layer, layer, (64 * 64 + 64) * 4 + layer]
    assert own.best.accuracy > head.best.accuracy > 0.4
    again = last("sparse.piggyback", task, onto="turns", epochs=20).runs[0]
    assert again.trained.network.digest == own.trained.network.digest and masked.LEFT in own.points[-1].traced


def test_normalisations_stay_as_they_are_while_a_mask_is_learnt():
    net = shipped.load("vgg-small")
    model = piggyback.Still(net, {})
    before = {k: v.clone() for k, v in model.body.state_dict().items()}
    model.train()(net.data["train"].inputs[:8])
    assert piggyback.added(piggyback.Made(net, {})) == 4 * (net.parameters + 2 * (16 + 32 + 32 + 64 + 64)), "with what they measured"
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.body.state_dict().items())


def test_what_has_no_other_task_says_so():
    assert "square images" in piggyback.refuses(Task(shipped.load("char-gpt"), Recipe()))
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh()).eval()
    bent = network("bent", "Bent", module, shipped.load("digits-mlp").data)
    assert "does not end in" in piggyback.refuses(Task(bent, Recipe()))
