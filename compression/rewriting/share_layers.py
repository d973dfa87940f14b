"""Let layers that do much the same hold one tensor: it is stored once, and every recipe treats them as one."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from compression.context import NO_EXAMPLES
from compression.layers import owners
from compression.method import Knob, Layer
from compression.network import Network
from compression.rewrite import Relation, Rewrite, Setback, spare


class Pair(NamedTuple):
    """Two layers of one shape and how alike their answers are, from 0 to 1; the first comes first in the network."""

    first: str
    second: str
    likeness: float


def likeness(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment of answers at the same places, (places, a) and (places, b) (Kornblith et al. 2019, section 3)."""
    x, y = (each.double() - each.double().mean(0) for each in (one, other))
    size = float((x.T @ x).norm() * (y.T @ y).norm())
    return float((y.T @ x).square().sum()) / size if size else 0.0


def pairs(network: Network) -> tuple[Pair, ...]:
    """Pairs of layers of one shape that answer at as many places, the most alike first."""
    return network.context.once("pairs of like layers", lambda: tuple(sorted(_pairs(network), key=lambda pair: -pair.likeness)))


def _pairs(network: Network) -> list[Pair]:
    known = network.context
    groups: dict[tuple[object, ...], list[Layer]] = {}
    for layer in network.layers:
        if not layer.tied and known.why_not(("inputs",), layer) is None:
            groups.setdefault((layer.kind, layer.groups, tuple(layer.weight.shape)), []).append(layer)
    found = []
    for alike in groups.values():
        outputs = [known.outputs(layer.name) for layer in alike] if len(alike) > 1 else []
        found += [Pair(alike[i].name, alike[j].name, likeness(outputs[i], outputs[j]))
                  for j in range(len(outputs)) for i in range(j) if len(outputs[i]) == len(outputs[j])]
    return found


def refuses(network: Network) -> str | None:
    if "train" not in network.data:
        return NO_EXAMPLES
    return None if pairs(network) else "No two layers here have weights of one shape and answer at as many places."


def looks(network: Network) -> Relation:
    """How alike the answers of layers of one shape are."""
    known = pairs(network)
    there = {name for pair in known for name in (pair.first, pair.second)}
    names = tuple(layer.name for layer in network.layers if layer.name in there)
    values = torch.full((len(names), len(names)), torch.nan).fill_diagonal_(1)
    for first, second, alike in known:
        i, j = names.index(first), names.index(second)
        values[i, j] = values[j, i] = alike
    return Relation("Which layers answer alike?", names, values, "CKA of their answers, from 0 to 1; layers of other shapes are not compared")


def apply(network: Network, pairs: int, held: str) -> nn.Module:
    """The module with the likest pairs merged, one after the other; what is like a merged layer joins it."""
    module = spare(network)
    groups = {layer.name: [layer.name] for layer in network.layers}
    for first, second, _ in _likest(network, pairs):
        joined = groups[first] + groups[second]
        groups |= dict.fromkeys(joined, joined)
    order = [layer.name for layer in network.layers]
    for members in {id(group): group for group in groups.values() if len(group) > 1}.values():
        layers = [network.layer(name) for name in sorted(members, key=order.index)]
        weight = layers[0].weight if held == "first" else torch.stack([layer.weight for layer in layers]).mean(0)
        parameter = nn.Parameter(weight, requires_grad=False)
        for layer in layers:
            for _, owner, name in owners(module, layer):
                setattr(owner, name, parameter)
    return module


def _likest(network: Network, count: int) -> list[Pair]:
    """The first pairs that join two groups which are not one yet."""
    group = {layer.name: layer.name for layer in network.layers}
    found = []
    for pair in pairs(network):
        one, other = group[pair.first], group[pair.second]
        if one != other and len(found) < count:
            found.append(pair)
            group = {name: one if held == other else held for name, held in group.items()}
    return found


REWRITE = Rewrite(
    title="Shared layers",
    summary="The layers of one shape whose answers to training examples are most alike hold one tensor, which is stored once. "
            "Alike in what they tell apart is not alike in how, so much may be lost without training on.",
    reference="O'Neill et al. 2020, Layer Fusion, arXiv:2007.14917; likeness: Kornblith et al. 2019, arXiv:1905.00414",
    survey="2.4",
    knobs=(
        Knob("pairs", "Pairs", (0, 1, 2, 3, 4, 6, 8), 1, "How many pairs of layers are merged, the most alike first.", "fall", off=0),
        Knob("held", "They hold", ("first", "mean"), "first", "The first one's tensor, or the mean of theirs."),
    ),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("CKA", "How alike two layers' answers are whatever their directions: 1 where one is a rotation of the other."),),
    looks=looks,
    fails=Setback(
        "Layers that tell the same things apart do so with other units in another order; held by one tensor they say something else.",
        "vit", (("pairs", 4), ("held", "first"))),
)
