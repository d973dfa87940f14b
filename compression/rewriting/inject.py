"""Give a small network the outliers that large language models have, with the same answers."""

import torch
from torch import nn

from compression.method import Knob
from compression.network import Network
from compression.rewrite import Rewrite, Setback, spare
from compression.rewriting.streams import rescale, streams

SIZES = (1, 4, 16, 64)
SHARES = (0.01, 0.02, 0.05, 0.1)


def refuses(network: Network) -> str | None:
    return None if streams(network) else "No normalisation or layer here gives its channels only to layers that could be scaled back."


def apply(network: Network, size: int, share: float, side: str) -> nn.Module:
    """A share of each stream's channels, one at least, multiplied by a power of two, the weights that take them divided, or the reverse.

    Which channels is drawn by lot, the same each time."""
    module, generator = spare(network), torch.Generator().manual_seed(0)
    for stream in streams(network):
        chosen = torch.randperm(stream.channels, generator=generator)[: max(1, round(share * stream.channels))]
        by = torch.ones(stream.channels)
        by[chosen] = 1 / size if side == "activations" else size
        rescale(module, stream, by)
    return module


REWRITE = Rewrite(
    title="Injected outliers",
    summary="A few channels are made much louder and the weights that take them smaller: same answers. Small networks have no outliers; "
            "these are put in, to see what rotation and SmoothQuant are for.",
    reference="After what Dettmers et al. 2022 (LLM.int8(), arXiv:2208.07339) find in large models; the channels are an invention",
    survey="6.2",
    knobs=(
        Knob("size", "How much louder", SIZES, 16, "The factor by which the channels drawn are multiplied.", off=1),
        Knob("share", "Channels", SHARES, 0.02, "Share of channels that are drawn, one at least of each normalisation or layer."),
        Knob("side", "Where", ("activations", "weights"), "activations",
             "Louder channels and smaller weights on them, as in language models; or the reverse, for methods that only look at weights."),
    ),
    apply=apply,
    refuses=refuses,
    exact=True,
    terms=(("outlier channel", "A channel whose values are far larger than all others', whatever the example."),),
    fails=Setback(
        "That is what it is for: a few columns of weights 64 times as large take all levels, and the other weights become zero.",
        "vit", (("size", 64), ("share", 0.02), ("side", "weights")), 4),
)
