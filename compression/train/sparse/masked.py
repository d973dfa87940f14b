"""What sparse training shares: weights under a mask, networks before any training, and one run of a masked network.

Only layers with a matrix or kernel are masked; biases and normalisations are trained as usual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from compression.encoded import Encoded
from compression.method import Knob, Layer
from compression.network import Network
from compression.network import network as as_network
from compression.places import sparse
from compression.train.distil.students import SAME, architecture, untrained
from compression.train.loop import Loss, fit
from compression.train.made import Made
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Task, following
from compression.train.progress import NOTHING, Run, Trained
from compression.train.results import baked, result

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "How often every training example is seen in each training.")
RATE = Knob("rate", "Learning rate", (3e-4, 1e-3, 3e-3, 1e-2), 3e-3, "Highest step size of AdamW; it rises and falls once.")
SPARSITY = Knob("sparsity", "Sparsity", (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99), 0.95, "Share of weights that are zero in the end.")
LEFT = "weights left (%)"


class Maker(Protocol):
    """What gives a layer's weight while it is trained and says how it is stored."""

    def __call__(self) -> Tensor: ...
    def form(self) -> Encoded: ...


class Masked(nn.Module):
    """A weight that is zero outside of a mask; the mask may be changed between steps."""

    def __init__(self, full: Tensor, kept: Tensor | None = None) -> None:
        super().__init__()
        self.full = nn.Parameter(full.detach().clone())
        self.register_buffer("kept", torch.ones(full.shape, dtype=torch.bool) if kept is None else kept.reshape(full.shape).clone())

    def forward(self) -> Tensor:
        return torch.where(self.kept, self.full, 0.0)

    def form(self) -> Encoded:
        """The kept weights and their places, in whichever way takes fewer bytes."""
        return sparse(self().detach(), self.kept.flatten())


class Survivors(NamedTuple):
    """Where the weights are that are left."""

    layers_left: Tensor  # (layers,) share of each layer's weights, %
    looked_at: Tensor  # (height, width) weights left at each input, where inputs are pictures


def survivors(network: Network, kept: Sequence[Tensor]) -> Survivors:
    """A picture of masks (out, in, *kernel) in the order of a network's layers."""
    shape = network.example.shape if network.example is not None else torch.Size()
    inputs = torch.zeros(0, 0)
    if len(shape) == 4 and kept and kept[0].ndim == 2 and kept[0].shape[1] == shape[-1] * shape[-2]:
        inputs = kept[0].sum(0).reshape(shape[-2:]).float()
    return Survivors(torch.tensor([100 * float(k.float().mean()) for k in kept]), inputs)


def usual(task: Task, epochs: int, rate: float) -> Plan:
    """AdamW without decay, a batch as usual."""
    return Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs)


def to_mask(network: Network) -> list[Layer]:
    """Layers with a matrix or kernel."""
    return [layer for layer in network.layers if layer.weight.ndim > 1 and layer.weight.numel()]


def sized(network: Network) -> str | None:
    """Why there is nothing to mask, or None."""
    return None if to_mask(network) else f"{network.title} has no layer with a matrix or kernel, so there is nothing to make sparse."


def fresh(task: Task, seed: int) -> Network:
    """The task's network before any training, as a seed draws it."""
    return begun(task, untrained(task.network.reference, SAME, seed))


def begun(task: Task, module: nn.Module) -> Network:
    """A module from which training begins, as a network with the task's data."""
    reference = task.network.reference
    return as_network("begun", reference.title, module.eval(), reference.data, reference.example)


def no_beginning(task: Task) -> str | None:
    """Why a network cannot be started anew, or there is nothing to mask; None where it can."""
    known = architecture(task.network.reference)
    lost = [] if known else [type(part).__name__ for part in task.network.reference.module.modules()
                             if next(part.parameters(recurse=False), None) is not None and not hasattr(part, "reset_parameters")
                             and not hasattr(part, "_reset_parameters")]
    if lost:
        return (f"This begins before any training, and how {lost[0]} in {task.network.title} draws its first weights is not known: "
                "give the part a method reset_parameters(), or take a network that ships.")
    return sized(task.network)


def makers(model: Made) -> list[Any]:
    """What makes the model's weights."""
    return list(model.makers)


def left(model: Made) -> dict[str, float]:
    """Share of the masked layers' weights that are left, for a curve; nothing of a model without masks."""
    kept = [m.kept for m in model.makers]
    return {LEFT: 100 * sum(int(k.sum()) for k in kept) / sum(k.numel() for k in kept)} if kept else {}


def forms(model: Made) -> dict[str, Encoded]:
    """How the layers that the model makes are stored, by name."""
    return {name: cast(Maker, maker).form() for name, maker in zip(model.names, model.makers, strict=True)}


def train(task: Task, model: Made, plan: Plan, run: Run, key: tuple[object, ...], *, loss: Loss | None = None, seed: int | None = None,
          after: Callable[[int], None] = lambda step: None, trace: Callable[[], Mapping[str, float]] | None = None,
          picture: Callable[[], Any] = lambda: None, at_end: bool = False) -> Going:
    """One training as a run; what is judged is what is stored. at_end: the network is that of the last step, not of the best point."""
    points = fit(model, task.teach, task.watch, plan, task.seed if seed is None else seed, loss, after=after,
                 trace=trace or (lambda: left(model) or NOTHING), store=task.store, key=task.key(*key, plan, run.title))
    if not at_end:
        return (yield from following(run, points, lambda: _made(task, model, run.title), picture))
    run = yield from following(run, (p and p._replace(best=False) for p in points), lambda: _made(task, model, run.title), picture)
    return replace(run, points=(*run.points[:-1], run.points[-1]._replace(best=True)), trained=_made(task, model, run.title))


def _made(task: Task, model: Made, words: str) -> Trained:
    stored = forms(model)
    return result(task.network, baked(model, stored), words, stored)


def without_least(scores: Sequence[Tensor], count: int) -> list[Tensor]:
    """Masks that lack the count least of all scores, by size over all tensors; of equal scores the first go."""
    flat = torch.cat([s.flatten() for s in scores])
    kept = torch.ones(len(flat), dtype=torch.bool)
    kept[flat.argsort(stable=True)[:count]] = False
    return [part.reshape(s.shape) for part, s in zip(kept.split([s.numel() for s in scores]), scores, strict=True)]
