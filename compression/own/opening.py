"""A person's own network from its files: of an architecture that ships, or a plain chain of layers."""

from dataclasses import replace
from types import MappingProxyType

from compression import models
from compression.network import Network
from compression.own.examples import own_splits, read_data
from compression.own.reading import open_file
from compression.zoo import shipped

CHAIN = "a plain chain of layers"


def open_files(weights: tuple[str, bytes], architecture: str | None, examples: tuple[str, bytes] | None,
               shape: tuple[int, ...] | None) -> tuple[Network, tuple[str, ...]]:
    """A network from files (name, content), and what was assumed: of a shipped architecture, or (None) of the one that fits, else a plain chain.

    shape: of one example, where there are no data to tell it. Raises ValueError in a sentence or two: what was wrong and what to do.
    """
    opened = open_file(*weights)
    title = weights[0].rsplit(".", 1)[0][:40]
    fitting = models.matching_architectures(opened.tensors) if architecture is None else [architecture]
    if fitting and fitting[0] != CHAIN:
        net = models.shipped_architecture(opened.tensors, fitting[0], title)
        if examples:
            own = own_splits(read_data(examples[1], examples[0], net))
            net = replace(net, data=MappingProxyType(own))
        return net, (*opened.notes, f"Opened as {shipped.ZOO[fitting[0]].title}.")
    data = read_data(examples[1], examples[0], shape=shape) if examples else None
    net, assumed = models.guessed(opened.tensors, title, data, shape)
    return net, (*opened.notes, *assumed)
