"""Let one of two units that rise and fall together do the work of both: it is read in proportion, and the rest becomes a bias.

From training examples: unit j is replaced by the best line through unit i, c h_i + b. What listened to j listens c times as much
to i, and b goes into its bias, so a unit that hardly changes is taken into the bias altogether (the merging of Tu et al. 2010,
whose two thresholds, on correlation and on spread, are one cost here: the variance left times the mean square of the weights
that read j). At the zero edges of a convolution's input the bias is not quite right.
"""

import torch
from torch import Tensor, nn

from compression.network import Network
from compression.rewrite import Relation, Rewrite, Setback, spare
from compression.rewriting.coupled import by_unit, pairs, shrink
from compression.rewriting.merge_units import NOT_COUPLED, SHARE, merged

UNITS = 64  # whose correlations are looked at in a picture
NO_EXAMPLES = "It sees which units rise and fall together on training examples, and this network came without; give it a train split."


def refuses(network: Network) -> str | None:
    return NO_EXAMPLES if not network.context.digest else None if pairs(network) else NOT_COUPLED


def moments(network: Network, reader: str, units: int) -> tuple[Tensor, Tensor]:
    """Mean (units,) and covariance (units, units) of what a layer reads from each unit, over examples and places, in float64."""
    module, seen = spare(network), []
    part = module.get_submodule(reader)

    def before(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        x = given[0]
        split = x.reshape(len(x), units, -1) if not isinstance(part, nn.Linear) or x.shape[-1] != units else x.reshape(-1, units, 1)
        seen.append(split.transpose(0, 1).flatten(1).double())  # (units, examples * places)

    part.register_forward_pre_hook(before)
    with torch.no_grad():
        module(network.context.examples)
    return seen[0].mean(1), torch.cov(seen[0], correction=0)


def apply(network: Network, share: float) -> nn.Module:
    module = spare(network)
    for pair in pairs(network):
        reader = module.get_submodule(pair.reader)
        units = len(module.get_submodule(pair.feeder).weight)
        mean, together = moments(network, pair.reader, units)
        spread = together.diagonal().clamp(min=1e-12)
        scale = together / spread[:, None]  # of j on i
        left = (together.diagonal() - together.square() / spread[:, None]).clamp(min=0)
        old = by_unit(reader.weight.detach(), units)
        kept, read, gone = merged(old, left, scale, round(share * units))
        bias, current = torch.zeros(len(reader.weight)) if reader.bias is None else reader.bias.detach().clone(), old.clone()
        for i, j in gone:
            bias += float(mean[j] - scale[i, j] * mean[i]) * current[j].sum(1)
            current[i] += scale[i, j] * current[j]
        reader.bias = nn.Parameter(bias, requires_grad=False)
        shrink(module, pair, kept, read)
    return module


def looks(network: Network) -> Relation | None:
    """Correlations of the units between the first two layers that are coupled, of the first UNITS of them."""
    pair = pairs(network)[0]
    _, together = moments(network, pair.reader, len(network.module.get_submodule(pair.feeder).weight))
    spread = together.diagonal().clamp(min=1e-12).sqrt()
    values = (together / (spread[:, None] * spread))[:UNITS, :UNITS].float()
    return Relation("Which units rise and fall together?", tuple(str(i + 1) for i in range(len(values))), values,
                    f"correlation of the outputs of {pair.feeder}, from -1 to 1")


REWRITE = Rewrite(
    title="Merging of correlated units",
    summary="Of two units that rise and fall together on training examples one goes; the other is read in proportion, the rest is a bias.",
    reference="Tu et al. 2010, in O'Neill 2020, section 3.5.2; scaled: Kim et al. 2020, Neuron Merging, arXiv:2010.13160",
    survey="3.5.2",
    knobs=(SHARE,),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("correlation", "How nearly two quantities lie on a line when one is drawn against the other."),),
    looks=looks,
    fails=Setback(
        "With half of the units gone, pairs are merged that only sometimes rise together, and nothing is trained to make up for it.",
        "lenet-300-100", (("share", 0.5),)),
)
