"""Channels dropped by the scales of batch normalisations: which, when it is settled, and that what is dropped is gone."""

import torch
from torch import nn
from training import holds, last

from compression.data import Data
from compression.network import network
from compression.recipe import Recipe
from compression.train.procedure import Task
from compression.train.sparse import early_bird, slimming
from compression.zoo import shipped


def small():
    """A network with a batch normalisation, on digits as pictures."""
    digits = shipped.load("digits-mlp")
    torch.manual_seed(0)
    module = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                           nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(12, 10)).eval()
    data = {split: Data(d.name, d.split, d.inputs.flatten(1), d.labels, d.classes, "vectors") for split, d in digits.data.items()}
    return network("small", "Small", module, data)


def test_the_least_scaled_of_all_go_and_no_layer_is_emptied():
    kept = slimming.least([torch.tensor([3.0, 0.1, 0.2]), torch.tensor([0.05, 0.01])], 0.8)
    assert [k.tolist() for k in kept] == [[True, False, False], [True, False]]


def test_slimmed_channels_are_gone_for_good():
    task = Task(small(), Recipe())
    run, control = last("sparse.slimming", task, share=0.5, epochs=2).runs
    for each in (run, control):
        assert holds(task, each)
        module = each.trained.network.module
        for conv, norm in (("1", "2"), ("5", "6")):
            gone = module.get_submodule(norm).weight == 0
            assert bool((module.get_submodule(norm).bias[gone] == 0).all())
            assert bool((module.get_submodule(conv).weight[gone] == 0).all()) and not bool((module.get_submodule(conv).weight[~gone] == 0).all())
    assert sum(int((run.trained.network.module.get_submodule(n).weight == 0).sum()) for n in ("2", "6")) == 10
    assert [p.traced["channels left (%)"] for p in run.points][:: len(run.points) - 1] == [100, 50]


def test_masks_are_compared_and_settled_when_the_last_few_agree():
    masks = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]], dtype=torch.bool)
    assert early_bird.distances(masks)[0].tolist() == [0.0, 0.5, 0.5, 0.5]
    assert not early_bird.settled(masks[:3], 0.1) and early_bird.settled(masks, 0.1) and not early_bird.settled(masks[2:], 0.1)


def test_an_early_bird_is_drawn_before_the_end_and_trained_for_less():
    task = Task(small(), Recipe())
    early, late = last("sparse.early_bird", task, share=0.3, close=0.2, epochs=6, rate=1e-2).runs
    assert early.points[-1].step == early.steps < late.points[-1].step == late.steps
    assert early.picture.distance.shape[0] < late.picture.distance.shape[0] == 6
    for each in (early, late):
        holds(task, each)
        assert each.best.step > each.steps / 3


def test_without_such_scales_it_says_so():
    assert "no batch normalisation" in slimming.refuses(Task(shipped.load("lenet-300-100"), Recipe()))
