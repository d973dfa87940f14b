"""A network trained with its weights rounded, beside the same network rounded to as many bits and not trained at all.

Both begin from the network after the recipe's rewritings, so folding normalisations first is a matter of the recipe. Its steps on
layers are left aside; layers that it locks stay as they are.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import nan
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from compression.apply import encode, rewritten
from compression.encoded import Encoded
from compression.method import Layer
from compression.network import Network
from compression.recipe import Step
from compression.repair.repaired import put
from compression.train.loop import Loss, accuracy, fit
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Task, following, in_turn
from compression.train.progress import Point, Progress, Run, Trained
from compression.train.results import baked, result


class Maker(Protocol):
    """A weight in full and how it is rounded. In eval mode a call gives what form() decodes to, bit for bit."""

    def __call__(self) -> Tensor: ...
    def form(self) -> Encoded: ...


class Seen(NamedTuple):
    """How the weights lie on their levels, and how far training moved them."""

    used: Tensor  # (codes,) share of all weights that have each code, %
    recoded: Tensor  # (layers,) share of a layer's weights whose code is another than before training, %


class Way(NamedTuple):
    """What one way of training with rounded weights adds to the usual loop."""

    make: Callable[[Layer], nn.Module]  # a Maker for a layer
    open: Callable[[nn.Module], None] = lambda module: None  # a copy of the network, before anything else: activations rounded too
    begin: Callable[[Made], None] = lambda model: None  # before the first step
    after: Callable[[Made, float], None] = lambda model, share: None  # after a step; the share of all steps that is done
    trace: Callable[[Made], Mapping[str, float]] = lambda model: {}
    loss: Callable[[Made], Loss | None] = lambda model: None
    finish: Callable[[nn.Module], None] = lambda module: None  # the trained module, before it is kept: activations for good


def beside(task: Task, plan: Plan, words: str, rounding: Step, way: Way, *key: object) -> Iterator[Progress | None]:
    """Two runs: a step of post-training rounding as control, and the training. key: all that decides it beside plan and task."""
    net = start(task)
    layers = chosen(task, net)
    forms = {layer.name: encode(replace(layer, stored=None), (rounding,))[0] for layer in layers}
    rounded, learning = Run("rounded, not trained", 0, control=True), Run(words, plan.total(len(task.teach)))
    yield from in_turn(task.watch, [
        (rounded, lambda _: untrained(task, net, forms, way, rounded)),
        (learning, lambda _: learnt(task, net, layers, plan, way, learning, task.key(*key, plan))),
    ])


def start(task: Task) -> Network:
    """The network after the recipe's rewritings."""
    return rewritten(task.network, task.recipe.first)[0]


def chosen(task: Task, net: Network) -> list[Layer]:
    """The layers to be rounded: all matrices and kernels that the recipe does not lock."""
    return [layer for layer in net.layers if layer.weight.ndim > 1 and layer.weight.numel() and not task.recipe.is_locked(layer.name)]


def refuses(task: Task) -> str | None:
    """Why no layer of a task can be trained rounded, or None."""
    return None if chosen(task, task.network) else f"The recipe locks every layer of {task.network.title} that could be rounded; unlock one."


def untrained(task: Task, net: Network, forms: Mapping[str, Encoded], way: Way, run: Run) -> Going:
    """One point: the network with its layers stored so."""
    module = copy.deepcopy(net.module)
    put(module, {name: form.decode() for layer in net.layers if (form := forms.get(layer.name)) for name in layer.names})
    way.open(module)
    way.finish(module)
    made = result(task.network, module, run.title, forms)
    run = replace(run, points=(Point(0, 0.0, nan, accuracy(made.network.module, task.watch), True),), trained=made)
    yield run
    return run


def learnt(task: Task, net: Network, layers: list[Layer], plan: Plan, way: Way, run: Run, key: str) -> Going:
    """Train full weights through their rounding; what is judged and kept is what the rounded ones are stored as."""
    model, total = Made(net, {layer.name: way.make(layer) for layer in layers}), plan.total(len(task.teach))
    way.open(model.body)
    way.begin(model)
    for i, codes in enumerate(all_codes(model)):
        model.register_buffer(f"codes_{i}", codes)
        model.register_buffer(f"begun_{i}", codes.clone())

    def trace() -> dict[str, float]:
        return {"codes changed since the last look (%)": look(model), **way.trace(model)}

    points = fit(model, task.teach, task.watch, plan, task.seed, way.loss(model), store=task.store, key=key,
                 after=lambda step: way.after(model, step / total), trace=trace)
    return (yield from following(run, points, lambda: kept(task, model, way, run.title), lambda: seen(model)))


def makers(model: Made) -> list[Maker]:
    """What makes the model's rounded weights."""
    return cast("list[Maker]", list(model.makers))


def all_codes(model: Made) -> list[Tensor]:
    """The codes that each layer's weights have now."""
    return [maker.form().codes.decode().flatten().clone() for maker in makers(model)]  # type: ignore[attr-defined]


def look(model: Made) -> float:
    """The share of codes that changed since the last look, %. The model remembers codes in its buffers."""
    changed, total = 0, 0
    for i, codes in enumerate(all_codes(model)):
        before = model.get_buffer(f"codes_{i}")
        different = int((codes != before).sum())
        before.copy_(codes)
        changed, total = changed + different, total + len(codes)
    return 100 * changed / max(1, total)


def seen(model: Made) -> Seen:
    """How codes lay at the last look."""
    now, begun = ([model.get_buffer(f"{when}_{i}") for i in range(len(model.makers))] for when in ("codes", "begun"))
    codes = torch.cat(now)
    return Seen(100 * torch.bincount(codes.int()) / len(codes),
                torch.tensor([100 * float((a != b).float().mean()) for a, b in zip(now, begun, strict=True)]))


def kept(task: Task, model: Made, way: Way, words: str) -> Trained:
    """The network as it is now, its layers stored as their rounded weights are."""
    forms = {name: maker.form() for name, maker in zip(model.names, makers(model), strict=True)}
    module = baked(model, forms)
    way.finish(module)
    return result(task.network, module, words, forms)


def mean(values: list[float]) -> float:
    """Their mean; 0 of none."""
    return sum(values) / max(1, len(values))
