"""What a few training examples tell about each layer: what goes into it, what comes out, and what the network answers.

Only the "train" split may teach: a part of the examples calibrates, and others, never used for that, are held out to judge
repairs. One forward pass with hooks; the network is not changed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.evaluate import skeleton
from compression.layers import owners
from compression.method import Layer
from compression.network import Network

EXAMPLES = {"images": 256, "text": 32, "vectors": 512}  # to calibrate on, in one batch
HELD = {"images": 256, "text": 32, "vectors": 256}  # to judge on
POSITIONS = 2048  # at most so many places of a layer's outputs are looked at


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
    last: str | None  # the linear layer whose outputs are the network's answers

    def layer(self, name: str) -> Layer:
        """The layer with its input statistics, for methods that ask for them (one group only)."""
        layer, known = self.sample.network.layer(name), self.statistics.get(name)
        alone = known is not None and known.inputs is not None and len(known.inputs) == 1
        return replace(layer, inputs=known.inputs[0]) if alone else layer


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

    products: also the products of the inputs, which Layer.inputs wants, and repairs only where a layer feeds itself. They are
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
            seen = None if products or name == "weight_hh_l0" else _outputs_seen(owner, out)
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
        for _, owner, name in owners(module, layer):
            if why is None or isinstance(owner, nn.Linear):
                hooks.append(owner.register_forward_hook(watch(layer, owner, name) if why is None else _remember(made, layer.name)))
    for prefix, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            hooks.append(part.register_forward_pre_hook(takes(prefix)))
    with torch.no_grad():
        answers = module(taken.inputs)
    for hook in hooks:
        hook.remove()
    last = made.get(id(answers), (None, None))[0]
    for name in set(missing) & set(found):
        del found[name]
    return Calibration(taken, found, missing, feeds, last)


def _remember(made: dict[int, tuple[str, Tensor]], name: str) -> Callable[..., None]:
    def after(_: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        made[id(out)] = (name, out)
    return after


def unreachable(module: nn.Module, layer: Layer) -> str | None:
    """Why a layer's inputs cannot be seen from outside, in one sentence; None where they can."""
    if layer.kind == "embedding":
        return "An embedding has no inputs but the numbers of its rows."
    if layer.tied:
        return f"It stands in {len(layer.names)} places with different inputs."
    _, owner, name = next(iter(owners(module, layer)))
    match owner:
        case nn.Linear() if type(owner).__name__ != "NonDynamicallyQuantizableLinear":
            return None
        case nn.Conv1d() | nn.Conv2d() if owner.padding_mode == "zeros" and not isinstance(owner.padding, str):
            return None
        case nn.LSTM() | nn.GRU() | nn.RNN() if name == "weight_ih_l0":
            return None
        case nn.LSTM() | nn.GRU() | nn.RNN() if name == "weight_hh_l0" and owner.num_layers == 1 and not owner.bidirectional:
            return None
        case nn.MultiheadAttention() if name == "in_proj_weight":
            return None
    return f"The inputs of {layer.name} stay inside its {type(owner).__name__}."


def inputs_of(owner: nn.Module, name: str, given: tuple[Any, ...], out: Any) -> Tensor | str:
    """What a weight is multiplied with, (places, groups, d), at up to POSITIONS places; or one sentence on why it is not known."""
    x = given[0] if given else None
    if not isinstance(x, Tensor):
        return "It is not called with a tensor."
    if isinstance(owner, nn.Conv1d | nn.Conv2d):
        return _patches(owner, x)
    if isinstance(owner, nn.MultiheadAttention) and any(other is not x for other in given[1:3]):
        return "Its queries, keys and values come from different places."
    if name == "weight_hh_l0" and out is None:
        return "Its inputs are its own states, known only after it has run."
    if name == "weight_hh_l0":  # the states, each seen one step later
        time = 1 if owner.batch_first else 0
        states = out[0]
        x = torch.cat([torch.zeros_like(states.narrow(time, 0, 1)), states.narrow(time, 0, states.shape[time] - 1)], time)
    rows = x.reshape(-1, x.shape[-1])
    return rows[places(len(rows))][:, None]


def places(count: int) -> Tensor:
    """Which of so many rows are looked at: all, or POSITIONS of them, by lot but always the same."""
    if count <= POSITIONS:
        return torch.arange(count)
    return torch.randint(count, (POSITIONS,), generator=torch.Generator().manual_seed(count))


def _patches(conv: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    """(places, groups, in / groups * kernel): the windows that the convolution looks through, only those asked for."""
    one = isinstance(conv, nn.Conv1d)
    (kh, kw), (sh, sw), (dh, dw), (ph, pw) = (
        (blank, *size) if one else size for size, blank in ((conv.kernel_size, 1), (conv.stride, 1), (conv.dilation, 1), (conv.padding, 0)))
    x = F.pad((x[:, :, None] if one else x).movedim(1, -1), (0, 0, pw, pw, ph, ph))  # (n, h, w, c): neighbours in memory
    n, h, w, c = x.shape
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    a, s, t, b = x.stride()
    windows = x.as_strided((n, oh, ow, kh, kw, c), (a, s * sh, t * sw, s * dh, t * dw, b))
    at = places(n * oh * ow)
    picked = windows[at // (oh * ow), at // ow % oh, at % ow].permute(0, 3, 1, 2)  # (places, c, kh, kw)
    return picked.reshape(len(at), conv.groups, -1)


def _outputs_seen(owner: nn.Module, out: Any) -> Tensor | None:
    """Outputs at the places looked at, without the bias, where the module shows them: (places, out)."""
    if not isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d) or not isinstance(out, Tensor):
        return None
    last = out if isinstance(owner, nn.Linear) else out.movedim(1, -1)
    at = places(last[..., 0].numel())
    where = []
    for size in reversed(last.shape[:-1]):
        where.append(at % size)
        at = at // size
    rows = last[tuple(reversed(where))]
    return rows if owner.bias is None else rows - owner.bias


def gram(x: Tensor) -> Tensor:
    """Mean of the products of inputs (places, groups, d): (groups, d, d)."""
    return torch.stack([each.T @ each for each in x.unbind(1)]) / len(x)


def outputs_of(weight: Tensor, x: Tensor) -> Tensor:
    """What a weight (out, in, *kernel) makes of inputs (places, groups, d): (places, out)."""
    rows = weight.reshape(x.shape[1], -1, x.shape[2])  # (groups, out / groups, d)
    return torch.cat([x[:, g] @ rows[g].T for g in range(len(rows))], 1)


@contextmanager
def stepping(module: nn.Module, chosen: Mapping[str, list[tuple[nn.Module, str]]], visit: Callable[[str, nn.Module, str, Any], None]) -> Iterator[None]:
    """While open, visit(layer name, owner, parameter name, its input) is called just before each owner runs.

    What the visit changes in the owner is what runs: so one forward pass can repair layer after layer, each from the
    inputs that the repaired layers before it give.
    """
    hooks = [owner.register_forward_pre_hook(lambda _, given, layer=layer, o=owner, n=name: visit(layer, o, n, given))
             for layer, held in chosen.items() for owner, name in held]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
