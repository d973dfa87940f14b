"""Make a Network of a person's own weights or own code, and say at the door what does not fit.

Weights come from compression.own.reading; for an architecture that does not ship, compression.own.chain guesses a plain one.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from compression.data import Data
from compression.layers import Skipped
from compression.network import Network, network
from compression.own.chain import infer_chain
from compression.own.examples import answers, fitting, from_arrays, own_splits, reason
from compression.own.reading import dimensions, short
from compression.zoo.catalogue import ZOO
from compression.zoo.data import CONTEXT

ELSE = "Pick another architecture or see the list."
NOTHING: Mapping[str, Data] = MappingProxyType({})


class Expected(NamedTuple):
    """What the state dict of a shipped architecture looks like."""

    tensors: Mapping[str, Tensor]  # on the meta device: shapes and number formats only
    tied: tuple[tuple[str, ...], ...]  # groups of names that hold one tensor


def own(module: nn.Module, title: str, data: Mapping[str, Data] = NOTHING, example: Tensor | None = None) -> Network:
    """A Network around a person's own module, named "own-" and eight digits of its content."""
    made = network("own", title, module, data, example)
    return dataclasses.replace(made, name=f"own-{made.digest[:8]}")


@cache
def expected(architecture: str) -> Expected:
    """The names and shapes a shipped architecture needs. Raises ValueError with the names there are."""
    if architecture not in ZOO:
        raise ValueError(f"There is no architecture {short(architecture)!r}; there are {', '.join(ZOO)}.")
    with torch.device("meta"):
        state = ZOO[architecture].build().state_dict(keep_vars=True)
    groups: dict[int, list[str]] = {}
    for key, tensor in state.items():
        groups.setdefault(id(tensor), []).append(key)
    return Expected(MappingProxyType(dict(state)), tuple(tuple(names) for names in groups.values() if len(names) > 1))


def misfit(tensors: Mapping[str, Tensor], architecture: str) -> str | None:
    """Why the tensors are not those of a shipped architecture, in a sentence; None where they are.

    Of tied weights one name is enough; BatchNorm's count of batches may be absent.
    """
    title, (needed, tied) = ZOO[architecture].title, expected(architecture)
    unknown = [key for key in tensors if key not in needed]
    shaped = [key for key in tensors if key in needed and tensors[key].shape == needed[key].shape]
    if not shaped:
        first = f"First unknown: `{short(unknown[0])}`." if unknown else f"First: {_shapes(tensors, needed)}."
        return f"This file holds {len(tensors):,} tensors but none match {title}. {first}"
    elsewhere = {key for group in tied for key in group if any(other in tensors for other in group)}
    missing = [key for key in needed
               if key not in tensors and key not in elsewhere and not key.endswith("num_batches_tracked")]
    if len(shaped) + len(unknown) < len(tensors):
        return f"{_shapes(tensors, needed)} in {title}."
    if missing:
        first = short(missing[0])
        return f"This file lacks {len(missing):,} of the {len(needed):,} tensors of {title}, the first `{first}`."
    if unknown:
        return f"This file holds {len(unknown):,} tensors that {title} does not have, the first `{short(unknown[0])}`."
    for key in needed:
        if tensors.get(key, needed[key]).is_floating_point() != needed[key].is_floating_point():
            found = str(tensors[key].dtype).removeprefix("torch.")
            return f"`{key}` holds {found} numbers in this file; {title} needs floating point."
    for first, *others in ([key for key in group if key in tensors] for group in tied):
        for other in others:
            if not torch.equal(tensors[first], tensors[other]):
                return f"In {title} `{first}` and `{other}` are one weight, but in this file they differ."
    return None


def _shapes(tensors: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> str:
    key = next(key for key in tensors if key in needed and tensors[key].shape != needed[key].shape)
    found, wanted = (dimensions(tuple(held[key].shape)) for held in (tensors, needed))
    return f"`{key}` is {found} in this file, but {wanted}"


def matching_architectures(tensors: Mapping[str, Tensor]) -> list[str]:
    """The shipped architectures that the tensors fit, by name."""
    return [name for name in ZOO if misfit(tensors, name) is None]


def shipped_architecture(tensors: Mapping[str, Tensor], architecture: str, title: str | None = None,
                         data: Mapping[str, Data] | None = None) -> Network:
    """A person's weights in a shipped architecture, judged on `data`, or on the data that architecture ships with.

    Raises ValueError naming the first tensor that does not fit, and the architecture that does, if there is one.
    """
    expected(architecture)
    wrong = misfit(tensors, architecture)
    if wrong is not None:
        others = matching_architectures(tensors)
        advice = f"It does fit {ZOO[others[0]].title}: pick that." if others else ELSE
        raise ValueError(f"{wrong} {advice}")
    entry = ZOO[architecture]
    module = entry.build()
    module.load_state_dict(dict(tensors), strict=False)
    splits = {split: entry.load(split) for split in ("train", "validation", "test")} if data is None else dict(data)
    example = torch.zeros(1, CONTEXT, dtype=torch.long) if entry.text else entry.load("test").inputs[:1]
    return own(module, title or entry.title, MappingProxyType(splits), example)


def guessed(tensors: Mapping[str, Tensor], title: str, data: Data | None = None,
            input_shape: tuple[int, ...] | None = None) -> tuple[Network, tuple[str, ...]]:
    """A Network around the chain that infer_chain reads off the tensors, and what it assumed; data is split in two."""
    module, assumptions = infer_chain(tensors, input_shape, data)
    first = next(part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d))
    example = data.inputs[:1] if data is not None else torch.zeros(1, *(input_shape or (first.weight.shape[1],)))
    bare = own(module, title, example=example)
    if data is None:
        return bare, assumptions
    return dataclasses.replace(bare, data=MappingProxyType(own_splits(fitting(bare, data)))), assumptions


