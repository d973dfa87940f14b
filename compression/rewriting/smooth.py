"""Move what makes activations hard to round into the weights, channel by channel, with the same answers."""

import torch
from torch import nn

from compression.context import NO_EXAMPLES
from compression.method import Knob
from compression.network import Network
from compression.rewrite import Rewrite, Setback, spare
from compression.rewriting.streams import loudest, reach, rescale, streams

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)


def refuses(network: Network) -> str | None:
    if "train" not in network.data:
        return NO_EXAMPLES
    return None if streams(network) else "No normalisation or layer here gives its channels only to layers that could be scaled back."


def apply(network: Network, alpha: float) -> nn.Module:
    """Channel j is divided by s = max|x| ** alpha / max|w| ** (1 - alpha), the weights that take it multiplied (equation 4)."""
    module, found = spare(network), streams(network)
    inputs = loudest(network, found)
    for stream in found:
        x = inputs[stream.producer]
        w = torch.stack([reach(module, consumer) for consumer in stream.consumers]).amax(0)
        by = x.pow(alpha) / w.clamp(min=1e-5).pow(1 - alpha)
        rescale(module, stream, torch.where((x > 0) & (w > 0), by.clamp(min=1e-5), 1.0))
    return module


REWRITE = Rewrite(
    title="SmoothQuant",
    summary="Channels that are loud are made quieter in the layer or normalisation before, and the weights that take them larger: the "
            "answers are the same, and the activations easier to round.",
    reference="Xiao et al. 2022, SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models, arXiv:2211.10438",
    survey="6.2",
    knobs=(
        Knob("alpha", "Migration strength", POWERS, 0.5,
             "1 makes all channels of the activations equally loud, 0 all columns of the weights equally large, 0.5 shares the difficulty."),
    ),
    apply=apply,
    refuses=refuses,
    exact=True,
    terms=(("migration strength", "How much of the difference between channels is taken from the activations into the weights."),),
    fails=Setback(
        "At full strength everything goes into the weights: activations are even, and one scale no longer serves the columns of weights.",
        "vit", (("alpha", 1.0),), 4),
)
