"""A deep equilibrium model: one block applied until its output no longer changes, trained through that point and not through the passes."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from compression.method import Knob
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.scratch.beside import EPOCHS, RATE, beside, plainly
from compression.train.scratch.beside import refuses as without_rival
from compression.train.scratch.tied import repeated

PASSES = Knob("passes", "Passes", (4, 6, 8, 12, 16, 24), 8, "Of the block, towards its equilibrium; as many for the gradient.")


class Equilibrium(nn.Module):
    """Gives z = norm(block(z + x)), found from 0 by so many passes. x, z: (n, tokens, width).

    The gradient is that of the equilibrium (Bai et al. 2019, theorem 1): the backward pass solves g = v + J'g by passes as well, J
    being the derivative of one pass there, so that no pass has to be remembered.
    """

    def __init__(self, block: nn.Module, width: int, passes: int) -> None:
        super().__init__()
        self.block, self.norm, self.passes = block, nn.LayerNorm(width), passes

    def once(self, z: Tensor, x: Tensor) -> Tensor:
        """One pass."""
        return self.norm(self.block(z + x))

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            z = self.once(torch.zeros_like(x), x)
            for _ in range(self.passes - 1):
                z = self.once(z, x)
            return z
        with torch.no_grad():
            z = torch.zeros_like(x)
            for _ in range(self.passes - 1):
                z = self.once(z, x)
        z = self.once(z, x)
        z.register_hook(solved(lambda at: self.once(at, x.detach()), z.detach(), self.passes))
        return z


def solved(once: Callable[[Tensor], Tensor], z: Tensor, passes: int) -> Callable[[Tensor], Tensor]:
    """What turns a gradient v at an equilibrium z of once() into the solution of g = v + J'g, by so many passes."""
    at = z.requires_grad_()
    with torch.enable_grad():
        after = once(at)

    def solve(v: Tensor) -> Tensor:
        g = v
        for _ in range(passes):
            g = v + torch.autograd.grad(after, at, g, retain_graph=True)[0]
        return g

    return solve


def in_equilibrium(module: nn.Module, passes: int) -> nn.Module:
    """The same module with its repeated blocks replaced by one in equilibrium."""
    (path, first), *_ = repeated(module)[0]
    above, _, _ = path.rpartition(".")
    width = next(p for p in first.modules() if isinstance(p, nn.LayerNorm)).normalized_shape[0]
    for part in first.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # with other noise in every pass there is no equilibrium
    parent, _, last = above.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Sequential(Equilibrium(first, width, passes)))
    return module


def refuses(task: Task) -> str | None:
    """Why there is no block to bring to equilibrium, or None."""
    runs = repeated(task.network.reference.module)
    if len(runs) != 1 or not any(isinstance(part, nn.LayerNorm) for part in runs[0][0][1].modules()):
        return f"{task.network.title} is not one sequence of like Transformer blocks, of which one could be brought to equilibrium."
    return without_rival(task)


def run(task: Task, passes: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """In equilibrium; narrower with as many numbers; and all blocks their own."""
    yield from beside(task, f"one block, {passes} passes to equilibrium", plainly, epochs, rate, "equilibrium", passes,
                      change=lambda module: in_equilibrium(module, passes))


PROCEDURE = Procedure(
    title="Deep equilibrium",
    summary="Trains one block that is applied until its output no longer changes, with the gradient of that point. Beside it a narrower plain "
            "network with as many numbers, and the plain one. The recipe on screen is left aside.",
    reference="Bai et al. 2019, Deep Equilibrium Models, arXiv:1909.01377",
    survey="2.3",
    knobs=(PASSES, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="vit",
    study=((("passes", 8), ("epochs", 3)),),
    refuses=refuses,
    finding="One block in equilibrium answers like many blocks, with one block's weights and memory, and takes longer.",
    terms=(("equilibrium", "A value that one more pass of the block leaves as it is."),),
)
