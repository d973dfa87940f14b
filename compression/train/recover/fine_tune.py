"""Train on what is stored: masks, codes and ranks are held, the numbers they leave free are trained, and the file keeps its length.

For a pruned network this is the retraining of Han et al. 2015, for shared weights the centroid tuning of Han et al. 2016.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from compression.apply import Compressed, compress
from compression.method import Knob
from compression.recipe import Recipe, step
from compression.train.distil.losses import soft_targets
from compression.train.loop import Loss, fit
from compression.train.made import Made
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run, Trained
from compression.train.results import baked, result
from compression.train.stored import Stored, trainable

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20), 3, "How often every training example is seen.")
TAUGHT = Knob("taught", "Taught by", ("labels", "soft targets"), "labels",
              "Labels, or the probabilities that the network gave before the recipe (temperature 1), which need no label.")
IMAGES = Knob("images", "Images", ("as they are", "flipped", "flipped and shifted"), "as they are",
              "Flipped left to right in half of all cases; shifted by up to 2 pixels. Other data than grey images comes as it is.")
RATE = Knob("rate", "Learning rate", (1e-4, 3e-4, 1e-3, 3e-3), 1e-3, "Highest step size of AdamW; it rises and falls once.")


def planned(task: Task, epochs: int, rate: float, images: str) -> Plan:
    """AdamW without decay, a batch as usual, images changed as the dial says."""
    return Plan("adamw", rate, 0.0, usual_batch(task.teach), epochs, flip=images != "as they are", shift=2 if images == "flipped and shifted" else 0)


def told(task: Task, taught: str) -> Loss | None:
    """The loss of the dial: None for labels; else how far from what the task's network says of the same inputs (Hinton et al. 2015, T = 1)."""
    if taught == "labels":
        return None

    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            said = task.network.module(inputs).flatten(0, -2)
        return soft_targets(model(inputs).flatten(0, -2), said, 1.0)

    return loss


def run(task: Task, epochs: int, taught: str, images: str, rate: float) -> Iterator[Progress | None]:
    """One run: the recipe's network, trained on."""
    plan = planned(task, epochs, rate, images)
    run = Run("fine-tuned", plan.total(len(task.teach)))
    yield from in_turn(task.watch, [(run, lambda _: tuned(task, compress(task.network, task.recipe), plan, run, "fine-tuned", taught=taught))])


def tuned(task: Task, start: Compressed, plan: Plan, run: Run, words: str, key: str = "", taught: str = "labels") -> Going:
    """Train the numbers that a compressed network stores, and its biases and normalisations."""
    makers = {layer.name: Stored(start.encoded[layer.name]) for layer in start.network.layers if trainable(start.encoded[layer.name])}
    model = Made(start.network, makers)
    points = fit(model, task.teach, task.watch, plan, task.seed, told(task, taught), store=task.store,
                 key=task.key("fine_tune", plan, start.recipe, taught, key))
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
    knobs=(EPOCHS, TAUGHT, IMAGES, RATE),
    run=run,
    shown_on="lenet-5",
    recipe=Recipe((step("pruning.magnitude", sparsity=0.9),)),
    study=tuple((("epochs", n),) for n in (1, 3, 10)),
    finding="Recovery shifts the cliff to the right: at 90 % sparsity most of what pruning took comes back.",
)
