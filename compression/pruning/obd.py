"""Optimal Brain Damage: how much the loss would rise without a weight, by the diagonal of its second derivatives.

The second derivatives are those of Gauss and Newton, as in LeCun et al.: never negative, and what is left out is small where a
network is well trained. For a loss on a softmax they do not depend on the labels. Their diagonal is estimated without bias:
each example's answer is pushed at random signs through a root of the softmax's own curvature, and the squares of the gradients
are averaged (Hutchinson's idea; Martens et al. 2012, arXiv:1206.6464). Of a single weight it tells the truth, as a test measures;
what many weights do together when they go at once it leaves out.
"""

import torch
from torch import Tensor

from compression.method import Context, Failure, Layer, Method
from compression.pruning.ranking import SCOPE, SPARSITY, Ranked, forget, ranked

DRAWS = 4  # of signs for each example


def push(scores: Tensor, signs: Tensor) -> Tensor:
    """A number whose squared gradients have the Gauss-Newton diagonal as their mean over random signs; both (places, classes).

    With p the softmax, (diag(root p) - p root(p)') times its transpose is diag(p) - p p', the softmax's curvature.
    """
    p = scores.detach().softmax(-1)
    pulled = p.sqrt() * signs
    return ((pulled - p * pulled.sum(-1, keepdim=True)) * scores).sum() / len(scores) ** 0.5


def curvature(about: Context) -> dict[str, Tensor]:
    """The diagonal of the mean loss's second derivatives by layer name, (out, in, *kernel)."""
    found = {layer.name: torch.zeros_like(layer.weight) for layer in about.layers}
    generator = torch.Generator().manual_seed(about.seed)
    for _ in range(DRAWS):
        for gradients in about.each(lambda scores, _: push(scores, torch.randint(2, scores.shape, generator=generator) * 2.0 - 1)):
            for name, g in gradients.items():
                found[name].addcmul_(g, g, value=1 / (DRAWS * about.alone))
    return found


def score(layer: Layer) -> Tensor:
    """(out, in, *kernel), nats."""
    about = layer.context
    return about.once("curvature", lambda: curvature(about))[layer.name] * layer.weight.square() / 2


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    return ranked(layer, "obd", score)


METHOD = Method(
    title="Optimal Brain Damage",
    summary="A weight is worth half its square times the curvature of the loss along it; the least worth are set to zero.",
    reference="LeCun et al. 1990, Optimal Brain Damage, NIPS 2, equation 5; curvature by Gauss and Newton, as there in section 2.2",
    survey="3.3.1",
    knobs=(SPARSITY, SCOPE),
    prepare=prepare,
    answer=forget,
    needs=("gradients",),
    terms=(("Hessian", "All second derivatives of the loss: how its slope along one weight changes as another weight is moved."),),
    fails=Failure(
        "The diagonal leaves out what two weights do together: neighbours in a filter stand in for each other, and here most go at once.",
        "lenet-5", "conv1", (("sparsity", 0.8), ("scope", "layer")), ("pruning.obs", (("sparsity", 0.8),)),
    ),
)
