"""Distil into what the recipe stores: a pruned or quantized network learns from the one it was made from, its file keeping its length."""

from collections.abc import Iterator

from compression.apply import compress
from compression.recipe import Recipe, step
from compression.train.distil.signal import ALPHA, SIGNAL, TEMPERATURE
from compression.train.distil.teaching import EPOCHS, Lesson, plan, taught
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.recover.fine_tune import stored
from compression.train.stored import Stored, trainable

RATE = 1e-3  # a network that was trained moves less than a new one


def run(task: Task, signal: str, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """Two runs from the recipe's network: tuned by labels alone, and with what it was made from as its teacher."""
    how, start = plan(task, epochs, RATE), compress(task.network, task.recipe)
    lesson = Lesson(task.network.module, signal, temperature, alpha)

    def tuned(run: Run, lesson: Lesson | None) -> Going:
        makers = {layer.name: Stored(start.encoded[layer.name]) for layer in start.network.layers if trainable(start.encoded[layer.name])}
        return taught(task, run, Made(start.network, makers), how, lesson, "compressed",
                      finish=lambda model: stored(start, model, run.title))

    steps = how.total(len(task.teach))
    alone, led = Run("compressed, fine-tuned without a teacher", steps, control=True), Run(f"compressed, taught by {signal}", steps)
    yield from in_turn(task.watch, [(alone, lambda _: tuned(alone, None)), (led, lambda _: tuned(led, lesson))])


def refuses(task: Task) -> str | None:
    """There must be something to recover from."""
    recipe = task.recipe
    if any((recipe.default, recipe.overrides, recipe.first)):
        return None
    return f"The recipe leaves {task.network.title} as it is, so that nothing is left to learn from it. Set a dial first."


PROCEDURE = Procedure(
    title="Distil into the compressed network",
    summary="What the recipe made learns from the network it was made from; zeros, codes and ranks are held, and the file keeps its length.",
    reference="Polino et al. 2018, arXiv:1802.05668; Mishra and Marr 2018, arXiv:1711.05852",
    survey="6.4",
    knobs=(SIGNAL, TEMPERATURE, ALPHA, EPOCHS),
    run=run,
    shown_on="lenet-300-100",
    recipe=Recipe((step("pruning.magnitude", sparsity=0.9), step("sharing.kmeans", bits=3))),
    study=((), (("signal", "scores"),), (("signal", "hints"),)),
    refuses=refuses,
    finding="A compressed network that is told its teacher's probabilities recovers more than one that is only told what is right.",
)