def open_function(spec: str) -> Any:
    """What a function of the person's own code, "package.module:function", returns when called without arguments.

    For a person's own machine only: it runs their code. Raises ValueError saying which step failed and how.
    """
    module_name, colon, name = spec.partition(":")
    if not colon or not module_name or not name:
        raise ValueError(f"{short(spec)!r} names no function. Write package.module:function, such as "
                         "mymodels.lenet:trained.")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as problem:
        raise ValueError(f"Importing {short(module_name)} failed: {reason(problem)}. Start in the folder that holds "
                         "it, or put that folder in PYTHONPATH.") from problem
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{short(module_name)} has no function {short(name)!r}. Check its spelling.")
    try:
        return function()
    except (Exception, SystemExit) as problem:
        raise ValueError(f"{short(spec)} raised {reason(problem)}. It is called without arguments, and has to "
                         "return.") from problem


def own_network(model: str, data: str | None = None) -> Network:
    """A Network from a person's own functions, "package.module:function" each.

    model returns a torch.nn.Module, in any mode; it is put in eval mode, on the CPU, in 32 bits. data returns (inputs,
    labels), tensors or arrays, labels None where unknown; or a Data; or a mapping of "train", "validation", "test" to
    either. Inputs obey the rules of compression.own.examples. An example of each split is tried. Raises ValueError.
    """
    module = open_function(model)
    if not isinstance(module, nn.Module):
        raise ValueError(f"{short(model)} returned a {type(module).__name__}; it has to return a torch.nn.Module.")
    title = short(model.partition(":")[2]).replace("_", " ")
    bare = own(module.cpu().float(), title)
    if data is None:
        return bare
    found = open_function(data)
    if isinstance(found, Mapping):
        wrong = next((key for key in found if key not in ("train", "validation", "test")), None)
        if wrong is not None or not found:
            raise ValueError(f"{short(data)} returned the splits {short(', '.join(map(str, found)) or 'none')}; they "
                             "are called train, validation and test.")
        splits = {split: _data(data, part, split, bare) for split, part in found.items()}
    else:
        splits = own_splits(_data(data, found, "validation", bare))
    return dataclasses.replace(bare, data=MappingProxyType(splits), example=next(iter(splits.values())).inputs[:1])


def _data(spec: str, found: Any, split: str, to: Network) -> Data:
    """One split as its function gave it, tried on the network."""
    if isinstance(found, Data):
        return fitting(to, dataclasses.replace(found, split=split))
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError(f"{short(spec)} returned a {type(found).__name__}; it has to return (inputs, labels), labels "
                         "None where unknown.")
    try:
        inputs, labels = (part.detach().cpu().numpy() if isinstance(part, Tensor) else part for part in found)
        inputs = np.asarray(inputs)
    except Exception as problem:  # rows of unequal length, a number format numpy lacks
        raise ValueError(f"The inputs {short(spec)} returned are no array: {reason(problem)}. Return a tensor or an "
                         "array.") from problem
    return from_arrays(inputs, labels, short(spec.partition(":")[2]), split, network=to)


@dataclass(frozen=True)
class Card:
    """What was found of a network before anybody works with it."""

    parameters: int  # tied ones once
    layers: int  # how many can be compressed
    skipped: tuple[Skipped, ...]  # parameters that stay as they are, with reasons
    outputs: tuple[int, ...]  # of one example: (classes,) or (length, symbols)
    notes: tuple[str, ...]  # one sentence each, for the screen


def check(network: Network, data: Data) -> Card:
    """Try a network on its first two examples. Raises ValueError where it does not answer them with finite scores."""
    fitting(network, data)
    scores, again = (answers(network, data.inputs[:2]) for _ in range(2))
    notes = []
    if not torch.equal(scores, again):
        notes.append("The same examples got different answers twice: something in the network is random even in eval "
                     "mode, so every measurement will vary a little.")
    if bool((scores >= 0).all()) and torch.allclose(scores.sum(-1), torch.ones(()), atol=1e-4):
        notes.append("The answers already add up to 1, as after a softmax. Return the scores before it, or confidence "
                     "and loss are off.")
    if not network.layers:
        notes.append("No layer of this network can be compressed here; see the reasons below.")
    if data.labels is None:
        notes.append("The data has no labels: agreement with the original network takes the place of accuracy.")
    if len(data) < 40:
        notes.append(f"{len(data)} examples are few: intervals will be wide, and all of them serve as validation.")
    return Card(network.parameters, len(network.layers), network.skipped, tuple(scores.shape[1:]), tuple(notes))
