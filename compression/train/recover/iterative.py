"""Prune a little, train on, prune a little more: the rounds of Han et al. 2015, beside pruning all at once with as many passes."""

from collections.abc import Iterator
from dataclasses import replace
from math import isfinite

from compression.apply import compress, up_to
from compression.method import Knob
from compression.network import Network
from compression.recipe import Override, Recipe, Step, step
from compression.registry import dial, method
from compression.train.loop import fit
from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Point, Progress, Run
from compression.train.recover.fine_tune import IMAGES, RATE, TAUGHT, planned, stored, told, tuned
from compression.train.results import baked, result
from compression.train.stored import Stored, trainable

ROUNDS = Knob("rounds", "Rounds", (2, 3, 5, 8, 12), 5, "How many times it prunes and trains on.")
EPOCHS = Knob("epochs", "Passes a round", (1, 2, 3, 5), 1, "How often every training example is seen between two prunings.")
LAST = Knob("last", "Passes at the end", (0, 1, 2, 3, 5, 10, 20, 40, 80), 5,
            "More passes when the last round has pruned: with none, what is kept in the end has been trained for one round alone.")
SCHEDULE = Knob("schedule", "Schedule", ("geometric", "cubic"), "geometric",
                "Geometric: each round takes the same share of what is left (Han). Cubic: much at first, little at the end (Zhu and Gupta).")


def run(task: Task, rounds: int, epochs: int, last: int, schedule: str, taught: str, images: str, rate: float) -> Iterator[Progress | None]:
    """Two runs of as many steps: in rounds, and all at once."""
    plan = planned(task, epochs, rate, images)
    whole = replace(plan, epochs=epochs * rounds + last)
    steps = whole.total(len(task.teach))
    slowly, at_once = Run(f"in {rounds} rounds", steps), Run("at once", steps, control=True)
    yield from in_turn(task.watch, [
        (slowly, lambda _: _in_rounds(task, slowly, rounds, schedule, plan, last, taught)),
        (at_once, lambda _: tuned(task, compress(task.network, task.recipe), whole, at_once, "pruned at once", "at once", taught)),
    ])


def _in_rounds(task: Task, run: Run, rounds: int, schedule: str, plan: Plan, more: int, taught: str) -> Going:
    net, step, seconds = task.network, 0, 0.0
    for i in range(1, rounds + 1):
        last = i == rounds
        recipe = task.recipe if last else milder(up_to(task.recipe, "sparsity"), i / rounds, schedule)
        start = compress(net, recipe)
        makers = {layer.name: Stored(start.encoded[layer.name]) for layer in start.network.layers if trainable(start.encoded[layer.name])}
        model = Made(start.network, makers)
        now = replace(plan, epochs=plan.epochs + more) if last else plan
        key = task.key("iterative", now, rounds, schedule, taught, i)
        for point in fit(model, task.teach, task.watch, now, task.seed + i, told(task, taught), store=task.store, key=key):
            if point is None:
                yield None
                continue
            left = 100 * _left(model)
            moved = Point(step + point.step, seconds + point.seconds, point.loss, point.accuracy, last and point.best, {"weights left (%)": left})
            trained = stored(start, model, f"pruned in {rounds} rounds") if moved.best else run.trained
            run = replace(run, points=(*run.points, moved), trained=trained)
            yield run
        step, seconds = run.points[-1].step, run.points[-1].seconds
        net = _plain(start.network, model)
    return run


def _plain(network: Network, model: Made) -> Network:
    """The network as trained so far, its layers no longer stored, to be pruned anew."""
    return result(network, baked(model), "between rounds").network


def _left(model: Made) -> float:
    """Share of the made weights that are not zero."""
    weights = [maker().detach() for maker in model.makers]
    return sum(int(w.count_nonzero()) for w in weights) / max(1, sum(w.numel() for w in weights))


def milder(recipe: Recipe, share: float, schedule: str) -> Recipe:
    """The recipe with every sparsity moved to where a schedule stands after a share of the rounds, on the nearest rung.

    Geometric: what is left is (1 - s) to the power of the share (Han et al. 2015). Cubic: s (1 - (1 - share)³) (Zhu and Gupta 2017,
    arXiv:1710.01878, eq. 1).
    """
    def moved(s: Step) -> Step:
        if dial(s.method) != "sparsity" or "sparsity" not in dict(s.knobs):
            return s
        target = s["sparsity"]
        now = 1 - (1 - target) ** share if schedule == "geometric" and target < 1 else target * (1 - (1 - share) ** 3)
        ladder = [v for v in method(s.method).knob("sparsity").ladder if isinstance(v, int | float) and isfinite(v)]
        return Step(s.method, tuple((k, min(ladder, key=lambda v: abs(v - now)) if k == "sparsity" else v) for k, v in s.knobs), s.on)

    return replace(recipe, default=tuple(map(moved, recipe.default)),
                   overrides=tuple(Override(o.pattern, tuple(map(moved, o.steps)), o.whole) for o in recipe.overrides))


def prunes(task: Task) -> str | None:
    """Why there is nothing to prune in rounds."""
    there = any(dial(s.method) == "sparsity" for layer in task.network.layers for s in task.recipe.chain(layer.name))
    return None if there else "The recipe on screen prunes nothing, so there is nothing to prune in rounds: set a sparsity first."


DEEP = Recipe((step("pruning.magnitude", sparsity=0.99),))
HAN = Recipe(overrides=tuple(Override(layer, (step("pruning.magnitude", sparsity=s),)) for layer, s in  # Han et al. 2015, table 3
                             (("fc1", 0.92), ("fc2", 0.91), ("fc3", 0.74))))
PATIENT = (("epochs", 5), ("last", 40), ("schedule", "cubic"), ("taught", "soft targets"), ("images", "flipped"))

PROCEDURE = Procedure(
    title="Iterative pruning",
    summary="Prunes in rounds and trains on after each, until the recipe's sparsity is reached; then what is stored is trained longer. "
            "Beside it: pruned at once, with as many passes in all.",
    reference="Han et al. 2015, arXiv:1506.02626; Zhu and Gupta 2017, arXiv:1710.01878",
    survey="3.1",
    knobs=(ROUNDS, EPOCHS, LAST, SCHEDULE, TAUGHT, IMAGES, RATE),
    run=run,
    shown_on="lenet-300-100",
    recipe=DEEP,
    study=((("last", 10),), (("last", 0), ("epochs", 3)), (("last", 10),), PATIENT),
    begins=(DEEP, DEEP, replace(DEEP, default=(step("pruning.magnitude", sparsity=0.97),)), HAN),
    refuses=prunes,
    finding="Iterative pruning beats pruning at once, with as many passes, where much goes; on MNIST LeNet-300-100 loses nothing with 8, 9 and 26 % "
            "of its layers' weights.",
)
