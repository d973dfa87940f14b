"""Layers whose units can be taken away for real: each feeds one other layer alone, through steps that treat every unit by itself."""

from typing import NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from compression.engine.trace import Untraceable, trace
from compression.network import Network

_FEEDERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_BY_ITSELF = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.ELU, nn.Dropout, nn.Dropout1d,
              nn.Dropout2d, nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_FUNCTIONS = (F.relu, torch.relu, F.gelu, torch.sigmoid, torch.tanh, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d)


class Pair(NamedTuple):
    """Module names: a layer, the batch normalisations on the way, and the one layer that reads its units."""

    feeder: str
    norms: tuple[str, ...]
    reader: str


def pairs(network: Network) -> list[Pair]:
    """Of a network, in the order in which it runs them; none where it cannot be traced."""
    try:
        graph, root = trace(network.module)
    except Untraceable:
        return []
    calls = [n.target for n in graph.nodes if n.op == "call_module"]
    owned = [id(p) for m in root.modules() for p in m.parameters(recurse=False)]

    def alone(name: str) -> bool:
        """Whether a module is called once, and no other holds its weight."""
        return calls.count(name) == 1 and owned.count(id(root.get_submodule(name).weight)) == 1

    found = []
    for node in graph.nodes:
        if node.op == "call_module" and _mixes(root.get_submodule(node.target)) and alone(node.target):
            pair = _follow(node, root)
            if pair and all(alone(name) for name in (*pair.norms, pair.reader)):
                found.append(pair)
    return found


def _mixes(part: nn.Module) -> bool:
    """Whether a layer makes each of its units from all of its inputs."""
    return isinstance(part, _FEEDERS) and getattr(part, "groups", 1) == 1


def _follow(node: fx.Node, root: nn.Module) -> Pair | None:
    """The layer that alone reads what a node makes, through norms and steps that treat each unit by itself; None where there is none."""
    feeder, norms, flat, bent = root.get_submodule(node.target), [], False, False
    conv = isinstance(feeder, nn.Conv1d | nn.Conv2d)
    here = node
    while len(here.users) == 1:
        here = next(iter(here.users))
        if here.op == "call_function" and here.target in _FUNCTIONS:
            bent = True
            continue
        if here.op in ("call_function", "call_method") and here.target in (torch.flatten, "flatten") and here.args[1:] in ((1,), (1, -1)):
            flat = flat or conv
            continue
        if here.op != "call_module":
            return None
        part = root.get_submodule(here.target)
        if isinstance(part, nn.Flatten) and (part.start_dim, part.end_dim) == (1, -1):
            flat = flat or conv
        elif isinstance(part, _NORMS) and part.running_var is not None and part.affine and not bent:  # part of the layer's own weights
            norms.append(here.target)
        elif _mixes(part):
            fits = isinstance(part, nn.Linear) == (flat or not conv) and part.weight.shape[1] % len(feeder.weight) == 0
            return Pair(node.target, tuple(norms), here.target) if fits else None
        elif isinstance(part, _BY_ITSELF):
            bent = True
        else:
            return None
    return None


def by_unit(weight: Tensor, units: int) -> Tensor:
    """A reader's weight (out, units * places) or (out, units, *kernel), by what it reads: (units, out, places)."""
    return weight.reshape(len(weight), units, -1).transpose(0, 1)


def shrink(module: nn.Module, pair: Pair, kept: Tensor, read: Tensor) -> None:
    """Leave only some units, numbers (k,), between the two layers, and let the reader read them so: (units, out, places)."""
    feeder, reader = module.get_submodule(pair.feeder), module.get_submodule(pair.reader)
    units = len(feeder.weight)
    shape = (len(reader.weight), len(kept) * (reader.weight.shape[1] // units), *reader.weight.shape[2:])
    reader.weight = _fixed(read[kept].transpose(0, 1).reshape(shape))
    feeder.weight = _fixed(feeder.weight.detach()[kept])
    if feeder.bias is not None:
        feeder.bias = _fixed(feeder.bias.detach()[kept])
    for name in pair.norms:
        norm = module.get_submodule(name)
        norm.weight, norm.bias = _fixed(norm.weight.detach()[kept]), _fixed(norm.bias.detach()[kept])
        norm.running_mean, norm.running_var = norm.running_mean[kept].clone(), norm.running_var[kept].clone()
        norm.num_features = len(kept)
    _say(feeder, "out", len(kept))
    _say(reader, "in", shape[1])


def _fixed(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.contiguous().clone(), requires_grad=False)


def _say(part: nn.Module, which: str, count: int) -> None:
    setattr(part, f"{which}_features" if isinstance(part, nn.Linear) else f"{which}_channels", count)
