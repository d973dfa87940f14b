"""What each way of mending gives back for its time: repairs without training, each alone and together, beside a pass of fine-tuning."""

import time
from collections.abc import Iterator
from dataclasses import replace
from math import nan

from compression.apply import Compressed, compress
from compression.evaluate import skeleton
from compression.method import Knob
from compression.recipe import Recipe, step
from compression.registry import repairs
from compression.repair.click import suggested
from compression.repair.repaired import put
from compression.score import changed
from compression.train.loop import accuracy
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Point, Progress, Run, Trained
from compression.train.recover.fine_tune import RATE, tuned

EPOCHS = Knob("epochs", "Passes of fine-tuning", (1, 2, 3, 5), 1, "How often every training example is seen.")


def run(task: Task, epochs: int, rate: float) -> Iterator[Progress | None]:
    """One run for each repair, one for those that a click would choose together, and fine-tuning."""
    plain = replace(task.recipe, repairs=())
    start = compress(task.network, plain)
    together = suggested(task.network, plain)
    each = {known.title: (name,) for name, known in repairs().items()} | ({"those of one click": together} if len(together) > 1 else {})
    plan = Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs)
    tuning = Run("fine-tuning", plan.total(len(task.teach)))
    starts = [(Run(title, 1), lambda _, title=title, names=names: _repaired(task, start, Run(title, 1), names)) for title, names in each.items()]
    yield from in_turn(task.watch, [*starts, (tuning, lambda _: tuned(task, start, plan, tuning, "fine-tuned"))])


def _repaired(task: Task, start: Compressed, run: Run, names: tuple[str, ...]) -> Going:
    first = Point(0, 0.0, nan, _judged(task, start), True)
    run = replace(run, points=(first,))
    yield run
    begun = time.thread_time()
    done = compress(task.network, replace(start.recipe, repairs=names))
    seconds = time.thread_time() - begun
    seen = _judged(task, done)
    better = seen > first.accuracy
    return replace(run, points=(first, Point(1, seconds, nan, seen, better)), trained=Trained(task.network, done.recipe) if better else None)


def _judged(task: Task, done: Compressed) -> float:
    module = skeleton(done.network.module)
    put(module, changed(done, done.weights()))
    return accuracy(module, task.watch)


PROCEDURE = Procedure(
    title="Repairs and fine-tuning",
    summary="Points of accuracy won back for each second of work: every repair without training, those of one click, and fine-tuning.",
    reference="Nagel et al. 2021, A White Paper on Neural Network Quantization, arXiv:2106.08295; Han et al. 2015, arXiv:1506.02626",
    survey="3.1",
    knobs=(EPOCHS, RATE),
    run=run,
    shown_on="lenet-300-100",
    recipe=Recipe((step("pruning.magnitude", sparsity=0.9),)),
    finding="A repair without training wins most of the accuracy back in a fraction of the time; fine-tuning wins more in the end.",
)
