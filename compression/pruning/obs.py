"""Optimal Brain Surgeon, layer by layer: take the weight that is missed least, and let all others of its output make up for it.

What counts is the squared error of the layer's outputs on training examples, so each output has the inverse Hessian of its own
inputs. The weight q with the least w_q**2 / [inverse]_qq goes, the others change by -w_q / [inverse]_qq times column q of the
inverse, and the inverse is brought up to date for the inputs that are left: exact, one weight at a time (Hassibi and Stork
1993; for each output of a layer by itself Frantar and Alistarh 2022, arXiv:2208.11580, algorithm 1).
"""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from compression.method import Failure, Knob, Layer, Method, Piecewise
from compression.pruning.updating import Updated, answer, updating

LADDER = tuple(i / 20 for i in range(20))
AT_MOST = 1e11  # outputs x inputs cubed: some ten seconds
ROOM = 2**23  # numbers of the inverses held at one time


def refuses(weight: Tensor, layer: Layer) -> str | None:
    d = weight[0].numel() if len(weight) else 0
    if len(weight) * d**3 > AT_MOST:
        return f"An inverse of {d} x {d} for each of {len(weight)} outputs takes minutes here; SparseGPT shares one among all outputs."
    return None


def prune(weight: Tensor, products: Tensor, sparsities: Sequence[float]) -> Generator[float, None, list[Tensor]]:
    """The weight (out, d) after round(sparsity * d) of each row are gone, for each of the rising sparsities."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(products))
    counts = [round(s * weight.shape[1]) for s in sparsities]
    rows, parts = weight.split(max(1, ROOM // inverse.numel())), []
    for part in rows:
        yield len(parts) / len(rows)
        parts.append(_rows(part, inverse, counts))
    return [torch.cat(each) for each in zip(*parts)]


def _rows(weight: Tensor, inverse: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Between two counts the changes of the inverses are held apart, (rows, steps, left), and applied together."""
    rows, w, found, done = torch.arange(len(weight)), weight.clone(), [], 0
    inverses, at = inverse.expand(len(weight), -1, -1), torch.arange(weight.shape[1]).expand(weight.shape)
    for count in counts:
        steps, diagonal, gone = w.new_zeros(len(w), count - done, w.shape[1]), inverses.diagonal(dim1=1, dim2=2).clone(), torch.zeros_like(w).bool()
        for k in range(count - done):
            q = (w.square() / diagonal).masked_fill(gone, torch.inf).argmin(1)
            column = inverses[rows, q] - torch.bmm(steps[rows, :k, q][:, None], steps[:, :k])[:, 0]
            pivot = column[rows, q]
            w = w - column * (w[rows, q] / pivot)[:, None]
            gone[rows, q] = True
            w[gone] = 0
            steps[:, k] = column / pivot.sqrt()[:, None]
            diagonal = (diagonal - steps[:, k].square()).clamp(min=1e-300)
        left = (~gone).nonzero()[:, 1].reshape(len(w), -1)  # (rows, inputs left)
        steps = steps.gather(2, left[:, None].expand(-1, steps.shape[1], -1))
        inverses = torch.stack([p[l].index_select(1, l) for p, l in zip(inverses, left)]).baddbmm_(steps.transpose(1, 2), steps, alpha=-1)
        w, at, done = w.gather(1, left), at.gather(1, left), count
        found.append(torch.zeros_like(weight).scatter_(1, at, w))
    return found


@Piecewise
def prepare(weight: Tensor, layer: Layer) -> Generator[float, None, Updated]:
    return (yield from updating(layer, LADDER, prune))


METHOD = Method(
    title="Optimal Brain Surgeon",
    summary="Weights go one at a time, the one missed least first, and after each the others of that output change to make up for it.",
    reference="Hassibi and Stork 1993, NIPS 5, equation 5; layer by layer: Dong et al. 2017, arXiv:1705.07565; Frantar and Alistarh 2022",
    survey="3.3.1",
    knobs=(Knob("sparsity", "Sparsity", LADDER, 0.5, "Share of each output's weights set to zero, least missed first.", "fall", off=0.0),),
    prepare=prepare,
    answer=answer,
    refuses=refuses,
    needs=("inputs",),
    terms=(("inverse Hessian", "What tells how the best values of all other weights move when one weight is moved or taken away."),),
    fails=Failure(
        "One weight in ten at full precision, and its place, take as many bytes as four bits for every weight, which lose far less.",
        "lenet-5", "fc2", (("sparsity", 0.9),), ("quantization.uniform", (("bits", 4),)),
    ),
)
