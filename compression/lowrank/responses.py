"""Make a layer's answers from a few mixes of them: the directions in which the answers to training examples really vary."""

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor

from compression.encoded import Dense, Encoded, Factored
from compression.lowrank import svd
from compression.method import Failure, Knob, Layer, Method, Piecewise

RANKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
FITS = ("answers", "after relu")
_PENALTIES = (*[0.01] * 3, *[1.0] * 3)  # what the paper does 25 times each
_RIDGE = 1e-6  # of the mean square of an answer: directions in which no answers lie


class Responses(NamedTuple):
    """How strongly a layer's answers to the examples vary along each direction, and what each number of directions leaves over."""

    shape: tuple[int, ...]
    energy: Tensor  # (out,) share of the answers' squares along each direction, falling
    errors: Tensor  # (rungs,) relative error of the answers
    positive: Tensor  # (rungs,) relative error of what a ReLU leaves of them, fitted to the answers
    refitted: Tensor  # (rungs,) the same, fitted to what the ReLU leaves
    by: dict[tuple[str, float], tuple[Tensor, Tensor]]  # (fit, rung) -> (out, r), (r, in * kernel)


def refuses(weight: Tensor, layer: Layer) -> str | None:
    if layer.kind not in ("linear", "conv"):
        return "This is for linear layers and convolutions, whose answers are what the next layer sees."
    return svd.refuses(weight, layer)


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Responses]:
    matrix, y = weight.reshape(len(weight), -1), layer.context.outputs(layer.name)  # (out, d), (places, out)
    bias = getattr(layer.context.module.get_submodule(layer.name), "bias", None)
    bias = y.new_zeros(len(weight)) if bias is None else bias.detach()
    values, basis = torch.linalg.eigh(y.double().T @ y.double())
    values, basis = values.flip(0).clamp(min=0), basis.flip(1).float()
    by, measured, total = {}, [], max(float(y.square().sum()), 1e-30)
    heard = (y + bias).relu()
    loud = max(float(heard.square().sum()), 1e-30)
    for rung in RANKS:
        yield len(measured) / len(RANKS)
        left = basis[:, : max(1, round(rank_of(weight) * rung))]
        start = left, left.T
        found, before, after = after_relu(y, bias, start) if rung < 1 else (start, 0.0, 0.0)
        by["answers", rung], by["after relu", rung] = (_balanced(one, other @ matrix) for one, other in (start, found))
        measured.append(((float((y @ left @ left.T - y).square().sum()) / total) ** 0.5, (before / loud) ** 0.5, (after / loud) ** 0.5))
    return Responses(tuple(weight.shape), (values / values.sum().clamp(min=1e-30)).float(), *torch.tensor(measured).T, by)


def answer(found: Responses, rank: float, fit: str) -> Encoded:
    left, right = found.by[fit, rank]
    return Factored(found.shape, Dense(left), Dense(right))


def rank_of(weight: Tensor) -> int:
    """The most directions that a weight's answers can have."""
    return min(len(weight), weight[0].numel())


def after_relu(y: Tensor, bias: Tensor, start: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], float, float]:
    """M of a rank with the least sum of (relu(y + bias) − relu(M y + bias))² found, as two factors, from those given; and the sum before and after.

    Zhang et al. 2015, section 2.2.2: targets z that may stray from M y where the ReLU does not see it, and M as the regression of
    them on y, in turn. The layer's bias is kept, where the paper fits one too. Never worse than the start.
    """
    wanted = (y + bias).relu()

    def missed(pair: tuple[Tensor, Tensor]) -> float:
        return float((((y @ pair[1].T) @ pair[0].T + bias).relu() - wanted).square().sum())

    wide = y.double()
    square = wide.T @ wide
    square.diagonal().add_(max(_RIDGE * float(square.diagonal().mean()), 1e-12))
    root = torch.linalg.cholesky(square)
    best, least, now = start, missed(start), start
    first = least
    for penalty in _PENALTIES:
        given = (y @ now[1].T) @ now[0].T + bias
        products = ((targets(wanted, given, penalty) - bias).T @ y).double()  # (out, out)
        half = torch.linalg.solve_triangular(root, products.T, upper=False)  # the regression's answers are its columns, whitened
        strength = half.T @ half
        left = torch.linalg.qr(strength @ torch.linalg.qr(strength @ now[0].double()).Q).Q  # two steps of subspace iteration are enough
        now = left.float(), torch.cholesky_solve(products.T @ left, root).T.float()
        error = missed(now)
        if error < least:
            best, least = now, error
    return best, first, least


def targets(wanted: Tensor, given: Tensor, penalty: float) -> Tensor:
    """z with the least (wanted − relu(z))² + penalty (z − given)², entry by entry (equation 9); wanted is not negative."""
    below, above = given.clamp(max=0), ((penalty * given + wanted) / (penalty + 1)).clamp(min=0)
    cost_below = wanted.square() + penalty * (below - given).square()
    cost_above = (above - wanted).square() + penalty * (above - given).square()
    return torch.where(cost_below < cost_above, below, above)


def _balanced(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The same product from factors of one size."""
    root = (right.norm(dim=1) / left.norm(dim=0).clamp(min=1e-30)).clamp(min=1e-30).sqrt()
    return (left * root).contiguous(), (right / root[:, None]).contiguous()


METHOD = Method(
    title="Response PCA",
    summary="Compute only a few mixes of a layer's answers, those that vary most over training examples, and make all answers from them.",
    reference="Zhang et al. 2015, Accelerating Very Deep Convolutional Networks, arXiv:1505.06798; Denton et al. 2014, arXiv:1404.0736",
    survey="4.3",
    knobs=(
        Knob("rank", "Rank", RANKS, 0.5, "Share of the full rank that is kept.", "rise", off=1.0),
        Knob("fit", "Fitted to", FITS, "answers",
             "The layer's answers, as activation-aware SVD does; or what a ReLU leaves of them, where one comes next."),
    ),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("response", "What a layer answers at one place for one example, before the activation function."),),
    fails=Failure(
        "All 64 answers from 6 mixes of them is too few, whatever the mixes; fewer input channels cost this layer less.",
        "resnet-20", "stage3.1.conv2", (("rank", 0.1), ("fit", "answers")), instead=("lowrank.hooi", (("rank", 0.2),))),
)
