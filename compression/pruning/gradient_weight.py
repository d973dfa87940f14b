"""What the loss would lose with a weight, to first order: the gradient times the weight.

Its magnitude is the score of SNIP (Lee et al. 2019), made for networks yet to be trained. Its square (Molchanov et al. 2019)
gives the same order. In a trained network the mean gradient is nearly zero, and this is mostly noise; the squares of single
examples, whose mean does not vanish, are in pruning.fisher.
"""

from torch import Tensor

from compression.method import Failure, Layer, Method
from compression.pruning.ranking import SCOPE, SPARSITY, Ranked, forget, ranked


def score(layer: Layer) -> Tensor:
    """(out, in, *kernel)."""
    return (layer.context.gradients(layer.name).mean * layer.weight).abs()


def prepare(weight: Tensor, layer: Layer) -> Ranked:
    return ranked(layer, "gradient x weight", score)


METHOD = Method(
    title="Gradient times weight",
    summary="How much the loss would change without a weight, by its slope alone; the weights that would change it least are set to zero.",
    reference="Lee et al. 2019, SNIP, arXiv:1810.02340, equation 6; squared: Molchanov et al. 2019, arXiv:1906.10771",
    survey="3.6.2",
    knobs=(SPARSITY, SCOPE),
    prepare=prepare,
    answer=forget,
    needs=("gradients",),
    terms=(("saliency", "How much is lost with a weight, as a criterion estimates it without trying."),),
    fails=Failure(
        "In a trained network the slopes of the examples cancel, so their mean is mostly noise, and plain magnitude knows better.",
        "lenet-5", "conv1", (("sparsity", 0.5), ("scope", "layer")), ("pruning.magnitude", (("sparsity", 0.5),)),
    ),
)
