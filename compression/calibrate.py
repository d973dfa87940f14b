"""What a few training examples tell about each layer: what goes into it, what comes out, and what the network answers.

Only the "train" split may teach: a part of the examples calibrates, and others, never used for that, are held out to judge
repairs. One forward pass with hooks; the network is not changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from compression.context import EXAMPLES
from compression.evaluate import skeleton
from compression.layer_inputs import gram, inputs_of, outputs_of, outputs_seen, unreachable
from compression.layers import owners
from compression.method import Layer
from compression.network import Network

HELD = {"images": 256, "text": 32, "vectors": 256}  # to judge on


@dataclass(frozen=True, eq=False)
class Sample:
    """Training examples to calibrate on and others to judge on, with the original network's answers to both."""

    network: Network
    rows: Tensor  # (n,) of the training split
    held: Tensor  # (m,) others
    inputs: Tensor  # (n, ...)
    held_inputs: Tensor  # (m, ...)
    held_scores: Tensor  # (m, classes), or (m, length, classes)

    @cached_property
    def scores(self) -> Tensor:
        """The original network's answers to the calibration examples, computed when first asked for."""
        with torch.inference_mode():
            return self.network.module(self.inputs).float()

    @property
    def described(self) -> str:
        data = self.network.data["train"]
        return f"{len(self.rows):,} training examples of {data.name}, judged on {len(self.held):,} others"


@dataclass(frozen=True, eq=False)
class Statistics:
    """One layer of the original network on the calibration examples.

    inputs: mean of the products of its inputs, (groups, d, d) with d = in * kernel of one group, where asked for; outputs: at
    some of the places, the same for every network, what the weight makes of its inputs, without the bias.
    """

    inputs: Tensor | None  # (groups, d, d)
    outputs: Tensor  # (places, out)
    output_mean: Tensor  # (out,) over all those places
    output_variance: Tensor  # (out,)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics by layer name; which layers have none, and why; and which normalisation each convolution feeds."""

    sample: Sample
    statistics: Mapping[str, Statistics]
    missing: Mapping[str, str]  # layer name -> one sentence
    norms: Mapping[str, str]  # layer name -> the batch normalisation that takes its outputs


def sample(network: Network, seed: int = 0, examples: int | None = None, held: int | None = None) -> Sample:
    """Draw examples from the training split, and ask the original network. Raises ValueError where there is no such split."""
    if "train" not in network.data:
        raise ValueError(f"{network.title} comes without training examples, and nothing else may teach; give it a train split")
    data = network.data["train"]
    wanted, judged = examples or EXAMPLES[data.kind], held or HELD[data.kind]
    if len(data) < 2:
        raise ValueError(f"the training split has {len(data)} example; a repair needs some to learn from and others to be judged on")
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    wanted = min(wanted, len(data) // 2)
    rows, others = order[:wanted], order[wanted : wanted + judged]
    with torch.inference_mode():
        scores = network.module(data.inputs[others]).float()
    return Sample(network, rows, others, data.inputs[rows], data.inputs[others], scores)


def calibrate(taken: Sample, products: bool = True) -> Calibration:
    """Everything the layers' repairs need, from one forward pass of the original network.

    products: also the products of the inputs, which repairs want only where a layer feeds itself. They are
    most of the work.
    """
    network = taken.network
    module = skeleton(network.module)
    found: dict[str, Statistics] = {}
    missing: dict[str, str] = {}
    feeds: dict[str, str] = {}
    made: dict[int, tuple[str, Tensor]] = {}  # outputs by identity, to see where they go
    hooks = []

    def watch(layer: Layer, owner: nn.Module, name: str) -> Callable[..., None]:
        def after(_: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            if isinstance(out, Tensor):
                made[id(out)] = (layer.name, out)
            seen = None if products or name == "weight_hh_l0" else outputs_seen(owner, out)
            x = inputs_of(owner, name, given, out) if seen is None else None
            if isinstance(x, str):
                missing[layer.name] = x
            elif layer.name in found:
                missing[layer.name] = "It is called more than once, and its inputs differ from call to call."
            else:
                outputs = outputs_of(layer.weight, x) if seen is None else seen
                wanted = gram(x) if products or name == "weight_hh_l0" else None
                found[layer.name] = Statistics(wanted, outputs, outputs.mean(0), outputs.var(0, correction=0))
        return after

    def takes(prefix: str) -> Callable[..., None]:
        def before(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given and id(given[0]) in made:
                feeds[made[id(given[0])][0]] = prefix
        return before

    for layer in network.layers:
        why = unreachable(network.module, layer)
        if why is not None:
            missing[layer.name] = why
            continue
        for _, owner, name in owners(module, layer):
            hooks.append(owner.register_forward_hook(watch(layer, owner, name)))
    for prefix, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            hooks.append(part.register_forward_pre_hook(takes(prefix)))
    with torch.no_grad():
        module(taken.inputs)
    for hook in hooks:
        hook.remove()
    for name in set(missing) & set(found):
        del found[name]
    return Calibration(taken, found, missing, feeds)
