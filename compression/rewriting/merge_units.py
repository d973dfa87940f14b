"""Let one of two units that nearly compute the same do the work of both: what read the other reads it instead.

The units with nearly equal incoming weights and biases are merged first (Srinivas and Babu 2015, arXiv:1507.06149, algorithm 1):
that of unit j costs at most the squared distance of the two rows times the mean square of the weights that read j. No data is
looked at. The layers become smaller for real.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from compression.method import Knob
from compression.network import Network
from compression.rewrite import Rewrite, Setback, spare
from compression.rewriting.coupled import Pair, by_unit, pairs, shrink

SHARE = Knob("share", "Units merged", tuple(i / 20 for i in range(19)), 0.25, "Share of the units of each such layer that go.", off=0.0)
NOT_COUPLED = "No layer here feeds one other alone through steps that treat each unit by itself, so taking units away cannot be traced."


def refuses(network: Network) -> str | None:
    return None if pairs(network) else NOT_COUPLED


def merged(read: Tensor, distance: Tensor, scale: Tensor, count: int) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """The units kept (k,), how they are read (units, out, places), and (unit kept, unit gone) in the order of merging.

    distance[i, j]: squared error of unit j when scale[i, j] times unit i stands for it; infinite where it may not.
    """
    read, gone = read.clone(), []
    cost = distance.clone()
    cost.fill_diagonal_(torch.inf)
    for _ in range(count):
        i, j = divmod(int((cost * read.square().mean((1, 2)).clamp(min=1e-30)).argmin()), len(read))
        read[i] += scale[i, j] * read[j]
        cost[j], cost[:, j] = torch.inf, torch.inf
        gone.append((i, j))
    kept = torch.ones(len(read), dtype=torch.bool)
    kept[[j for _, j in gone]] = False
    return kept.nonzero().flatten(), read, gone


def rows(module: nn.Module, pair: Pair) -> Tensor:
    """Incoming weights and bias of each unit, normalisations taken in: (units, inputs + 1)."""
    feeder = module.get_submodule(pair.feeder)
    weight, bias = feeder.weight.detach(), feeder.bias
    fuse = fuse_linear_bn_weights if isinstance(feeder, nn.Linear) else fuse_conv_bn_weights
    for name in pair.norms:
        n = module.get_submodule(name)
        weight, bias = (t.detach() for t in fuse(weight, bias, n.running_mean, n.running_var, n.eps, n.weight, n.bias))
    added = torch.zeros(len(weight)) if bias is None else bias.detach()
    return torch.cat([weight.flatten(1), added[:, None]], 1)


def apply(network: Network, share: float) -> nn.Module:
    module = spare(network)
    for pair in pairs(network):
        own = rows(module, pair).double()
        distance = torch.cdist(own, own).square()
        read = by_unit(module.get_submodule(pair.reader).weight.detach(), len(own))
        kept, read, _ = merged(read, distance, torch.ones_like(distance), round(share * len(own)))
        shrink(module, pair, kept, read)
    return module


REWRITE = Rewrite(
    title="Merging of like units",
    summary="Of two units with nearly equal weights one goes, and what listened to it listens to the other: smaller layers, no data needed.",
    reference="Srinivas and Babu 2015, Data-free Parameter Pruning for Deep Neural Networks, arXiv:1507.06149",
    survey="3.1",
    knobs=(SHARE,),
    apply=apply,
    refuses=refuses,
    exact=False,
    terms=(("unit", "One output of a layer: a neuron, or a channel of a convolution."),),
    fails=Setback(
        "Half of the units have no near twin; of two that are merely a little alike one is lost.",
        "lenet-300-100", (("share", 0.5),)),
)
