"""Variational student: weights of a small network learn how much noise they can take while a teacher tells it what to answer."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.train.distil.losses import soft_targets
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import ANY, STUDENT, untrained, words
from compression.train.loop import Loss
from compression.train.made import Made
from compression.train.procedure import Going, Procedure, Task, in_turn
from compression.train.progress import Progress, Run
from compression.train.sparse.masked import EPOCHS, RATE, begun, sized, to_mask, train, usual
from compression.train.sparse.variational import PROCEDURE as ALONE
from compression.train.sparse.variational import Noisy, bound, cuts, dial


def led(teacher: nn.Module, temperature: float, alpha: float) -> Loss:
    """(1 − alpha) cross-entropy with the labels and alpha times soft targets, in nats; with alpha 0 the teacher is not asked."""
    def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        answers = model(inputs).flatten(0, -2)
        hard = F.cross_entropy(answers, labels.flatten())
        if not alpha:
            return hard
        with torch.no_grad():
            told = teacher(inputs).flatten(0, -2)
        return (1 - alpha) * hard + alpha * soft_targets(answers, told, temperature)

    return loss


def run(task: Task, student: str, temperature: float, alpha: float, weight: float, threshold: int, epochs: int,
        rate: float) -> Iterator[Progress | None]:
    """The same student with the same noise at first, without a teacher and with one."""
    plan, key = usual(task, epochs, rate), ("variational_student", student, temperature, weight, threshold)
    steps, teacher = plan.total(len(task.teach)), task.network.reference.module

    def learn(run: Run, alpha: float, _: tuple[Run, ...]) -> Going:
        net = begun(task, untrained(task.network.reference, student, task.seed))
        model = Made(net, {layer.name: Noisy(layer.weight, threshold) for layer in to_mask(net)})
        model.register_buffer("warm", torch.zeros(()))

        def after(step: int) -> None:
            model.warm.fill_(min(1.0, 2 * step / steps))

        loss = bound(model, weight, len(task.teach), led(teacher, temperature, alpha))
        done = yield from train(task, model, plan, run, (*key, alpha), loss=loss, after=after, trace=partial(cuts, model), at_end=True)
        return replace(done, picture=dial(model, task.watch))

    alone = Run(f"variational {words(student)}, without a teacher", steps, control=True)
    taught = Run(f"variational {words(student)}, taught by soft targets", steps)
    yield from in_turn(task.watch, [(alone, partial(learn, alone, 0.0)), (taught, partial(learn, taught, alpha))])


PROCEDURE = Procedure(
    title="Variational student",
    summary="A student is told softened answers while every weight has noise of its own; weights that drown in it go, so that it ends small and "
            "sparse. Beside it the same student and the same noise without a teacher.",
    reference="Hegde et al. 2019, Variational Student, arXiv:1910.12061; the noise: Molchanov et al. 2017, arXiv:1701.05369",
    survey="5.6",
    knobs=(
        replace(STUDENT, ladder=(*STUDENT.ladder, *ANY), default="half width"), TEMPERATURE, ALPHA,
        replace(ALONE.knob("weight"), default=0.1), ALONE.knob("threshold"),
        replace(EPOCHS, default=20, help="How often every training example is seen; the prior comes in over the first half."), RATE,
    ),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((),),
    refuses=lambda task: sized(task.network.reference),
    finding="With a teacher as many weights go, or more, and the student answers better than with noise alone, most where examples are few.",
    terms=ALONE.terms,
)
