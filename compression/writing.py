"""Text that a network writes, character by character, so that two networks can be asked to go on from the same words."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from compression.data import Data
from compression.evaluate import skeleton
from compression.network import Network


def encoded(text: str, data: Data) -> Tensor:
    """Characters as the network's symbols, (length,) int64. Raises ValueError naming the first that it does not know."""
    place = {c: i for i, c in enumerate(data.classes)}
    unknown = next((c for c in text if c not in place), None)
    if unknown is not None or not text:
        raise ValueError(f"The text has {unknown!r}, which is not among the {len(place)} characters this network knows." if text else
                         "The text is empty; give at least one character to go on from.")
    return torch.tensor([place[c] for c in text])


def writing(network: Network, weights: Mapping[str, Tensor] | None, prompt: Tensor, length: int, context: int, temperature: float = 0.8,
            seed: int = 0) -> Iterator[int]:
    """The symbols that follow a prompt (k,), one by one. weights: what replaces the network's, by parameter name.

    Drawn by the Gumbel-max trick from noise that only the seed decides (Maddison et al. 2014, arXiv:1411.0030, section 2): two
    networks with the same scores draw the same symbols, so that where they part it is for their scores. temperature 0: the likeliest.
    """
    module = skeleton(network.module)
    dice = torch.Generator().manual_seed(seed)
    text = prompt
    for _ in range(length):
        with torch.inference_mode():
            scores = functional_call(module, dict(weights or {}), (text[None, -context:],))[0, -1].double()
        noise = -torch.log(-torch.log(torch.rand(len(scores), generator=dice, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)))
        following = int((scores / temperature + noise if temperature else scores).argmax())
        text = torch.cat([text, torch.tensor([following])])
        yield following


def parting(a: str, b: str) -> int | None:
    """The place of the first character in which two texts differ; None where one begins with the other.

    >>> parting("so it was", "so it is")
    6
    """
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), None)
