"""How much the loss would rise without a weight, where the gradients of single examples stand for its curvature.

Half the weight's square times the mean square of its gradients, which is the diagonal of the empirical Fisher information (of
the training labels). Twice that is the mean over examples of (gradient x weight) squared, the Taylor score of Molchanov et al.
2019, so the two are one criterion.
"""

from torch import Tensor

from compression.method import Failure, Layer, Method
from compression.pruning.ranking import SCOPE, SPARSITY, Ranked, forget, ranked


def score(layer: Layer) -> Tensor:
    """(out, in, *kernel), nats."""
    return layer.context.gradients(layer.name).square * layer.weight.square() / 2


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    return ranked(layer, "fisher", score)


METHOD = Method(
    title="Fisher pruning",
    summary="Weights that the loss of single examples hardly feels are set to zero: half the square of weight times gradient, on average.",
    reference="Theis et al. 2018, arXiv:1801.05787, equation 5; Taylor score: Molchanov et al. 2019, arXiv:1906.10771, equation 8",
    survey="3.3.2",
    knobs=(SPARSITY, SCOPE),
    prepare=prepare,
    answer=forget,
    needs=("gradients",),
    terms=(("Fisher information", "The mean square of the slopes of single examples' losses: how sharply the data fix a weight."),),
    fails=Failure(
        "Each weight is judged as if all others stayed; of a filter's 25 weights 20 go at once, and nothing makes up for them.",
        "lenet-5", "conv1", (("sparsity", 0.8), ("scope", "layer")), ("pruning.obs", (("sparsity", 0.8),)),
    ),
)
