"""Which weights of a network can be compressed, by name, each once; and which are left alone, and why."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from compression.method import Kind, Layer

_KINDS: tuple[tuple[tuple[type[nn.Module], ...], Kind], ...] = (
    ((nn.Linear,), "linear"),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), "conv"),
    ((nn.Embedding, nn.EmbeddingBag), "embedding"),
    ((nn.RNNBase, nn.RNNCellBase), "recurrent"),
    ((nn.MultiheadAttention,), "attention"),
)
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Skipped(NamedTuple):
    """A parameter that stays as it is."""

    name: str
    count: int
    why: str


class Found(NamedTuple):
    """What a network's parameters are."""

    layers: tuple[Layer, ...]
    skipped: tuple[Skipped, ...]


def find(module: nn.Module) -> Found:
    """The layers of a network in the order of its modules, and the parameters that are none. Tied weights come once."""
    owners = {f"{prefix}.{name}".lstrip("."): (owner, name) for prefix, owner in module.named_modules()
              for name, _ in owner.named_parameters(recurse=False)}
    names: dict[int, list[str]] = {}  # all names of one parameter, first name first
    for full, (owner, name) in owners.items():
        names.setdefault(id(getattr(owner, name)), []).append(full)
    layers, skipped = [], []
    for full, *others in names.values():
        owner, name = owners[full]
        parameter = getattr(owner, name)
        why = _reason(owner, name)
        if why is None and not parameter.is_floating_point():
            why = f"its numbers are {str(parameter.dtype).removeprefix('torch.')}, not floating point"
        if why is not None:
            skipped.append(Skipped(full, parameter.numel(), why))
            continue
        kind = next(kind for types, kind in _KINDS if isinstance(owner, types))
        short = full.removesuffix(".weight") if name == "weight" else full
        layers.append(Layer(short, parameter.detach(), kind, getattr(owner, "groups", 1), (full, *others)))
    return Found(tuple(layers), tuple(skipped))


def _reason(owner: nn.Module, name: str) -> str | None:
    """Why a parameter is not compressed, or None where it is."""
    if "bias" in name:
        return "a bias: few values, and exactness is cheap"
    if isinstance(owner, _NORMS):
        return "a normalisation scale: few values, and exactness is cheap"
    if not any(isinstance(owner, types) for types, _ in _KINDS):
        return f"it belongs to a {type(owner).__name__}, which is not a kind of layer known here"
    if "weight" not in name:
        return f"{name} of {type(owner).__name__} is not a weight matrix"
    return None


def owners(module: nn.Module, layer: Layer) -> Iterator[tuple[str, nn.Module, str]]:
    """(module name, module, parameter name) of every place that holds the layer's tensor."""
    for full in layer.names:
        prefix, _, name = full.rpartition(".")
        yield prefix, module.get_submodule(prefix), name
