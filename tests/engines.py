"""What the tests of the quick paths share: harsh steps, networks with random weights, and the plain path to compare with."""

import torch
from torch import nn

from compression.engine.plain import installed, skeleton
from compression.network import network
from compression.recipe import step
from compression.zoo.catalogue import ZOO

HARSH = (step("pruning.magnitude", sparsity=0.8), step("quantization.uniform", bits=3, symmetric=True, per="tensor"))


def random_network(name):
    """A zoo architecture with random weights and batch statistics that are not the identity."""
    torch.manual_seed(0)
    module = ZOO[name].build()
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_(std=0.1)
            m.running_var.uniform_(0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 2)
    return network(name, name, module)


def plain_scores(module, weights, x):
    own = skeleton(module)
    with torch.inference_mode(), installed(own, weights):
        return own(x)
