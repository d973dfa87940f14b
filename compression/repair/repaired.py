"""A compressed network after a repair, and the judge that accepts or refuses it.

A repair is kept only if, on held-out training examples, the network's answers come nearer to the original's: the mean
Kullback-Leibler divergence from the original's class probabilities must fall. Labels are never looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isfinite
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.apply import Compressed, Note
from compression.calibrate import Calibration, Sample, calibrate, sample
from compression.encoded import Encoded, replace_leaves
from compression.evaluate import skeleton
from compression.layers import find
from compression.method import Layer, Method, Value
from compression.network import Network
from compression.network import network as as_network
from compression.recipe import Step
from compression.registry import method

_BATCH = 256


@dataclass(frozen=True, eq=False)
class Repaired:
    """A network under a recipe, with what repairs have changed since. A refused repair leaves both as they were."""

    compressed: Compressed  # its stored layers, some perhaps with other values than the recipe alone gives
    dense: Mapping[str, Tensor]  # parameters and buffers that are stored as they are and were changed, by name
    name: str = "none"
    described: str = "As the recipe leaves it."
    before: float = float("nan")  # nats an answer, from the original's to this network's, on the held-out examples
    after: float = float("nan")
    accepted: bool = True

    def weights(self) -> dict[str, Tensor]:
        """All that replaces the original's tensors, by name, for evaluate and torch.func.functional_call."""
        return self.compressed.weights() | dict(self.dense)


@dataclass(frozen=True)
class Repair:
    """One way to repair without training. step(start, taken) gives the network after it, accepted or as it was."""

    title: str
    summary: str
    reference: str
    turn: int  # repairs are made in this order, whichever are chosen
    step: Callable[[Repaired, Sample], Repaired]

    def run(self, compressed: Compressed) -> tuple[Compressed, Note]:
        """The compressed network after this repair, and what came of it."""
        reference = compressed.network.reference
        if "train" not in reference.data:
            told = f"{reference.title} came without training examples, and nothing else may teach; give it a train split."
            return compressed, Note(self.title, told, False)
        start = begin(compressed)
        if compressed.notes:  # how far off the answers are now was found when the repair before this one was judged
            start = replace(start, after=compressed.notes[-1].after)
        after = self.step(start, learnt(reference))
        return rebased(after) if after.accepted else compressed, Note(self.title, after.described, after.accepted, after.before, after.after)


@lru_cache(maxsize=4)
def learnt(network: Network) -> Sample:
    """The examples that teach repairs of a network, drawn once."""
    return sample(network)


@lru_cache(maxsize=4)
def known_of(taken: Sample) -> Calibration:
    """What each layer of the original makes of those examples, found out once."""
    return calibrate(taken, products=False)


def begin(compressed: Compressed) -> Repaired:
    """A compressed network before any repair."""
    return Repaired(compressed, MappingProxyType({}))


def judged(start: Repaired, name: str, described: str, taken: Sample, encoded: Mapping[str, Encoded], dense: Mapping[str, Tensor]) -> Repaired:
    """The network with some layers and dense tensors replaced, if that brings its answers nearer to the original's; else as it was."""
    before = start.after if isfinite(start.after) else divergence(working(start), taken)
    compressed = replace(start.compressed, encoded=MappingProxyType(dict(start.compressed.encoded) | dict(encoded)))
    new = Repaired(compressed, MappingProxyType(dict(start.dense) | dict(dense)), name, described, before)
    after = divergence(working(new), taken)
    if after < before:
        return replace(new, after=after)
    told = f"{described} Refused: the distance from the original's answers went from {before:.4f} to {after:.4f} nats on {len(taken.held)} examples."
    return replace(start, name=name, described=told, before=before, after=before, accepted=False)


def not_applicable(start: Repaired, name: str, why: str) -> Repaired:
    """The network as it was, and the reason in one sentence."""
    return replace(start, name=name, described=why, before=start.after, accepted=False)


def divergence(module: nn.Module, taken: Sample) -> float:
    """Mean divergence of a module's answers from the original's on the held-out examples, nats."""
    total = 0.0
    with torch.inference_mode():
        for x, scores in zip(taken.held_inputs.split(_BATCH), taken.held_scores.split(_BATCH)):
            answers = F.log_softmax(module(x).float(), -1)
            total += float(F.kl_div(answers, F.log_softmax(scores, -1), reduction="sum", log_target=True))
    return total / taken.held_scores[..., 0].numel()


def working(state: Repaired) -> nn.Module:
    """A module that answers as the repaired network does. It shares the original's tensors where nothing was changed."""
    module = skeleton(state.compressed.network.module)
    put(module, state.weights())
    return module


def put(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let the module's parameters and buffers of those names be these tensors; names of one tensor stay tied. The old ones are not written to."""
    made: dict[int, nn.Parameter] = {}
    for full, tensor in tensors.items():
        prefix, _, name = full.rpartition(".")
        owner = module.get_submodule(prefix)
        known = name in owner._parameters
        setattr(owner, name, made.setdefault(id(tensor), nn.Parameter(tensor, requires_grad=False)) if known else tensor)


def carry_on(tree: Encoded, steps: tuple[Step, ...], layer: Layer) -> Encoded:
    """The later steps of a layer's chain on what a repair has stored; leaves that a step cannot take stay as they are."""
    for step in steps:
        known, knobs = method(step.method), dict(step.knobs)

        def store(x: Tensor, known: Method = known, knobs: dict[str, Value] = knobs) -> Encoded | None:
            return None if known.why_not(x, layer) else known.answer(known.prepare(x, layer), **knobs)

        tree = replace_leaves(tree, known.consumes, store)
    return tree


def rebased(state: Repaired) -> Compressed:
    """The same stored layers on a network whose dense tensors are the repaired ones; what it is compared with stays the original."""
    old = state.compressed.network
    module = skeleton(old.module)
    put(module, state.dense)
    fresh = replace(as_network(old.name, old.title, module, old.data, old.example), origin=old.reference)
    return replace(state.compressed, network=_same_layers(fresh, old))


def _same_layers(fresh: Network, old: Network) -> Network:
    names = [layer.name for layer in find(fresh.module).layers]
    if names != [layer.name for layer in old.layers]:
        raise ValueError("the repaired network has other layers than the original, which no repair makes")
    return fresh
