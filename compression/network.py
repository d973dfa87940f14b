"""A trained network with its layers and the data it can be judged on."""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from compression.context import Context
from compression.data import Data
from compression.encoded import Encoded
from compression.layers import Skipped, find
from compression.method import Layer

_PIECE = 1 << 20  # values looked at together, so that little more than the network itself is ever held


@dataclass(frozen=True, eq=False)
class Network:
    """What the instrument works on. The module is in eval mode and is never changed."""

    name: str  # short, for links: "lenet-5"
    title: str
    module: nn.Module
    layers: tuple[Layer, ...]
    skipped: tuple[Skipped, ...]
    data: Mapping[str, Data]  # by split: "train", "validation", "test"; may be empty
    digest: str  # of every parameter and buffer, names included
    example: Tensor | None = field(default=None)  # one input, (1, ...), for counting operations
    origin: "Network | None" = field(default=None, repr=False)  # where this one is a rewriting: what it is compared with
    context: Context = field(init=False, repr=False)  # what its training examples tell; every layer has it too

    def __post_init__(self) -> None:
        about = Context(self.module, self.layers, self.data, self.example)
        about.layers = tuple(replace(layer, context=about) for layer in self.layers)
        object.__setattr__(self, "context", about)
        object.__setattr__(self, "layers", about.layers)

    @property
    def reference(self) -> "Network":
        """The network whose answers and size count as the original's."""
        return self.origin or self

    @property
    def parameters(self) -> int:
        """Parameters, tied ones once."""
        return sum(p.numel() for p in self.module.parameters())

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises ValueError with the names there are."""
        for found in self.layers:
            if found.name == name:
                return found
        raise ValueError(f"{self.title} has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}")


def network(name: str, title: str, module: nn.Module, data: Mapping[str, Data] = MappingProxyType({}),
            example: Tensor | None = None) -> Network:
    """A Network around a module, which is put in eval mode. Raises ValueError where a weight is not a finite number.

    A module that stands in two places becomes two that share their weights.
    """
    module.eval().requires_grad_(False)
    _apart(module, set())
    sha = hashlib.blake2b(digest_size=16)
    for key, tensor in sorted(module.state_dict().items()):
        if tensor.is_floating_point() and not all(bool(torch.isfinite(part).all()) for part in tensor.flatten().split(_PIECE)):
            wrong = int((~torch.isfinite(tensor)).sum())
            raise ValueError(f"{key} has {wrong:,} values that are not finite numbers; save the network again from before they appeared")
        sha.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        sha.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    found = find(module)
    if example is None and data:
        example = next(iter(data.values())).inputs[:1]
    return Network(name, title, module, found.layers, found.skipped, data, sha.hexdigest(), example)


def _apart(module: nn.Module, seen: set[int]) -> None:
    """Put a copy with the same tensors wherever a module stands a second time.

    Tied weights then have a name for each place, as find expects, and torch.func.functional_call puts every one of them back:
    on a module under two names it leaves the replaced weights in (torch 2.13).
    """
    seen.add(id(module))
    for name, child in module._modules.items():
        if child is None:
            continue
        if id(child) in seen:
            tensors = [*child.parameters(), *child.buffers()]
            child = module._modules[name] = copy.deepcopy(child, {id(tensor): tensor for tensor in tensors}) if tensors else child
        _apart(child, seen)


def stored_as(network: Network, forms: Mapping[str, Encoded]) -> Network:
    """The same network with some layers, by name, already stored in those forms, which must decode to their weights.

    Raises ValueError naming a layer whose weight is another. Its digest differs from that of a network of the same weights.
    """
    sha = hashlib.blake2b(network.digest.encode(), digest_size=16)
    layers = []
    for layer in network.layers:
        form = forms.get(layer.name)
        if form is not None:
            if not torch.equal(form.decode(), layer.weight):
                raise ValueError(f"{layer.name} is said to be stored in a form that decodes to other weights than it has")
            sha.update(json.dumps([layer.name, form.layout()]).encode())
        layers.append(replace(layer, stored=form))
    return replace(network, layers=tuple(layers), digest=sha.hexdigest())
