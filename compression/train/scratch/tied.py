"""Blocks that share their weights: one set, applied again and again, as in the Universal Transformer, ALBERT and recursive convolutions."""

from collections.abc import Iterator
from itertools import pairwise

from torch import nn

from compression.method import Knob
from compression.train.procedure import Procedure, Task
from compression.train.progress import Progress
from compression.train.scratch.beside import EPOCHS, RATE, beside, plainly
from compression.train.scratch.beside import refuses as without_rival

WHAT = Knob("shared", "Shared", ("whole blocks", "all but the MLP", "only the MLP"), "whole blocks",
            "Whole blocks: one block applied again and again. Batch normalisations stay their own, as each pass has other statistics.")
NORMS = nn.modules.batchnorm._BatchNorm


def repeated(module: nn.Module) -> list[list[tuple[str, nn.Module]]]:
    """Blocks that follow one another and are alike, by name: of one kind, with weights of the same shapes, which have parts."""
    found: list[list[tuple[str, nn.Module]]] = []
    for name, parent in module.named_modules():
        if isinstance(parent, nn.Sequential | nn.ModuleList):
            here = [(f"{name}.{child}" if name else child, block) for child, block in parent.named_children() if list(block.children())]
            runs = [here[:1]] if here else []
            for (_, before), (path, block) in pairwise(here):
                (runs[-1].append((path, block)) if _alike(before, block) else runs.append([(path, block)]))
            found += [run for run in runs if len(run) > 1]
    return found


def _alike(one: nn.Module, two: nn.Module) -> bool:
    shapes = [{name: p.shape for name, p in block.named_parameters()} for block in (one, two)]
    return type(one) is type(two) and bool(shapes[0]) and shapes[0] == shapes[1]


def tie(module: nn.Module, what: str) -> nn.Module:
    """The same module with the first of each run of blocks in the others' places, in part or whole. Raises ValueError where none is there."""
    tied = 0
    for (_, first), *others in repeated(module):
        for name, part in [(n, p) for n, p in first.named_modules() if n and next(p.parameters(recurse=False), None) is not None]:
            in_mlp = name.split(".")[0] == "mlp"
            if isinstance(part, NORMS) or (what == "all but the MLP" and in_mlp) or (what == "only the MLP" and not in_mlp):
                continue
            for _, block in others:
                above, _, last = name.rpartition(".")
                setattr(block.get_submodule(above), last, part)
                tied += 1
    if not tied:
        raise ValueError(f"with {what} shared nothing would be: the repeated blocks have no such part; take whole blocks")
    return module


def refuses(task: Task) -> str | None:
    """Why there are no blocks to share, or None."""
    if not repeated(task.network.reference.module):
        return f"{task.network.title} has no blocks that follow one another and are alike, so there is nothing to apply again."
    return without_rival(task)


def run(task: Task, shared: str, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Tied; narrower with as many numbers; and all blocks their own."""
    yield from beside(task, f"{shared} shared", plainly, epochs, rate, "tied", shared, change=lambda module: tie(module, shared))


PROCEDURE = Procedure(
    title="Shared blocks",
    summary="Trains a network whose repeated blocks are one block, applied again and again. Beside it a narrower plain network with as many "
            "numbers, and the plain one. The recipe on screen is left aside.",
    reference="Dehghani et al. 2018, Universal Transformers, arXiv:1807.03819; Lan et al. 2019, ALBERT, arXiv:1909.11942; Eigen et al. 2013, "
              "arXiv:1312.1847 (recursive convolutions)",
    survey="2.3",
    knobs=(WHAT, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="vit",
    study=((("shared", "whole blocks"), ("epochs", 3)), (("shared", "all but the MLP"), ("epochs", 3)), (("shared", "only the MLP"), ("epochs", 3))),
    refuses=refuses,
    finding="Shared blocks lose little against blocks of their own and beat a narrower network; sharing attention costs least, the MLP most.",
    terms=(("shared blocks", "Blocks at several depths with one set of weights, stored once and computed as often as before."),),
)
