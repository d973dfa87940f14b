"""What a layer's weight is multiplied with, and what comes of it, as rows of numbers: one for each place in its outputs.

A convolution sees a window of its input at each place, a recurrent layer a step of the sequence, and then its own states.
"""

import copy
import re
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
    """Why a layer's inputs cannot be seen in a call of the module that holds it, in one sentence; None where they can."""
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


def watched(module: nn.Module, layer: Layer) -> tuple[nn.Module, str] | str:
    """The module whose call tells a layer's inputs, and the weight's name in it; or in one sentence why none does.

    Beside what can be seen from outside: the output projection of nn.MultiheadAttention, and every level and direction of
    recurrent layers, which seen() runs again on their own.
    """
    why = unreachable(module, layer)
    prefix, owner, name = next(iter(owners(module, layer)))
    if why is None:
        return owner, name
    above = module.get_submodule(prefix.rpartition(".")[0])
    if not layer.tied and isinstance(above, nn.MultiheadAttention) and getattr(above, "out_proj", None) is owner:
        return above, "out_proj.weight"
    if not layer.tied and isinstance(owner, nn.LSTM | nn.GRU | nn.RNN) and _LEVEL.fullmatch(name):
        return owner, name
    return why


def seen(owner: nn.Module, name: str, given: tuple[Any, ...], known: Mapping[str, Any], out: Any) -> Tensor | str:
    """inputs_of, for what watched() names: the inputs of a weight in a call of owner(*given, **known) that gave out."""
    level = _LEVEL.fullmatch(name)
    if name == "out_proj.weight":
        x = _attended(owner, given, known)
    elif level and (owner.num_layers > 1 or owner.bidirectional):
        x = _stepped(owner, *level.groups(), given)
    else:
        return inputs_of(owner, name, given, out)
    if isinstance(x, str):
        return x
    rows = x.reshape(-1, x.shape[-1])
    return rows[places(len(rows))][:, None]


_LEVEL = re.compile(r"weight_(ih|hh)_l(\d+)(_reverse)?")  # of a recurrent layer


def _attended(attention: nn.Module, given: tuple[Any, ...], known: Mapping[str, Any]) -> Tensor:
    """What an attention's output projection is given: (..., width), from a copy that projects by nothing."""
    shared = {id(t): t for t in (*attention.parameters(), *attention.buffers())}
    bare = copy.deepcopy(attention, shared)
    bare._forward_hooks.clear()
    width = attention.embed_dim
    bare.out_proj.weight, bare.out_proj.bias = (nn.Parameter(t, requires_grad=False) for t in (torch.eye(width), torch.zeros(width)))
    return bare(*given, **known)[0]


def _stepped(owner: nn.Module, what: str, level: str, reverse: str | None, given: tuple[Any, ...]) -> Tensor | str:
    """The inputs of one level of a recurrent layer, or the states of one of its directions a step before: (..., width)."""
    x = given[0] if given else None
    if not isinstance(x, Tensor):
        return "It is not called with a tensor."
    if len(given) > 1:
        return "It starts from states of its own, which differ from call to call."
    for k in range(int(level)):
        x = _level(owner, k)(x)[0]
    if what == "ih":
        return x
    time = 1 if owner.batch_first else 0
    states = _level(owner, int(level))(x)[0].chunk(1 + owner.bidirectional, -1)[reverse is not None]
    length, blank = states.shape[time], torch.zeros_like(states.narrow(time, 0, 1))
    around = [states.narrow(time, 1, length - 1), blank] if reverse else [blank, states.narrow(time, 0, length - 1)]
    return torch.cat(around, time)


def _level(owner: nn.Module, k: int) -> nn.Module:
    """One level of a recurrent layer, all its directions, as a layer of its own with the same weights."""
    own = {n.replace(f"_l{k}", "_l0"): p for n, p in owner.named_parameters() if re.search(rf"_l{k}(_|$)", n)}
    more = {"nonlinearity": owner.nonlinearity} if isinstance(owner, nn.RNN) else {}
    more |= {"proj_size": owner.proj_size} if isinstance(owner, nn.LSTM) else {}
    one = type(owner)(own["weight_ih_l0"].shape[1], owner.hidden_size, bias=owner.bias, batch_first=owner.batch_first,
                      bidirectional=owner.bidirectional, **more)
    for n, p in own.items():
        setattr(one, n, p)
    return one.eval()


def inputs_of(owner: nn.Module, name: str, given: tuple[Any, ...], out: Any) -> Tensor | str:
    """What a weight is multiplied with, (places, groups, d), at up to POSITIONS places; or one sentence on why it is not known."""
    x = given[0] if given else None
    if not isinstance(x, Tensor):
        return "It is not called with a tensor."
    if hasattr(owner, "taken"):  # it makes something else of what it is given before it multiplies
        x = owner.taken(x)
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
    if not isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d) or not isinstance(out, Tensor) or hasattr(owner, "taken"):
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
