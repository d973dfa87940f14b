"""A person's own network from the files they uploaded, made ready to be picked, with what there is to say of it."""

from typing import NamedTuple

from app import compute
from compression import models
from compression.models import Card
from compression.network import Network
from compression.own import opening
from compression.own.opening import CHAIN

__all__ = ["CHAIN", "Opening", "open_files"]


class Opening(NamedTuple):
    """A person's own network with what there is to say of it."""

    network: Network
    card: Card | None  # None without data to try it on
    notes: tuple[str, ...]


def open_files(weights: tuple[str, bytes], architecture: str | None, examples: tuple[str, bytes] | None,
               shape: tuple[int, ...] | None) -> Opening:
    """compression.own.opening.open_files, tried on its data, and kept under its name. Raises ValueError in a sentence or two."""
    net, notes = opening.open_files(weights, architecture, examples, shape)
    first = next(iter(net.data.values()), None)
    card = models.check(net, first) if first else None
    compute.keep(net)
    return Opening(net, card, (*notes, *(card.notes if card else ())))
