"""Half of a trained network: the student keeps every other layer of its teacher, weights and all, and learns to do without the rest."""

import re
from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from compression.train.distil.signal import ALPHA, SIGNAL, TEMPERATURE
from compression.train.distil.students import DEPTH, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

RATE = 1e-3
BLOCK = re.compile(r"(.*\bblocks\.)(\d+)(\..*)")


def kept(student: nn.Module, teacher: nn.Module) -> tuple[dict[str, Tensor], int]:
    """The student's state with the teacher's tensors wherever name and shape fit, and how many of its numbers are the teacher's.

    Of a row of blocks every other one is kept: the student's second is the teacher's third (Sanh et al. 2019, section 3).
    """
    state, whole, count = dict(student.state_dict()), teacher.state_dict(), 0
    for name in state:
        found = BLOCK.fullmatch(name)
        there = f"{found[1]}{2 * int(found[2])}{found[3]}" if found else name
        if there in whole and whole[there].shape == state[name].shape:
            state[name], count = whole[there].clone(), count + state[name].numel()
    return state, count


def begun(task: Task, learnt: bool) -> nn.Module:
    """The student of half depth, with its teacher's layers or with random weights."""
    module = untrained(task.network, DEPTH, task.seed)
    if learnt:
        module.load_state_dict(kept(module, task.network.module)[0])
    return module


def run(task: Task, signal: str, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The half network from random weights, and from the teacher's layers without and with the teacher."""
    how = plan(task, epochs, RATE)
    steps = how.total(len(task.teach))
    lesson = Lesson(task.network.module, signal, temperature, alpha)
    new = Run(f"{words(DEPTH)}, random weights, taught by {signal}", steps, control=True)
    alone = Run(f"{words(DEPTH)}, its teacher's layers, without a teacher", steps, control=True)
    led = Run(f"{words(DEPTH)}, its teacher's layers, taught by {signal}", steps)

    def carry(run: Run, learnt: bool, lesson: Lesson | None):
        return partial(_carried, task, run, learnt, how, lesson)

    yield from in_turn(task.watch, [(new, carry(new, False, lesson)), (alone, carry(alone, True, None)), (led, carry(led, True, lesson))])


def _carried(task: Task, run: Run, learnt: bool, how, lesson: Lesson | None, runs: tuple[Run, ...]):
    return taught(task, run, begun(task, learnt), how, lesson, f"halved {learnt}")


def refuses(task: Task) -> str | None:
    """There must be a network of half depth, and layers that fit into it."""
    try:
        module = untrained(task.network, DEPTH, task.seed)
    except ValueError as refusal:
        return f"{refusal}."
    if not kept(module, task.network.module)[1]:
        return f"No layer of {task.network.title} fits into a network of half its depth. Take a deeper one."
    return None


PROCEDURE = Procedure(
    title="Every other layer",
    summary="The student is half of its teacher, trained weights and all, and is taught to do without the rest.",
    reference="Sanh et al. 2019 (DistilBERT), arXiv:1910.01108",
    survey="5.3",
    knobs=(SIGNAL, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((("epochs", 1),), (("epochs", 5),)),
    refuses=refuses,
    finding="A student that begins with its teacher's layers learns sooner than one that begins at random.",
)
