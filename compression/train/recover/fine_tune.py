"""Train on what is stored: masks, codes and ranks are held, the numbers they leave free are trained, and the file keeps its length.

For a pruned network this is the retraining of Han et al. 2015, for shared weights the centroid tuning of Han et al. 2016.
"""

from collections.abc import Iterator

from compression.apply import Compressed, compress
from compression.method import Knob
from compression.recipe import Recipe, step
from compression.train.loop import fit
from compression.train.made import Made
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run, Trained
from compression.train.results import baked, result
from compression.train.stored import Stored, trainable

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20), 3, "How often every training example is seen.")
RATE = Knob("rate", "Learning rate", (1e-4, 3e-4, 1e-3, 3e-3), 1e-3, "Highest step size of AdamW; it rises and falls once.")


def run(task: Task, epochs: int, rate: float) -> Iterator[Progress | None]:
    """One run: the recipe's network, trained on."""
    plan = Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs)
    run = Run("fine-tuned", plan.total(len(task.teach)))
    yield from in_turn(task.watch, [(run, lambda _: tuned(task, compress(task.network, task.recipe), plan, run, "fine-tuned"))])


def tuned(task: Task, start: Compressed, plan: Plan, run: Run, words: str, key: str = "") -> Going:
    """Train the numbers that a compressed network stores, and its biases and normalisations."""
    makers = {layer.name: Stored(start.encoded[layer.name]) for layer in start.network.layers if trainable(start.encoded[layer.name])}
    model = Made(start.network, makers)
    points = fit(model, task.teach, task.watch, plan, task.seed, store=task.store, key=task.key("fine_tune", plan, start.recipe, key))
    return (yield from following(run, points, lambda: stored(start, model, words)))


def stored(start: Compressed, model: Made, words: str) -> Trained:
    """The network as it is now, its layers stored as before but for their numbers."""
    trained = {name: maker.form() for name, maker in zip(model.names, model.makers, strict=True)}
    kept = {name: form for name, form in start.encoded.items() if name not in trained and start.recipe.chain(name)}
    return result(start.network, baked(model, trained), words, trained | kept)


PROCEDURE = Procedure(
    title="Fine-tuning",
    summary="Trains on after any recipe: zeros stay zero, codes and ranks stay, only the stored numbers move. The file keeps its length.",
    reference="Han et al. 2015, arXiv:1506.02626; Han et al. 2016, arXiv:1510.00149, section 3.2",
    survey="3.1",
    knobs=(EPOCHS, RATE),
    run=run,
    shown_on="lenet-5",
    recipe=Recipe((step("pruning.magnitude", sparsity=0.9),)),
    study=tuple((("epochs", n),) for n in (1, 3, 10)),
    finding="Recovery shifts the cliff to the right: at 90 % sparsity most of what pruning took comes back.",
)
