"""A weight in full that is rounded by a rule of its own, the gradient passing straight through."""

from collections.abc import Callable

from torch import Tensor, nn

from compression.encoded import Encoded
from compression.train.quantized.levels import Straight


class Plain(nn.Module):
    """rule: how a weight is stored. The gradient is that of the full weight."""

    def __init__(self, full: Tensor, rule: Callable[[Tensor], Encoded]) -> None:
        super().__init__()
        self.full, self.rule = nn.Parameter(full.detach().clone()), rule

    def forward(self) -> Tensor:
        return Straight.apply(self.full, self.form().decode(), None)

    def form(self) -> Encoded:
        """What is stored now."""
        return self.rule(self.full.detach())
