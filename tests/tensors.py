"""Random and trained weights to be decomposed, and how far a stored form is from one."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file

from compression.method import Layer

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def about(weight):
    return Layer("w", weight, "conv" if weight.ndim > 2 else "linear")


@cache
def trained(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[layer + ".weight"]


CONVS = [randn(12, 6, 3, 3), randn(5, 8, 5, 3, seed=1)]
TRAINED_CONVS = [("lenet-5", "conv2"), ("resnet-20", "stage2.1.conv1")]
MATRICES = [randn(24, 30), randn(10, 64, seed=1), randn(8, 6, 3, 3, seed=2)]


def convolutions():
    return CONVS + [trained(*which) for which in TRAINED_CONVS]


def matrices():
    return [*MATRICES, trained("lenet-300-100", "fc2"), trained("resnet-20", "stage1.0.conv1")]


def squared(form, weight):
    return float((form.decode() - weight).double().square().sum())


def energy(weight):
    return float(weight.double().square().sum())


def relative(form, weight):
    return (squared(form, weight) / energy(weight)) ** 0.5
