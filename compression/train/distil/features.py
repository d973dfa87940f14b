"""What happens inside a network, seen from outside: which layers of student and teacher belong together, and what they give.

Features are taken at the end of each stage, that is after a layer with weights and the normalisation and activation that follow it; the
last stage, which gives the scores, is left out. Student and teacher are matched by depth.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.train.made import Made

_PASSING = (nn.Flatten, nn.Dropout, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_RECTIFIERS = (nn.ReLU, nn.GELU, nn.ReLU6, nn.LeakyReLU, nn.SiLU)


class Seen(NamedTuple):
    """What a network made of a batch."""

    scores: Tensor  # (examples, classes); of text one row for each character
    hidden: tuple[Tensor, ...]  # maps (n, channels, height, width)
    before: tuple[Tensor, ...]  # the same places before the activation, where they have one
    attention: tuple[Tensor, ...]  # scores before the softmax, (n, heads, length, length)


class Place(NamedTuple):
    """Where features are taken: a module by name, and the one whose output goes into its activation."""

    after: str
    before: str


def inner(model: nn.Module) -> nn.Module:
    """The network itself, where its weights are made."""
    return model.body if isinstance(model, Made) else model


def stages(root: nn.Module, example: Tensor) -> tuple[Place, ...]:
    """The ends of a network's stages, in the order in which they run on an example (3, …)."""
    order: list[tuple[str, nn.Module, Tensor]] = []
    with ExitStack() as hooked, torch.no_grad():
        for name, child in _chained(root):
            hooked.callback(child.register_forward_hook(lambda m, _, out, name=name: order.append((name, m, _first(out)))).remove)
        was = root.training
        root.eval()(example)
        root.train(was)
    found: list[Place | None] = []
    for name, child, out in order:
        if any(p.ndim > 1 for p in child.parameters()):
            found.append(None)
        if found and out.ndim > 1 and len(out) == len(example) and not isinstance(child, _PASSING):
            last = found[-1]
            found[-1] = Place(name, last.after if last is not None and isinstance(child, _RECTIFIERS) else name)
    return tuple(place for place in found[:-1] if place is not None)


def _chained(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The parts that run one after the other: plain chains are opened, anything else is one part."""
    for name, child in module.named_children():
        if type(child) is nn.Sequential:
            yield from _chained(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def heads(root: nn.Module) -> tuple[str, ...]:
    """Names of the modules that attend."""
    return tuple(name for name, m in root.named_modules() if isinstance(m, nn.MultiheadAttention) or _apart(m))


def _apart(module: nn.Module) -> bool:
    """Whether a block has its query and key as layers of their own."""
    return isinstance(getattr(module, "query", None), nn.Linear) and isinstance(getattr(module, "key", None), nn.Linear) and hasattr(module, "heads")


def matched(student: int, teacher: int, most: int = 3) -> tuple[tuple[int, int], ...]:
    """Which of so many stages belong together: those at a third, two thirds and all of the depth, each of the student's once.

    >>> matched(2, 9), matched(1, 2)
    (((0, 5), (1, 8)), ((0, 1),))
    """
    if not student or not teacher:
        return ()
    return tuple({ceil(student * i / most) - 1: ceil(teacher * i / most) - 1 for i in range(1, most + 1)}.items())


def look(model: nn.Module, inputs: Tensor, places: tuple[Place, ...] = (), attending: tuple[str, ...] = ()) -> Seen:
    """What a network makes of a batch, with its features at some places and the attention of some of its modules."""
    root, kept, attention = inner(model), {}, {}
    modules = dict(root.named_modules())
    with ExitStack() as hooked:
        for name in {*(p.after for p in places), *(p.before for p in places)}:
            hooked.callback(modules[name].register_forward_hook(_keeping(kept, name)).remove)
        for name in attending:
            for hook in _attending(modules[name], name, attention):
                hooked.callback(hook.remove)
        scores = model(inputs)
    return Seen(scores.flatten(0, -2), tuple(as_maps(kept[p.after]) for p in places), tuple(as_maps(kept[p.before]) for p in places),
                tuple(attention[name] for name in attending))


def _keeping(kept: dict[str, Tensor], name: str) -> Callable[..., None]:
    def keep(module: nn.Module, args: Any, out: Any) -> None:
        kept[name] = _first(out)

    return keep


def _attending(module: nn.Module, name: str, kept: dict[str, Tensor]) -> list[Any]:
    """Hooks that leave a module's attention scores, where a causal one's later places are −∞."""
    if isinstance(module, nn.MultiheadAttention):
        def whole(m: nn.MultiheadAttention, args: Any, out: Any) -> None:
            q, k, _ = F.linear(args[0], m.in_proj_weight, m.in_proj_bias).chunk(3, -1)
            kept[name] = _scores(q, k, m.num_heads)

        return [module.register_forward_hook(whole)]
    parts: dict[str, Tensor] = {}

    def joined(m: nn.Module, args: Any, out: Any) -> None:
        scores = _scores(parts["query"], parts["key"], m.heads)
        late = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        kept[name] = scores.masked_fill(late, float("-inf"))

    return [*(getattr(module, part).register_forward_hook(_keeping(parts, part)) for part in ("query", "key")),
            module.register_forward_hook(joined)]


def _scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    q, k = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key))  # (n, heads, length, width / heads)
    return q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5


def _first(out: Any) -> Tensor:
    """What a module gives, or of several things, as from an LSTM, the first."""
    return out[0] if isinstance(out, tuple) else out


def as_maps(features: Tensor) -> Tensor:
    """(n, c), tokens (n, l, c) or (n, c, h, w) -> (n, c, height, width)."""
    if features.ndim == 2:
        return features[:, :, None, None]
    return features.transpose(1, 2)[..., None] if features.ndim == 3 else features


def alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps brought to the smaller height and width, by means over places."""
    size = min(a.shape[2], b.shape[2]), min(a.shape[3], b.shape[3])
    return tuple(x if x.shape[2:] == size else F.adaptive_avg_pool2d(x, size) for x in (a, b))  # type: ignore[return-value]


def pooled(features: Tensor) -> Tensor:
    """One vector for each example, the mean over places: (n, c, h, w) -> (n, c)."""
    return features.mean((2, 3))
