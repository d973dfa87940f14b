"""Make the weights of layers of one shape as mixes of a few templates, which are stored once."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.layers import owners
from compression.method import Knob, Layer
from compression.network import Network
from compression.rewrite import Relation, Rewrite, Setback, replace_tensor, spare

_MIXABLE = (nn.Linear, nn.Conv1d, nn.Conv2d)
_RUNS = {nn.Linear: F.linear, nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d}


class Mixed(nn.Module):
    """A linear layer or a convolution whose weight is a mix of other layers' weights: mix (templates,), weight_0, weight_1, …"""

    def __init__(self, owner: nn.Module, templates: list[nn.Parameter], mix: Tensor) -> None:
        super().__init__()
        self.run, self.count = _RUNS[type(owner)], len(templates)
        self.settings = () if isinstance(owner, nn.Linear) else (owner.stride, owner.padding, owner.dilation, owner.groups)
        self.mix, self.bias = nn.Parameter(mix, requires_grad=False), owner.bias
        for k, template in enumerate(templates):
            self.register_parameter(f"weight_{k}", template)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.mix[0] * self.weight_0
        for k in range(1, self.count):
            weight = weight + self.mix[k] * getattr(self, f"weight_{k}")
        return self.run(x, weight, self.bias, *self.settings)


def groups(network: Network) -> Iterator[list[Layer]]:
    """Layers of one shape, in network order, that can be made from templates; two at least."""
    found: dict[tuple[object, ...], list[Layer]] = {}
    for layer in network.layers:
        _, owner, name = next(iter(owners(network.module, layer)))
        if type(owner) in _MIXABLE and name == "weight" and not layer.tied and getattr(owner, "padding_mode", "zeros") == "zeros":
            found.setdefault((type(owner), layer.groups, tuple(layer.weight.shape)), []).append(layer)
    return (alike for alike in found.values() if len(alike) > 1)


def fitted(weights: Tensor, count: int) -> Tensor:
    """The mix of templates nearest to each weight, of templates that serve all weights best in relative error. (layers, n) both.

    The first `count` right singular vectors of the weights scaled to length one span the templates (Eckart and Young 1936).
    """
    norm = weights.norm(dim=1, keepdim=True).clamp(min=1e-30)
    _, _, right = torch.linalg.svd(weights / norm, full_matrices=False)
    return weights @ right[:count].T @ right[:count]


def refuses(network: Network) -> str | None:
    return None if any(groups(network)) else "No two linear layers or convolutions here have weights of one shape."


def looks(network: Network) -> Relation:
    """How alike the weights of layers of one shape are."""
    alike = list(groups(network))
    layers = [layer for group in alike for layer in group]
    values = torch.full((len(layers), len(layers)), torch.nan)
    start = 0
    for group in alike:
        rows = F.normalize(torch.stack([layer.weight.flatten() for layer in group]))
        values[start : start + len(group), start : start + len(group)] = rows @ rows.T
        start += len(group)
    return Relation("Which layers have like weights?", tuple(layer.name for layer in layers), values,
                    "cosine of their weights, from -1 to 1; layers of other shapes are not compared")


def apply(network: Network, count: int) -> nn.Module:
    """The module in which, of each group with more layers than templates, the first layers hold the templates and the others mix them.

    Any basis of what the templates span will do, so it is the first layers' own fitted weights: they need no mix.
    """
    module = spare(network)
    for alike in groups(network):
        if len(alike) <= count:
            continue
        rows = fitted(torch.stack([layer.weight.flatten() for layer in alike]).double(), count)
        held, rest = rows[:count], rows[count:]
        mixes = torch.linalg.lstsq(held.T, rest.T).solution.T  # (rest, count)
        for layer, row in zip(alike, held):
            replace_tensor(module, layer.names[0], row.float().reshape(layer.weight.shape))
        shared = [module.get_parameter(layer.names[0]) for layer in alike[:count]]
        for layer, mix in zip(alike[count:], mixes):
            prefix = layer.names[0].rpartition(".")[0]
            parent, _, own = prefix.rpartition(".")
            setattr(module.get_submodule(parent), own, Mixed(module.get_submodule(prefix), shared, mix.float()))
    return module


REWRITE = Rewrite(
    title="Templates",
    summary="Layers of one shape are mixes of a few templates, which the first of them hold; the others store one number for each. "
            "Weights that were trained apart have little in common, so as a rewriting it loses much.",
    reference="Savarese and Maire 2019, Learning Implicitly Recurrent CNNs Through Parameter Sharing, arXiv:1902.09701, after training",
    survey="2.4",
    knobs=(
        Knob("count", "Templates", (0, 1, 2, 3, 4, 6, 8, 12), 3, "How many each group of layers of one shape shares; 0 for none.", "rise", off=0),
    ),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("template", "A tensor that several layers make their weights from, each with its own factors."),),
    looks=looks,
    fails=Setback(
        "Weights that were trained apart have hardly a direction in common, so one template for all is nobody’s.",
        "vit", (("count", 1),)),
)
