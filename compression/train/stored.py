"""Training what is stored: the real numbers in a stored form are moved, the whole numbers (places, codes) stay.

The mask, the assignment to codebook entries, the grid and the ranks are held, so the file keeps its length to the byte. A codebook
entry's gradient is the sum over the weights that share it, which is the centroid tuning of Han et al. 2016 (arXiv:1510.00149,
section 3.2); thin factors are trained as they are; of evenly spaced levels the scales are.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from compression.encoded import Encoded


class Known:
    """A part of a form that training leaves alone, decoded once."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def decode(self) -> Tensor:
        return self.values


class Stored(nn.Module):
    """A weight decoded from a form whose real numbers are learnt. Raises ValueError where no gradient reaches one of them."""

    def __init__(self, form: Encoded) -> None:
        super().__init__()
        self.original = form
        self.numbers = nn.ParameterList(nn.Parameter(x.detach().float().clone()) for x in floats(form))
        self.quick = _quick(form)
        with torch.enable_grad():
            if not len(self.numbers) or not self().requires_grad:
                raise ValueError(f"{type(form).__name__} stores nothing that can be trained with the rest held")

    def forward(self) -> Tensor:
        return with_floats(self.quick, [_rounded(p, x.dtype) for p, x in zip(self.numbers, floats(self.original), strict=True)]).decode()

    def form(self) -> Encoded:
        """What is stored now: the same codes and places, the numbers as trained."""
        return with_floats(self.original, [p.detach().to(x.dtype).clone() for p, x in zip(self.numbers, floats(self.original), strict=True)])


def _rounded(number: Tensor, dtype: torch.dtype) -> Tensor:
    """A number as it will be stored, with the gradient of the number itself (straight through)."""
    return number if dtype == torch.float32 else number + (number.to(dtype).float() - number).detach()


def floats(tree: Encoded) -> list[Tensor]:
    """The tensors of real numbers in a form, in the order of its fields."""
    found: list[Tensor] = []
    _visit(tree, lambda x: found.append(x) or x)
    return found


def with_floats(tree: Encoded, numbers: list[Tensor]) -> Encoded:
    """The same form with those numbers in their order."""
    there = iter(numbers)
    return _visit(tree, lambda _: next(there))


def _visit(tree: Encoded, change: Callable[[Tensor], Tensor]) -> Encoded:
    parts: dict[str, Any] = {}
    for name, part in tree.parts():
        if isinstance(part, Encoded):
            parts[name] = _visit(part, change)
        elif isinstance(part, tuple) and any(isinstance(x, Encoded) for x in part):
            parts[name] = tuple(_visit(x, change) if isinstance(x, Encoded) else x for x in part)
        elif isinstance(part, Tensor) and part.is_floating_point():
            parts[name] = change(part)
    return replace(tree, **parts) if parts else tree  # type: ignore[type-var]


def _quick(tree: Encoded) -> Encoded:
    """The same form with every part that holds no real number decoded once."""
    parts: dict[str, Any] = {}
    for name, part in tree.parts():
        if isinstance(part, Encoded):
            parts[name] = _quick(part) if floats(part) else Known(part.decode())
    return replace(tree, **parts) if parts else tree  # type: ignore[type-var]


def trainable(form: Encoded) -> bool:
    """Whether a form stores real numbers that reach the weight."""
    try:
        Stored(form)
    except ValueError:
        return False
    return True
