"""Change a weight one input at a time, and let the inputs still to come make up for each error at once.

Optimal Brain Surgeon (Hassibi and Stork 1993) for a whole row at a time, in the order and with the Cholesky factor of GPTQ
(Frantar et al. 2022, arXiv:2210.17323, algorithm 1) and SparseGPT (arXiv:2301.00774). What becomes of each weight the caller
chooses: a level, an entry of a codebook, zero.
"""

from collections.abc import Callable, Generator

import torch
from torch import Tensor

from compression.method import drained

BLOCK = 64  # inputs after which the errors are passed on to all that follow


def damped(products: Tensor, share: float = 0.01) -> Tensor:
    """Products of inputs (d, d) in float64, with a share of their mean added to the diagonal, so that they can be solved."""
    wide = products.double()
    return wide + (share * wide.diagonal().mean() + 1e-10) * torch.eye(len(wide), dtype=torch.float64)


def factor(products: Tensor) -> Tensor:
    """The upper Cholesky factor of the inverse of damped products: (d, d). Its row j says how an error of input j is passed on."""
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(products)), upper=True)


def passed_on(weight: Tensor, by: Tensor, choose: Callable[[Tensor, int], Tensor], block: int = BLOCK) -> Tensor:
    """The weight (out, d) after every input had its turn, from the first to the last. by: what factor gives, (d, d).

    choose(w, j) gives what input j's weights become, (out,), from the weights as they stand: all of w[:, j:end] is up to date,
    where end is the next multiple of block.
    """
    return drained(passing_on(weight, by, choose, block))


def passing_on(weight: Tensor, by: Tensor, choose: Callable[[Tensor, int], Tensor], block: int = BLOCK) -> Generator[float, None, Tensor]:
    """passed_on, saying after each block which share of the inputs had its turn."""
    w = weight.clone()
    for start in range(0, w.shape[1], block):
        yield start / w.shape[1]
        end = min(start + block, w.shape[1])
        errors = torch.zeros(len(w), end - start, dtype=w.dtype)
        for j in range(start, end):
            value = choose(w, j)
            error = (w[:, j] - value) / by[j, j]
            w[:, j + 1 : end] -= error[:, None] * by[j, j + 1 : end]
            w[:, j], errors[:, j - start] = value, error
        w[:, end:] -= errors @ by[start:end, end:]
    return w


def output_error(change: Tensor, products: Tensor) -> Tensor:
    """Mean squared error of each output (out,) when its weights change so. change: (out, d). products: (d, d)."""
    return ((change @ products) * change).sum(1)
