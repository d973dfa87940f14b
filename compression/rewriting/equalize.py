"""Give the two layers at either end of each channel weights of one size, so that one scale serves all channels of a layer."""

import torch
from torch import nn

from compression.method import Knob
from compression.network import Network
from compression.rewrite import Rewrite, Setback, spare
from compression.rewriting.streams import Stream, by_channel, reach, rescale, streams

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


def pairs(network: Network) -> list[Stream]:
    """Streams from one layer to just one other."""
    module = network.module
    return [s for s in streams(network) if len(s.consumers) == 1 and isinstance(module.get_submodule(s.producer), _LAYERS)
            and isinstance(module.get_submodule(s.consumers[0].name), _LAYERS)]


def refuses(network: Network) -> str | None:
    if pairs(network):
        return None
    return "No two layers here follow each other through nothing but ReLU and pooling; where batch normalisations stand between, fold them first."


def apply(network: Network, rounds: int) -> nn.Module:
    """Channel i of each pair is divided by s = sqrt(r1 / r2), its next weights multiplied (equation 11); r: largest magnitudes."""
    module, found = spare(network), pairs(network)
    for _ in range(rounds):
        for stream in found:
            own = by_channel(module.get_submodule(stream.producer).weight[None].flatten(2), 1, 1).abs().amax((0, 1, 3))
            then = reach(module, stream.consumers[0])
            rescale(module, stream, torch.where((own > 0) & (then > 0), (own / then.clamp(min=1e-30)).sqrt(), 1.0))
    return module


REWRITE = Rewrite(
    title="Cross-layer equalization",
    summary="A channel can be made smaller in one layer and larger in the next, through ReLU, with the same answers: all then fit one scale.",
    reference="Nagel et al. 2019, Data-Free Quantization Through Weight Equalization and Bias Correction, arXiv:1906.04721",
    survey="6.2",
    knobs=(
        Knob("rounds", "Rounds", (0, 1, 2, 5, 10, 20), 10,
             "How often all pairs are gone through: a layer between two others belongs to two pairs, and they settle.", off=0),
    ),
    apply=apply,
    refuses=refuses,
    exact=True,
    terms=(("equalization", "Scaling channels so that their weights are of like size in the two layers around them."),),
    fails=Setback(
        "What is taken from one layer goes into the next, and at three bits the channels made larger there set the scale for all others.",
        "digits-mlp", (("rounds", 10),), 3),
)
