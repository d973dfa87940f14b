"""Guess the network behind a bare list of weights: a plain chain of layers, read off names and shapes.

A state dict says nothing of activation, padding, stride or pooling. A few conventions are tried in turn; the first
whose sizes fit is taken, or, where labelled examples are given, the one that answers most of them rightly. What is
assumed is put in words.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import groupby, product
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.data import Data
from compression.own.parts import INSTEAD, Part, orders, parts_of
from compression.own.reading import dimensions, short

JUDGED = 256  # labelled examples at most by which readings are compared
NUMBERS = 4_000_000  # fewer where examples are large: input values in all
POOLS: Mapping[str, Callable[[int, list[int]], bool]] = {  # after convolution i of those with these output channels?
    "Max pooling by 2 after every convolution": lambda i, c: True,
    "Max pooling by 2 before each wider convolution, and last": lambda i, c: i == len(c) - 1 or c[i + 1] > c[i],
    "Max pooling by 2 before each wider convolution": lambda i, c: i < len(c) - 1 and c[i + 1] > c[i],
    "Max pooling by 2 after every second convolution": lambda i, c: i % 2 == 1,
    "Max pooling by 2 after the last convolution": lambda i, c: i == len(c) - 1,
    "No pooling": lambda i, c: False,
}


class Guess(NamedTuple):
    """A chain that the weights fill, and what had to be assumed."""

    module: nn.Sequential  # in eval mode; it shares the tensors it was made of
    assumptions: tuple[str, ...]  # a sentence each, for the screen


class Rule(NamedTuple):
    """What a state dict does not say."""

    pool: str
    pooled: tuple[bool, ...]  # by convolution
    same: bool  # padding keeps the size; otherwise there is none
    relu: bool  # after convolutions too, not only between fully connected layers


Modules = list[tuple[str, nn.Module, Part | None]]  # dotted name; what is of a Part waits on the meta device


class Reading(NamedTuple):
    """A rule under which the sizes fit, and the chain it gives."""

    rule: Rule
    modules: Modules
    notes: list[str]


def infer_chain(tensors: Mapping[str, Tensor], input_shape: tuple[int, ...] | None = None,
                data: Data | None = None) -> Guess:
    """A chain of Linear, Conv1d, Conv2d, BatchNorm and LayerNorm that the tensors fill, for inputs (n, *input_shape).

    input_shape may be left out for Linear layers alone, and where data is given: its first labelled examples choose
    among the readings that fit. Raises ValueError naming the layer that does not fit, what it takes and what came.
    """
    parts = parts_of(tensors)
    if data is not None:
        input_shape = tuple(data.inputs.shape[1:])
    text = data is not None and not data.inputs.is_floating_point()
    if text or (input_shape is not None and len(input_shape) not in (1, 2, 3)):
        raise ValueError(f"A plain chain reads vectors or images, but an example is {dimensions(input_shape)} "
                         f"{'symbols' if text else 'numbers'}. {INSTEAD}")
    if input_shape is None and any(part.kind == "conv" for part in parts):
        raise ValueError("Convolutions do not say how large their inputs are. Give the shape of one example, such as "
                         "1 × 28 × 28.")
    problem = None
    for row, order in orders(parts):
        readings, wrong = _readings(row, tuple(input_shape or (row[0].inputs,)))
        if readings:
            return _chosen(readings, row, order, data)
        problem = wrong
    raise ValueError(f"Read as a plain chain, with and without padding and pooling, the sizes do not fit: {problem} "
                     f"{INSTEAD}")


def _readings(parts: list[Part], shape: tuple[int, ...]) -> tuple[list[Reading], str | None]:
    """Every rule whose sizes fit, and what was wrong with the first that does not."""
    channels = [part.outputs for part in parts if part.kind == "conv"]
    pads = any(max(part.kernel, default=1) > 1 for part in parts)  # 1 x 1 kernels have nothing to pad
    gates = bool(channels) and any(part.kind == "linear" for part in parts)  # else no ReLU at all would be left
    readings: dict[tuple, Reading] = {}
    problem = None
    for pool, same, relu in product(POOLS, (True, False), (True, False)):
        pooled = tuple(POOLS[pool](i, channels) for i in range(len(channels)))
        rule = Rule(pool, pooled, same and pads, relu or not gates)
        if rule[1:] in readings:
            continue
        try:
            readings[rule[1:]] = _plan(parts, shape, rule)
        except ValueError as wrong:
            problem = problem or str(wrong)
    return list(readings.values()), problem


def _plan(parts: list[Part], shape: tuple[int, ...], rule: Rule) -> Reading:
    """Walk the shape of an example through the chain. Raises ValueError naming the layer at which it stops."""
    modules: Modules = []
    notes: list[str] = []
    last, convolutions = None, 0  # the last layer with a weight, and the convolutions so far
    for part in parts:
        if part.weighs and last is not None:
            if last.kind == "linear" or rule.relu:
                modules.append((f"{last.name}_relu", nn.ReLU(), None))
            shape = _pool(modules, last, shape, rule, convolutions)
        keeps = part.kind == "conv" or (part.kind == "batchnorm" and part.inputs == shape[0])
        if len(shape) > 1 and not keeps:
            shape = _bend(modules, notes, part, last, shape)
        module, after = _layer(part, last, shape, rule)
        if getattr(module, "groups", 1) > 1:
            notes.append(f"{short(part.name)} works on each channel by itself (depthwise).")
        modules.append((part.name, module, part))
        shape, last, convolutions = after, part if part.weighs else last, convolutions + (part.kind == "conv")
    if last is not None and last.kind == "conv":
        shape = _pool(modules, last, shape, rule, convolutions)
        modules += [("average", _average(shape), None), ("flatten", nn.Flatten(), None)]
        notes.append(f"Each channel of {short(last.name)} is averaged into one class.")
    return Reading(rule, modules, notes)


def _came(last: Part | None, shape: tuple[int, ...]) -> str:
    return f"{short(last.name) if last else 'the input'} gives {dimensions(shape)}"


def _pool(modules: Modules, last: Part, shape: tuple[int, ...], rule: Rule, convolutions: int) -> tuple[int, ...]:
    """The shape after the pooling that the rule puts behind the last convolution, if it does."""
    if last.kind != "conv" or not rule.pooled[convolutions - 1]:
        return shape
    if min(shape[1:]) < 2:
        raise ValueError(f"Nothing is left to pool after {short(last.name)}: it gives {dimensions(shape)}.")
    modules.append((f"{last.name}_pool", (nn.MaxPool1d, nn.MaxPool2d)[len(shape) - 2](2), None))
    return shape[0], *(size // 2 for size in shape[1:])


def _average(shape: tuple[int, ...]) -> nn.Module:
    return (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[len(shape) - 2](1)


def _bend(modules: Modules, notes: list[str], part: Part, last: Part | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """From channels and places to a list of numbers: flattened where the sizes fit, else averaged over places."""
    if part.kind == "layernorm" and last is not None:
        raise ValueError(f"{short(part.name)} normalises after a convolution without running statistics (a group or "
                         "layer norm).")
    if part.inputs == shape[0] != prod(shape) and last is not None:
        modules.append(("average", _average(shape), None))
        notes.append(f"Each channel is averaged over its {dimensions(shape[1:])} places before {short(part.name)}.")
    elif part.inputs != prod(shape):
        raise ValueError(f"{short(part.name)} takes {part.inputs:,} inputs, but {_came(last, shape)} = "
                         f"{prod(shape):,}.")
    modules.append(("flatten", nn.Flatten(), None))
    return (part.inputs,)


def _layer(part: Part, last: Part | None, shape: tuple[int, ...], rule: Rule) -> tuple[nn.Module, tuple[int, ...]]:
    """The module of one part, on the meta device, and the shape after it."""
    depth, biased, name = len(shape) - 1, "bias" in part.tensors, short(part.name)
    depthwise = last is not None and part.kind == "conv" and part.inputs == 1 and part.outputs % shape[0] == 0
    groups = shape[0] if depthwise else 1
    if part.kind == "conv" and len(part.kernel) != depth:
        raise ValueError(f"{name} is a convolution over {len(part.kernel)} axes, but {_came(last, shape)}.")
    if part.inputs * groups != shape[0]:
        raise ValueError(f"{name} takes {part.inputs:,} {'channels' if depth else 'inputs'}, but {_came(last, shape)}.")
    with torch.device("meta"):
        if part.kind == "linear":
            return nn.Linear(part.inputs, part.outputs, biased), (part.outputs,)
        if part.kind == "layernorm":
            return nn.LayerNorm(part.outputs), shape
        if part.kind == "batchnorm":
            return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[depth](part.outputs, affine=biased), shape
        padding = tuple(k // 2 if rule.same and k % 2 else 0 for k in part.kernel)
        after = tuple(size + 2 * p - k + 1 for size, p, k in zip(shape[1:], padding, part.kernel, strict=True))
        if min(after) < 1:
            raise ValueError(f"{name} needs at least {dimensions(part.kernel)} places, but {_came(last, shape)}.")
        make = (nn.Conv1d, nn.Conv2d)[depth - 1]
        module = make(shape[0], part.outputs, part.kernel, padding=padding, groups=groups, bias=biased)
        return module, (part.outputs, *after)


def _chosen(readings: list[Reading], parts: list[Part], order: str, data: Data | None) -> Guess:
    """Of the readings that fit, the first, or the one that does best on labelled examples."""
    modules = [_filled(reading) for reading in readings]
    best, others = 0, len(readings) - 1
    reason = [f"Readings that would fit as well: {others}. Labelled examples would tell them apart."] if others else []
    if data is not None and data.labels is not None and data.labels.ndim == 1:
        count = min(JUDGED, len(data), max(16, NUMBERS // max(1, data.inputs[0].numel())))
        with torch.inference_mode():
            right = [int((module(data.inputs[:count]).argmax(-1) == data.labels[:count]).sum()) for module in modules]
        best = max(range(len(right)), key=right.__getitem__)
        chosen = f"Chosen among {len(readings)} readings that fit" if others else "The only reading that fits"
        reason = [f"{chosen}: right on {right[best]} of the first {count} {data.split} examples."]
        if right.count(right[best]) > 1:
            reason.append(f"Readings that did as well: {right.count(right[best]) - 1}. The first is taken.")
    return Guess(modules[best], (*_told(readings[best], parts, order), *reason))


def _told(reading: Reading, parts: list[Part], order: str) -> list[str]:
    """The assumptions of a reading, in words."""
    rule, kinds = reading.rule, {part.kind for part in parts}
    kernels = sorted({part.kernel for part in parts if part.kind == "conv" and max(part.kernel) in range(3, 99, 2)})
    told = [f"Layers follow one another {order}."]
    if sum(part.weighs for part in parts) > 1:
        between = "ReLU between fully connected layers, none after convolutions."
        told.append("ReLU after every layer but the last." if rule.relu else between)
    if "conv" in kinds:
        told.append(f"{rule.pool}.")
        if rule.same and kernels:
            padded = ", ".join(f"{max(k) // 2} for {dimensions(k)} kernels" for k in kernels)
            told.append(f"Padding that keeps the size: {padded}.")
        told.append("Stride 1 and no dilation." if rule.same and kernels else "No padding, stride 1 and no dilation.")
    if "batchnorm" in kinds or "layernorm" in kinds:
        told.append("Normalisation stands before the activation, with torch's epsilon of 0.00001.")
    return told + reading.notes


def _filled(reading: Reading) -> nn.Sequential:
    """The modules of a reading with the weights in them, nested by the dots in their names."""
    for _, module, part in reading.modules:
        if part is not None:
            counted = {"num_batches_tracked": torch.zeros((), dtype=torch.long)} if part.kind == "batchnorm" else {}
            module.load_state_dict(counted | dict(part.tensors), assign=True)
    return _nested([(tuple(name.split(".")), module) for name, module, _ in reading.modules]).eval()


def _nested(named: list[tuple[tuple[str, ...], nn.Module]]) -> nn.Sequential:
    """Modules in a Sequential by their first name, those that share it in one below. Names torch reserves get a "_"."""
    rows: OrderedDict[str, nn.Module] = OrderedDict()
    for first, group in groupby(named, key=lambda item: item[0][0]):
        members = [(path[1:], module) for path, module in group]
        whole = [module for path, module in members if not path]
        name = first or "layer"
        while name in rows or hasattr(nn.Sequential, name) or name in nn.Module().__dict__:
            name += "_"
        if not whole:
            rows[name] = _nested(members)
        elif len(members) == 1:
            rows[name] = whole[0]
        else:  # "block" and "block.0": one is no part of the other here
            rows[name] = _nested([(path or ("layer",), module) for path, module in members])
    return nn.Sequential(rows)
