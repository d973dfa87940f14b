"""Chains of small torch modules that compute what one layer computes with the weight that a form stores."""

from typing import Any

from torch import Tensor, nn

from compression.encoded import Encoded, Factored, Tucker2
from compression.lowrank.stages import Stage

Shared = dict[str, nn.Parameter]


def splittable(owner: nn.Module, name: str) -> bool:
    """Whether a module can be replaced by a chain. Recurrent and attention layers, and grouped convolutions, cannot.

    Nor can a layer whose inputs are rounded first, or taken as signs: what does that hangs on the layer itself.
    """
    attention_out = type(owner).__name__ == "NonDynamicallyQuantizableLinear"  # read by MultiheadAttention, never called
    plain = isinstance(owner, nn.Linear | nn.Embedding) or (isinstance(owner, nn.Conv1d | nn.Conv2d) and owner.groups == 1)
    return plain and name == "weight" and not attention_out and not owner._forward_pre_hooks and not hasattr(owner, "taken")


def stages(form: Encoded) -> tuple[Stage, ...]:
    """The small layers that a form is a product of, first to run first; none where it is no chain of ordinary layers."""
    match form:
        case Factored():
            left, right = form.left.decode(), form.right.decode()
            kernel = form.shape[2:]
            return (Stage("right", right.reshape(len(right), *form.shape[1:]), tuple(range(len(kernel)))),
                    Stage("left", left.reshape(*left.shape, *[1] * len(kernel))))
        case Tucker2():
            out, core, into = form.out.decode(), form.core.decode(), form.into.decode().T
            ones = [1] * (core.ndim - 2)
            return (Stage("into", into.reshape(*into.shape, *ones)), Stage("core", core, tuple(range(len(ones)))),
                    Stage("out", out.reshape(*out.shape, *ones)))
        case _:
            offered = getattr(form, "stages", None)
            return offered() if offered else ()


def chain(owner: nn.Module, form: Encoded, shared: Shared) -> nn.Sequential | None:
    """Small modules that do what owner does with the weight that form stores; None where there are none.

    shared: the factors already made, by name, so that owners of one tied weight share them.
    """
    def factor(name: str, value: Tensor) -> nn.Parameter:
        return shared.setdefault(name, nn.Parameter(value.contiguous(), requires_grad=False))

    if isinstance(owner, nn.Embedding):
        return _embedding(form, factor) if isinstance(form, Factored) else None
    links = []
    for stage in stages(form):
        link = _linear(stage) if isinstance(owner, nn.Linear) else _convolution(owner, stage)
        link.weight = factor(stage.name, stage.weight)
        links.append(link)
    if not links:
        return None
    links[-1].bias = owner.bias
    return nn.Sequential(*links)


def _embedding(form: Factored, factor: Any) -> nn.Sequential:
    left, right = form.left.decode(), form.right.decode()
    first = nn.Embedding(*left.shape, device="meta")
    second = nn.Linear(*right.shape, bias=False, device="meta")
    first.weight, second.weight = factor("left", left), factor("right transposed", right.T)
    return nn.Sequential(first, second)


def _linear(stage: Stage) -> nn.Linear:
    return nn.Linear(stage.weight.shape[1], len(stage.weight), bias=False, device="meta")


def _convolution(owner: nn.Module, stage: Stage) -> nn.Module:
    def along(setting: Any, else_: int) -> Any:
        return setting if isinstance(setting, str) else tuple(s if i in stage.axes else else_ for i, s in enumerate(setting))

    count, each, *kernel = stage.weight.shape
    mode = owner.padding_mode if stage.axes else "zeros"
    return type(owner)(each * stage.groups, count, tuple(kernel), along(owner.stride, 1), along(owner.padding, 0),
                       along(owner.dilation, 1), stage.groups, bias=False, padding_mode=mode, device="meta")
