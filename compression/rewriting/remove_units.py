"""Take the least worth units out of the network for real: their weights, their normalisation, and the weights that read them.

Unlike filter pruning, which sets weights to zero and leaves what a batch normalisation makes of zeros, nothing of a unit stays.
Its worth is that of a gate on what reads it: the slope of an example's loss along the gate is the sum of those weights times
their gradients; Taylor's score is the mean magnitude of the slopes (Molchanov et al. 2017, arXiv:1611.06440, equation 7),
Fisher's half their mean square (Theis et al. 2018, arXiv:1801.05787, equation 5).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from compression.context import Context
from compression.method import Knob
from compression.network import Network
from compression.rewrite import Refused, Rewrite, Setback, spare
from compression.rewriting.coupled import Pair, by_unit, pairs, shrink
from compression.rewriting.merge_units import NOT_COUPLED, SHARE, rows

NO_EXAMPLES = "It sees on training examples how the loss leans on each unit, and this network came without; give it a train split."


def refuses(network: Network) -> str | None:
    return NO_EXAMPLES if not network.context.digest else None if pairs(network) else NOT_COUPLED


def worth(network: Network) -> dict[str, dict[str, Tensor]]:
    """By score and by the name of the layer that makes them, what each unit is worth: (units,)."""
    coupled, about = pairs(network), network.context
    units = {p.feeder: len(network.module.get_submodule(p.feeder).weight) for p in coupled}
    found = {"taylor": {f: torch.zeros(n) for f, n in units.items()}, "fisher": {f: torch.zeros(n) for f, n in units.items()}}
    for gradients in about.each():
        for p in coupled:
            reader = network.module.get_submodule(p.reader)
            slope = by_unit((reader.weight * gradients[p.reader]).detach(), units[p.feeder]).sum((1, 2))
            found["taylor"][p.feeder] += slope.abs() / about.alone
            found["fisher"][p.feeder] += slope.square() / (2 * about.alone)
    return found | {"l2": {p.feeder: rows(network.module, p).norm(dim=1) for p in coupled}}


def apply(network: Network, share: float, score: str, group: int | str) -> nn.Module:
    module, coupled = spare(network), pairs(network)
    if group != "all" and int(group) > len(coupled):
        raise Refused(f"Removing of units was asked for group {group} of coupled layers, and there are {len(coupled)} here.")
    for pair in coupled if group == "all" else coupled[int(group) - 1 : int(group)]:
        kept = survivors(network, pair, share, score)
        shrink(module, pair, kept, by_unit(module.get_submodule(pair.reader).weight.detach(), len(module.get_submodule(pair.feeder).weight)))
    return module


def survivors(network: Network, pair: Pair, share: float, score: str) -> Tensor:
    """Numbers of the units of a pair that are left when a share of them, those worth least, has gone."""
    order = _known(network.context, network)[score][pair.feeder].argsort(stable=True)
    return order[round(share * len(order)) :].sort().values


def _known(about: Context, network: Network) -> dict[str, dict[str, Tensor]]:
    return about.once("worth of units", lambda: worth(network))


REWRITE = Rewrite(
    title="Removing of units",
    summary="Take out the neurons and channels on which the loss leans least, with all that belongs to them: the layers become smaller.",
    reference="Molchanov et al. 2017, arXiv:1611.06440; Theis et al. 2018, arXiv:1801.05787; coupled layers: Li et al. 2017, arXiv:1608.08710",
    survey="3.3.2",
    knobs=(replace(SHARE, label="Units removed"), Knob("score", "A unit is worth", ("taylor", "fisher", "l2"), "taylor",
                       "The mean magnitude of the loss's slope along a gate on it, half the mean square of that, or the size of its own weights."),
           Knob("group", "Coupled layers", ("all", *range(1, 100)), "all",
                "All layers that feed one other alone, or only the first, second… of these, as the network runs them. Sensitivity names them.")),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("structured pruning", "Taking away whole units, so that what is left is a smaller network of the ordinary kind."),),
    fails=Setback(
        "Each unit is judged as if it went alone; half of them go at once, and nothing takes their place.",
        "lenet-300-100", (("share", 0.5), ("score", "taylor"))),
)
