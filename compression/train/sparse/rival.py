"""A way that finds for itself how many weights it needs, beside as many of the trained network's kept by magnitude and trained as long."""

from collections.abc import Callable, Iterator

from compression.train.made import Made
from compression.train.plan import Plan
from compression.train.procedure import Going, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import Masked, to_mask, train, without_least


def beside_magnitude(task: Task, words: str, plan: Plan, key: tuple[object, ...], learn: Callable[[Run], Going]) -> Iterator[Progress | None]:
    """Two runs. learn(run) carries out the first; what it ends with decides how many weights the control keeps."""
    net, steps = task.network.reference, plan.total(len(task.teach))
    own, control = Run(words, steps), Run("as many, by magnitude", steps, control=True)
    layers = to_mask(net)

    def by_magnitude(before: tuple[Run, ...]) -> Going:
        there = before[0].trained.network  # type: ignore[union-attr]
        left = sum(int(there.layer(layer.name).weight.count_nonzero()) for layer in layers)
        kept = without_least([layer.weight.abs() for layer in layers], sum(layer.weight.numel() for layer in layers) - left)
        model = Made(net, {layer.name: Masked(layer.weight, k) for layer, k in zip(layers, kept, strict=True)})
        return (yield from train(task, model, plan, control, (*key, left)))

    yield from in_turn(task.watch, [(own, lambda _: learn(own)), (control, by_magnitude)])
