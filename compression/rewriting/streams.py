"""Where the channels that one module makes go to others, and only to these, so that they can be scaled on the way and back again.

Between them stand only operations that pass a positive factor of a channel through: ReLU, pooling, flattening, dropout.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from compression.engine.trace import Untraceable, trace
from compression.network import Network
from compression.rewrite import replace_tensor

_THROUGH = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.modules.dropout._DropoutNd)
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_RELUS = (F.relu, torch.relu, "relu", "relu_", F.leaky_relu)
_CONVS = (nn.Conv1d, nn.Conv2d)
_RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)
_LAST = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.RMSNorm)  # whose channels lie along the last axis


class Consumer(NamedTuple):
    """A module that takes the channels, and in how many neighbouring inputs each channel comes (more than one after flattening)."""

    name: str
    repeat: int


class Stream(NamedTuple):
    """A module that makes channels, how many, and all that take them."""

    producer: str
    channels: int
    consumers: tuple[Consumer, ...]


def streams(network: Network) -> list[Stream]:
    """All streams of a network, in the order of its modules. Empty where it cannot be traced."""
    try:
        graph, root = trace(network.module)
    except Untraceable:
        return []
    held = Counter(id(p) for p in _with_duplicates(root))
    called = Counter(node.target for node in graph.nodes if node.op == "call_module")

    def alone(name: str) -> bool:
        """Called once, and all its weights stand nowhere else."""
        return called[name] == 1 and all(held[id(p)] == 1 for p in root.get_submodule(name).parameters())

    found = []
    for node in graph.nodes:
        module = root.get_submodule(node.target) if node.op == "call_module" else None
        made = _made(module)
        if made is None or not alone(node.target):
            continue
        consumers = list(_followed(node, root, made[0], made[1], 1))
        if consumers and all(c is not None and alone(c.name) for c in consumers):
            found.append(Stream(node.target, made[0], tuple(dict.fromkeys(c for c in consumers if c))))
    return found


def weights_of(module: nn.Module) -> list[tuple[str, int]]:
    """(parameter name, groups) of every weight of a consumer that the channels are multiplied with."""
    if isinstance(module, _RECURRENT):
        return [(name, 1) for name, _ in module.named_parameters() if name.startswith("weight_ih_l0")]
    return [("in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight", getattr(module, "groups", 1))]


def by_channel(weight: Tensor, groups: int, repeat: int) -> Tensor:
    """A view of a consumer's weight (out, in, *kernel): (groups, out / groups, channels of a group, repeat * kernel)."""
    each = weight.shape[1] // repeat
    return weight.reshape(groups, weight.shape[0] // groups, each, -1)


def reach(module: nn.Module, consumer: Consumer) -> Tensor:
    """The largest magnitude of the weights on each channel: (channels,)."""
    owner = module.get_submodule(consumer.name)
    seen = [by_channel(getattr(owner, name), groups, consumer.repeat).abs().amax((1, 3)).flatten() for name, groups in weights_of(owner)]
    return torch.stack(seen).amax(0)


def rescale(module: nn.Module, stream: Stream, by: Tensor) -> None:
    """Divide each channel that the producer makes by a positive number, (channels,), and multiply its consumers' weights with it."""
    owner = module.get_submodule(stream.producer)
    for name, p in list(owner.named_parameters(recurse=False)):
        wide = by if isinstance(owner, nn.Embedding) else by.reshape(-1, *[1] * (p.ndim - 1))
        replace_tensor(module, f"{stream.producer}.{name}", p / wide)
    for consumer in stream.consumers:
        taker = module.get_submodule(consumer.name)
        for name, groups in weights_of(taker):
            weight = getattr(taker, name)
            scaled = by_channel(weight, groups, consumer.repeat) * by.reshape(groups, 1, -1, 1)
            replace_tensor(module, f"{consumer.name}.{name}", scaled.reshape(weight.shape))


def loudest(network: Network, found: list[Stream]) -> dict[str, Tensor]:
    """The largest magnitude of each channel of every stream over the training examples, by producer: (channels,) each."""
    module, seen = network.context.spare(), {}

    def watch(stream: Stream, repeat: int, conv: bool) -> Any:
        def before(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            x = given[0].abs()
            x = x.movedim(1, -1) if conv else x
            seen[stream.producer] = x.flatten(0, -2).amax(0).reshape(stream.channels, repeat).amax(1)
        return before

    for stream in found:
        name, repeat = stream.consumers[0]
        owner = module.get_submodule(name)
        owner.register_forward_pre_hook(watch(stream, repeat, isinstance(owner, _CONVS)))
    with torch.no_grad():
        module(network.context.examples)
    return seen


def _with_duplicates(root: nn.Module) -> list[nn.Parameter]:
    return [p for _, module in root.named_modules() for p in module._parameters.values() if p is not None]


def _made(module: nn.Module | None) -> tuple[int, int] | None:
    """(how many channels a module makes, along which axis), or None where its channels cannot be scaled by its own parameters."""
    if isinstance(module, (*_CONVS, *_NORMS)) and module.weight is not None:
        return len(module.weight), 1
    if isinstance(module, nn.Embedding):
        return None if module.max_norm else (module.embedding_dim, -1)
    if isinstance(module, _LAST) and module.weight is not None and type(module.weight) is nn.Parameter:
        one = not isinstance(module, nn.LayerNorm | nn.RMSNorm) or len(module.normalized_shape) == 1
        return (len(module.weight), -1) if one else None
    return None


def _followed(node: fx.Node, root: nn.Module, channels: int, axis: int, repeat: int) -> Iterator[Consumer | None]:
    """All that takes a node's channels in the end; None for whatever else they meet."""
    if not node.users:
        yield None
    for user in node.users:
        module = root.get_submodule(user.target) if user.op == "call_module" else None
        if _takes(module, user, node, axis):
            fed = _inputs(module)
            yield Consumer(user.target, fed // channels) if axis == -1 and fed % channels == 0 else Consumer(user.target, 1)
        elif isinstance(module, _THROUGH) or user.target in _RELUS or (axis == 1 and isinstance(module, _POOLS)):
            yield from _followed(user, root, channels, axis, repeat)
        elif axis == 1 and _flattens(module, user):
            yield from _followed(user, root, channels, -1, repeat)
        else:
            yield None


def _takes(module: nn.Module | None, user: fx.Node, node: fx.Node, axis: int) -> bool:
    if isinstance(module, nn.MultiheadAttention):
        return axis == -1 and module._qkv_same_embed_dim and len(user.args) >= 3 and all(a is node for a in user.args[:3])
    first = bool(user.args) and user.args[0] is node and user.all_input_nodes.count(node) == 1
    return first and ((axis == 1 and isinstance(module, _CONVS)) or (axis == -1 and isinstance(module, (nn.Linear, *_RECURRENT))))


def _inputs(module: Any) -> int:
    """How many inputs a consumer has at a place."""
    return next(getattr(module, name) for name in ("in_features", "in_channels", "input_size", "embed_dim") if hasattr(module, name))


def _flattens(module: nn.Module | None, user: fx.Node) -> bool:
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1 and module.end_dim == -1
    return user.target in (torch.flatten, "flatten") and tuple(user.args[1:]) == (1,) and not user.kwargs
