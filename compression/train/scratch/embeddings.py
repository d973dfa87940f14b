"""Tied embeddings: what a character goes in by is also what it is answered by, one matrix in the place of two."""

from collections.abc import Callable, Iterator
from math import log
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.method import Knob
from compression.train.distil.students import architecture
from compression.train.distil.teaching import scores
from compression.train.made import Made
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.scratch.beside import EPOCHS, NUMBERS, RATE, counted
from compression.train.sparse.masked import begun, train
from compression.zoo.attention import CharGPT
from compression.zoo.data import alphabet
from compression.zoo.recurrent import CharLSTM

HEADS = 2  # of the Transformer, so that every even width can be built
BITS = "bits per character"
WIDTH = Knob("width", "Width", (16, 32, 64, 128), 64, "Numbers that stand for a character, on its way in and where it is answered.")


def lstm(width: int, tied: bool) -> nn.Module:
    """Reads and answers at one width (Inan et al. 2016; Press and Wolf 2017). Embeddings begin small enough to be answered by."""
    module = CharLSTM(len(alphabet()), width, width)
    nn.init.normal_(module.embed.weight, std=width**-0.5)
    if tied:
        module.head.weight = module.embed.weight
    return module


def gpt(width: int, tied: bool) -> nn.Module:
    """The shipped Transformer at any even width, which is tied; or with an output matrix of its own."""
    module = CharGPT(len(alphabet()), width, heads=HEADS)
    if not tied:
        module.head.weight = nn.Parameter(torch.empty_like(module.embed.weight).normal_(std=0.02))
    return module


KINDS: MappingProxyType[str, tuple[Callable[[int, bool], nn.Module], int]] = MappingProxyType({"char-lstm": (lstm, 1), "char-gpt": (gpt, HEADS)})


def built(kind: str, width: int, tied: bool, seed: int) -> nn.Module:
    """A network of that kind as a seed draws it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return KINDS[kind][0](width, tied)


def untied_width(kind: str, width: int) -> int:
    """The widest network whose two matrices are its own and that has no more numbers than the tied one of that width."""
    most = counted(built(kind, width, True, 0))
    return max(w for w in range(KINDS[kind][1], width + 1, KINDS[kind][1]) if counted(built(kind, w, False, 0)) <= most)


def bits(answers: Tensor, labels: Tensor) -> float:
    """Mean of -log2 of the probability given to the character that came. answers: (places, symbols), labels: (places,)."""
    return float(F.cross_entropy(answers, labels)) / log(2)


def refuses(task: Task) -> str | None:
    """Why there is nothing to tie, or None."""
    if architecture(task.network.reference) not in KINDS:
        return f"{task.network.title} does not answer with the symbols that it reads. Take one of the character networks that ship."
    return None


def run(task: Task, width: int, epochs: int, rate: float) -> Iterator[Progress | None]:
    """Tied; untied and as wide; untied and so much narrower that it has as many numbers."""
    kind, plan = architecture(task.network.reference) or "", Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs)
    steps, same = plan.total(len(task.teach)), untied_width(kind, width)

    def go(words: str, of: int, tied: bool) -> tuple[Run, Callable[[tuple[Run, ...]], Going]]:
        model, run = Made(begun(task, built(kind, of, tied, task.seed)), {}), Run(words, steps, control=not tied)

        def trace() -> dict[str, float]:
            return {BITS: bits(scores(model, task.watch), task.watch.labels.flatten()), NUMBERS: float(counted(model))}

        return run, lambda _: train(task, model, plan, run, ("embeddings", kind, of, tied), trace=trace)

    yield from in_turn(task.watch, [go(f"tied, width {width}", width, True), go(f"untied, width {width}", width, False),
                                    go(f"untied, width {same}", same, False)])


PROCEDURE = Procedure(
    title="Tied embeddings",
    summary="Trains a character network whose output matrix is its embedding, beside one with two matrices, as wide, and a narrower one with as "
            "many numbers. All are of the kind on screen; the recipe is left aside.",
    reference="Inan et al. 2016, arXiv:1611.01462; Press and Wolf 2017, arXiv:1608.05859",
    survey="2",
    knobs=(WIDTH, EPOCHS, RATE),
    run=run,
    uses_recipe=False,
    shown_on="char-lstm",
    study=tuple((("width", w),) for w in (32, 64)),
    refuses=refuses,
    finding="Word models become smaller and better at once when tied: most of their numbers are embeddings; characters are few.",
    terms=(("tied", "One matrix under two names: its gradient is the sum of both uses."), (BITS, "How surprised a model is by text, on average.")),
    told=(BITS, NUMBERS),
)
