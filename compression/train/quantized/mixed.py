"""Bits by layer, from how sharply the loss bends along each, then trained: beside as many bits in every layer, trained alike."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.apply import encode
from compression.budget.exact import exact
from compression.budget.hessian import traces
from compression.budget.problem import Limit, Problem
from compression.context import NO_EXAMPLES
from compression.method import Knob, Layer, mapped
from compression.network import Network
from compression.recipe import step
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.quantized import beside
from compression.train.quantized.levels import Rounded, least_error_step
from compression.train.quantized.straight_through import EPOCHS, LATENT, RATE

CHOICES = (1, 2, 3, 4, 6, 8)


class Allotted(NamedTuple):
    """The bits that layers got, and why."""

    layer_bits: Tensor  # (layers,) bits per weight
    curvature: Tensor  # (layers,) mean trace of the Hessian, negative ones as 0
    how: Any  # the weights lie on their levels


def allotted(trace: Mapping[str, float], layers: list[Layer], bits: float) -> dict[str, int]:
    """Bits by layer name: the least sum of mean trace times squared rounding error, with so many bits per weight on average at most."""
    cost, weights = [], []
    for layer in layers:
        error = [float((encode(replace(layer, stored=None), (step("quantization.uniform", bits=b, clip="mse"),))[0].decode() - layer.weight)
                       .square().sum()) for b in CHOICES]
        cost.append(max(trace[layer.name], 0.0) * np.array(error))
        weights.append(layer.weight.numel() * np.array(CHOICES, float))
    most = bits * sum(layer.weight.numel() for layer in layers)
    places = exact(Problem(tuple(cost), (Limit("bits", tuple(weights), most),))).places
    return {layer.name: CHOICES[p] for layer, p in zip(layers, places, strict=True)}


def run(task: Task, bits: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Three runs: rounding alone, training with the same bits everywhere, and with bits by layer."""
    net, plan = beside.start(task), Plan("adamw", rate, 0.0, 128, epochs)
    layers, total = beside.chosen(task, net), plan.total(len(task.teach))
    rounding = step("quantization.uniform", bits=bits, clip="mse")
    rounded = Run(f"rounded to {bits} bits, not trained", 0, control=True)
    alike = Run(f"trained, {bits} bits everywhere", total, control=True)
    forms = {layer.name: encode(replace(layer, stored=None), (rounding,))[0] for layer in layers}
    key = task.key("mixed", bits, plan)
    yield from in_turn(task.watch, [
        (rounded, lambda _: beside.untrained(task, net, forms, way({}, bits), rounded)),
        (alike, lambda _: beside.learnt(task, net, layers, plan, way({}, bits), alike, f"{key} alike")),
        (by_layer := Run("trained, bits by curvature", total), lambda _: _by_layer(task, net, layers, plan, bits, by_layer, f"{key} by layer")),
    ])


def way(by_layer: Mapping[str, int], bits: int) -> beside.Way:
    """Levels of as many bits as a layer got, or of so many."""
    def make(layer: Layer) -> Rounded:
        own = by_layer.get(layer.name, bits)
        return Rounded(layer.weight, least_error_step(layer, own), own)
    return beside.Way(make)


def _by_layer(task: Task, net: Network, layers: list[Layer], plan: Plan, bits: int, run: Run, key: str) -> Going:
    trace: Mapping[str, float] = {}
    for found in traces(net, seed=task.seed):
        trace = found.by_layer
        yield None
    chosen = allotted(trace, layers, bits)
    told = torch.tensor([float(chosen[layer.name]) for layer in layers]), torch.tensor([max(trace[layer.name], 0.0) for layer in layers])

    def pictured(new: Run | None) -> Run | None:
        return None if new is None else replace(new, picture=Allotted(*told, new.picture))

    last = yield from mapped(beside.learnt(task, net, layers, plan, way(chosen, bits), run, key), pictured)
    return replace(last, picture=Allotted(*told, last.picture))


def refuses(task: Task) -> str | None:
    """Curvature needs training examples."""
    return NO_EXAMPLES if "train" not in task.network.data else beside.refuses(task)


PROCEDURE = Procedure(
    title="Bits by curvature, then trained (HAWQ)",
    summary="Gives more bits to layers along which the loss bends sharply, for as many bits per weight on average, and trains through the "
            "rounding. The control trains alike with the same bits in every layer.",
    reference="Dong et al. 2020, HAWQ-V2, arXiv:1911.03852; Dong et al. 2019, HAWQ, arXiv:1905.03696",
    survey="6.4.2",
    knobs=(Knob("bits", "Bits per weight, on average", (2, 3, 4), 2, "Of all rounded weights together; scales come on top."), EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    study=tuple((("bits", n),) for n in (2, 3, 4)),
    refuses=refuses,
    finding="Bits where the loss bends most keep more accuracy than the same bits everywhere, most so where bits are few.",
    terms=(("Hessian trace", "The sum of the loss's second slopes along all weights of a layer."), LATENT),
)
