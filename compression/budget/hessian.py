"""How sharply the loss curves along each layer's weights: the Hessian's trace, from random directions.

Hutchinson's estimate (1989): for v of random signs, the mean of v·Hv is the trace of H. HAWQ-V2 (Dong et al. 2020, arXiv:1911.03852)
gives layers bits by the mean trace, the trace over the number of weights, which is what one weight moved by 1 adds to the loss, times 2.
All layers are asked in one pass: what passes between layers has mean zero and only adds to the spread, which is told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from compression.context import NO_EXAMPLES
from compression.network import Network

PROBES = 16  # random directions
EXAMPLES = {"images": 64, "text": 8, "vectors": 256}  # training examples, of which the loss is the mean


class Traces(NamedTuple):
    """By layer in network order, after some probes."""

    layers: tuple[str, ...]
    mean: tuple[float, ...]  # trace over the number of weights; may come out below zero
    error: tuple[float, ...]  # standard error of that; infinite after one probe
    probes: int
    of: int
    examples: int

    @property
    def by_layer(self) -> dict[str, float]:
        """The mean traces by layer name."""
        return dict(zip(self.layers, self.mean, strict=True))

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """To be kept; the layers are the network's."""
        return {"mean": np.array(self.mean), "error": np.array(self.error), "counts": np.array([self.probes, self.of, self.examples], float)}


def traces(network: Network, probes: int = PROBES, seed: int = 0) -> Iterator[Traces]:
    """Mean Hessian traces of the mean cross-entropy on training examples, after every probe. Raises ValueError without a train split."""
    context = network.context
    if context.data is None:
        raise ValueError(NO_EXAMPLES)
    count = min(EXAMPLES[context.data.kind], len(context.examples))
    inputs, labels = context.examples[:count], context.labels[:count]
    module, dice = context.spare(), torch.Generator().manual_seed(seed)
    weights = {layer.names[0]: layer.weight.detach().clone().requires_grad_() for layer in network.layers}
    tied = {name: weights[layer.names[0]] for layer in network.layers for name in layer.names}
    sizes = torch.tensor([w.numel() for w in weights.values()], dtype=torch.float64)
    found: list[torch.Tensor] = []
    for _ in range(probes):
        signs = [torch.randint(0, 2, w.shape, generator=dice).to(w.dtype) * 2 - 1 for w in weights.values()]
        with torch.enable_grad(), _twice_differentiable():
            scores = functional_call(module, tied, (inputs,))
            loss = F.cross_entropy(scores.flatten(0, -2).float(), labels.flatten())
            first = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
            along = sum((g * v).sum() for g, v in zip(first, signs))
            second = torch.autograd.grad(along, list(weights.values()), materialize_grads=True)
        found.append(torch.stack([(h * v).sum(dtype=torch.float64) for h, v in zip(second, signs)]) / sizes)
        each = torch.stack(found)
        error = each.std(0) / len(found) ** 0.5 if len(found) > 1 else torch.full_like(sizes, torch.inf)
        yield Traces(tuple(layer.name for layer in network.layers), tuple(each.mean(0).tolist()), tuple(error.tolist()), len(found), probes, count)


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """torch's quick kernels for attention and recurrent layers have no second derivative; the plain ones do."""
    with sdpa_kernel(SDPBackend.MATH):
        yield
