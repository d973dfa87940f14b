"""What a layer's weight is multiplied with, and what comes of it, as rows of numbers: one for each place in its outputs.

A convolution sees a window of its input at each place, a recurrent layer a step of the sequence, and then its own states.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.layers import owners
from compression.method import Layer

POSITIONS = 2048  # at most so many places of a layer's outputs are looked at


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


def outputs_seen(owner: nn.Module, out: Any) -> Tensor | None:
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
def stepping(chosen: Mapping[str, list[tuple[nn.Module, str]]], visit: Callable[[str, nn.Module, str, Any], None]) -> Iterator[None]:
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
