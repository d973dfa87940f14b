"""Weights to be rounded, trained and with heavy tails, and how far a stored form is from one."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from compression.method import Layer

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def real(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[f"{layer}.weight"]


def prepared(module, weight):
    return module.prepare(weight, Layer("w", weight))


def squared(form, weight):
    return float((form.decode() - weight).double().square().sum())


def heavy(*shape, seed=0, tail=3):
    return torch.from_numpy(np.random.default_rng(seed).standard_t(tail, shape).astype(np.float32)) * 0.05
