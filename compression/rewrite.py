"""What a rewriting is: a change of the whole network that comes first in a recipe, before any layer is stored in fewer bytes."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from compression.method import Knob, Value, knob_of
from compression.network import Network

CLOSE = 1e-3  # of the largest score: what rounding may change in a rewriting that says it keeps the answers


class Refused(ValueError):
    """A rewriting does not apply at this setting, in one sentence; it is then passed over."""


def everywhere(network: Network) -> str | None:
    """For rewritings that apply to any network."""
    return None


class Relation(NamedTuple):
    """What a rewriting looked at before it changed anything: how layers, or units, stand to one another."""

    question: str  # that the table answers
    names: tuple[str, ...]  # of rows and of columns
    values: torch.Tensor  # (names, names), nan where two cannot be compared
    said: str  # what the values are, with their unit


class Setback(NamedTuple):
    """A setting on a shipped network at which a rewriting does harm, and why; a test measures it."""

    why: str
    network: str
    knobs: tuple[tuple[str, Value], ...]
    bits: int = 0  # with one scale for each layer, of all weights afterwards; 0 for none


def at_nothing(network: Network) -> Relation | None:
    """For rewritings that compare nothing."""
    return None


@dataclass(frozen=True)
class Rewrite:
    """A new module for an old one: apply(network, **knobs) returns it, and leaves the old one and its tensors as they are.

    Layers keep their names, so that a recipe for the old network fits the new one. refuses(network) says in one sentence why
    the rewriting does not apply there, or None where it does. exact: the new module computes the same, rounding apart. looks: what
    it compares to decide.
    """

    title: str
    summary: str
    reference: str
    survey: str  # section of O'Neill 2020, "4"
    knobs: tuple[Knob, ...]
    apply: Callable[..., nn.Module]
    exact: bool
    refuses: Callable[[Network], str | None] = everywhere
    terms: tuple[tuple[str, str], ...] = ()
    looks: Callable[[Network], Relation | None] = at_nothing
    fails: Setback | None = None

    def __post_init__(self) -> None:
        asked = [p.name for p in list(inspect.signature(self.apply).parameters.values())[1:]]
        declared = [k.name for k in self.knobs]
        if asked != declared:
            raise TypeError(f"{self.title}: apply takes {asked}, but the knobs are {declared}")

    def knob(self, name: str) -> Knob:
        """The knob of that name. Raises ValueError with the names there are."""
        return knob_of(self.title, self.knobs, name)


def spare(network: Network) -> nn.Module:
    """A copy of the network's module to be rewritten; its tensors are the original's until they are replaced."""
    shared = {id(t): t for t in (*network.module.parameters(), *network.module.buffers())}
    return copy.deepcopy(network.module, shared)


def replace_tensor(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Let a parameter of the module, by its dotted name, be a new tensor; the old one is not written to."""
    prefix, _, own = name.rpartition(".")
    setattr(module.get_submodule(prefix), own, nn.Parameter(tensor, requires_grad=False))


def difference(network: Network, module: nn.Module) -> float:
    """Largest difference of scores on a few examples, as a share of the largest score; 0 where there is nothing to try."""
    data = next(iter(network.data.values()), None)
    inputs = network.example if data is None else data.inputs[:8]
    if inputs is None:
        return 0.0
    with torch.inference_mode():
        old, new = network.module(inputs), module(inputs)
    return float((old - new).abs().max() / old.abs().max().clamp(min=1e-30)) if old.shape == new.shape else float("inf")
