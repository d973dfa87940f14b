"""Variance nullity: outputs of a layer on which the network's answers lean alike, whatever the example, are forgotten.

The sensitivity of an answer to an output is the slope of a class's probability as that output is shifted, before the activation
function and at every place of a map alike. Over P examples it has a sample variance. To test whether it is null, which no test can do
with zero itself, a small variance v is taken for null, and Γ = (P - 1) variance / v is compared with the chi-square distribution of
P - 1 degrees of freedom: an output passes where Γ is so small that its variance is below v. Since Γ is a multiple of the variance,
v decides how many pass and never their order.

Engelbrecht averages the sensitivities of a network's outputs and takes the variance of that. Here these are probabilities that add up to
one, whose sensitivities average to zero, so the variances are averaged instead. The paper retrains after each round of pruning and
takes a larger v when nothing more passes; here both are dials, and nothing is retrained.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from scipy.special import gammaincinv
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Context, Failure, Knob, Layer, Method
from compression.pruning import filters
from compression.pruning.flow import owners

EXACT, MIXES = 16, 16  # with more classes than that, so many mixes of them stand in
LEVEL = 0.05  # of the test
NULLS = tuple(f"{10**-k:.{k}f}" for k in range(9, 0, -1))  # without a hyphen, which a link parts words by
_CALLED = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


class Nullity(NamedTuple):
    """How differently the answers lean on each output of the layer from example to example, and how many outputs pass the test."""

    weight: Tensor
    spread: Tensor  # (out,) root of the variance, mean over the classes
    order: Tensor  # (out,) the most surely null first
    passing: dict[str, int]  # variance taken for null -> outputs whose variance is below it, by the test


def variances(about: Context) -> dict[str, Tensor]:
    """By layer name, (out,) float64: sample variance of the sensitivities over the examples, mean over the classes.

    Of text the answer at the last place of each window counts. Layers that are not called with one row for each example are left out.
    """
    module, made = about.spare(), {}
    kinds = {layer.name: layer.kind for layer in about.layers}

    def watch(name: str) -> Callable[..., Tensor]:
        def after(_: nn.Module, given: tuple[Any, ...], out: Tensor) -> Tensor:
            made.setdefault(name, []).append(out.requires_grad_() if out.is_leaf else out)
            return out.clone()  # what follows may work in place
        return after

    for layer in about.layers:
        for owner in owners(module, layer):
            if isinstance(owner, _CALLED):
                owner.register_forward_hook(watch(layer.name))
    with torch.enable_grad():
        scores = module(about.examples).float()
        answers = (scores[:, -1] if scores.ndim == 3 else scores).softmax(-1)  # (examples, classes)
        made = {name: outs for name, outs in made.items() if all(len(out) == len(answers) for out in outs)}
        outs = [out for each in made.values() for out in each]
        found = dict.fromkeys(made, 0.0)
        for mix in mixes(answers.shape[1], about.seed) if outs else ():
            slopes = iter(torch.autograd.grad((answers @ mix).sum(), outs, retain_graph=True, materialize_grads=True))
            for name, each in made.items():
                found[name] += sum(_shifts(next(slopes), kinds[name]) for _ in each).double().var(0)
    return found


def mixes(classes: int, seed: int) -> Tensor:
    """Rows (mixes, classes) such that the variances of the mixed sensitivities add up to the mean of those of all classes.

    One for each class, or, where these are many, at random signs: then that holds on average over the signs.
    """
    if classes <= EXACT:
        return torch.eye(classes) / classes**0.5
    signs = torch.randint(2, (MIXES, classes), generator=torch.Generator().manual_seed(seed)) * 2.0 - 1
    return signs / (classes * MIXES) ** 0.5


def _shifts(slopes: Tensor, kind: str) -> Tensor:
    """(examples, out, *places) of a convolution, or (examples, ..., out) -> (examples, out), for a shift at all places."""
    last = slopes.movedim(1, -1) if kind == "conv" else slopes
    return last.reshape(len(last), -1, last.shape[-1]).sum(1)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    why = filters.refuses(weight, layer)
    if why is None and layer.name not in layer.context.once("variances", lambda: variances(layer.context)):
        return f"{layer.name} is not called by itself with one row for each example, so how answers lean on its outputs is not seen."
    return why


def prepare(weight: Tensor, layer: Layer) -> Nullity:
    variance = layer.context.once("variances", lambda: variances(layer.context))[layer.name]
    freedom = len(layer.context.examples) - 1
    critical = 2 * gammaincinv(freedom / 2, LEVEL)  # of chi-square: as small by chance in so many of all cases
    passing = {null: int((freedom * variance / float(null) <= critical).sum()) for null in NULLS}
    return Nullity(weight, variance.sqrt().float(), variance.argsort(stable=True), passing)


def answer(found: Nullity, sparsity: float, null: str) -> Encoded:
    count = round(sparsity * len(found.weight))
    return filters.without(found.weight, found.order[: count if null == "any" else min(count, found.passing[null])])


METHOD = Method(
    title="Variance nullity",
    summary="An output on which the answers lean alike for all examples tells none apart; those of which that is surest are forgotten.",
    reference="Engelbrecht 2001, A New Pruning Heuristic Based on Variance Analysis of Sensitivity Information, IEEE Trans. Neural Networks 12",
    survey="3.3",
    knobs=(
        Knob("sparsity", "Sparsity", filters.LADDER, 0.5, "Share of outputs set to zero, most surely null first.", "fall", off=0.0),
        Knob("null", "Null means below", ("any", *NULLS), "any",
             "Take no output whose variance is not below this, by a chi-square test at 5 %; or take as many as sparsity says."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(
        ("sensitivity", "How much an answer moves for a small change of something inside the network: a slope."),
        ("chi-square test", "A test of a variance: how often a sample would vary as little if the true variance were as large as that."),
    ),
    fails=Failure(
        "A slope says what a small shift would do; how far an output really moves, and how much goes with all of it, the test does not ask.",
        "lenet-300-100", "fc2", (("sparsity", 0.75), ("null", "any")),
        ("pruning.unit_gates", (("sparsity", 0.75), ("score", "taylor"), ("scope", "layer")))),
)
