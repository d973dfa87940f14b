"""Small networks with random weights and labelled examples, and gradients of single examples by backward()."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from compression.data import Data
from compression.network import network


def small(*parts, inputs=(12, 6), seed=0):
    """A network of a few parts with random weights and labelled examples."""
    torch.manual_seed(seed)
    module, x = nn.Sequential(*parts), torch.randn(*inputs)
    classes = module(x).shape[1]
    return network("small", "Small", module, {"train": Data("random", "train", x, torch.arange(len(x)) % classes,
                                                           tuple("abcdefgh"[:classes]), "images" if x.ndim == 4 else "vectors")})


def mlp():
    return small(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def one_by_one(net, loss=F.cross_entropy):
    """Gradients of the loss of each example that teaches, by backward() on a module of their own: [{parameter name: gradient}]."""
    found = []
    for x, y in zip(net.context.examples, net.context.labels):
        module = copy.deepcopy(net.module).requires_grad_()
        loss(module(x[None]), y[None]).backward()
        found.append({name: p.grad for name, p in module.named_parameters()})
    return found
