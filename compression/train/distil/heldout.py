"""A class that the student never sees: what the teacher says of the other examples is all it learns about it."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor, nn

from compression.data import Data
from compression.method import Knob
from compression.train.distil.signal import ALPHA, TEMPERATURE
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, Lesson, plan, scores, taught
from compression.train.procedure import Procedure, Task, in_turn
from compression.train.progress import Progress, Run

CLASS = Knob("held_out", "Class left out", tuple(range(10)), 3, "No example of this class is shown to the student.")
SHARP = Knob("temperature", TEMPERATURE.label, TEMPERATURE.ladder, 8.0, TEMPERATURE.help)
STRONG = Knob("alpha", ALPHA.label, ALPHA.ladder, 0.9, ALPHA.help)


def without(data: Data, which: int) -> Data:
    """The examples of all other classes."""
    kept = data.labels != which
    return replace(data, inputs=data.inputs[kept], labels=data.labels[kept])


def found(answers: Tensor, labels: Tensor, which: int) -> tuple[float, float]:
    """Share of a class's examples that are recognized, as the network is, and with its score raised until it is answered often enough.

    Often enough: for as many examples as there are of it. (Hinton et al. 2015, section 3, raise the bias likewise.) Scores (n, classes).
    """
    others = answers.clone()
    others[:, which] = float("-inf")
    lead = answers[:, which] - others.max(1).values
    here = labels == which
    if not here.any():
        return 0.0, 0.0
    least = lead.topk(int(here.sum())).values[-1]
    return float((lead[here] > 0).double().mean()), float((lead[here] >= least).double().mean())


def run(task: Task, student: str, held_out: int, temperature: float, alpha: float, epochs: int) -> Iterator[Progress | None]:
    """The student without a teacher and with one, neither shown the class."""
    classes = task.watch.classes
    if held_out >= len(classes):
        raise ValueError(f"{task.network.title} knows {len(classes)} classes; there is no class {held_out}")
    how, teach = plan(task, epochs), without(task.teach, held_out)
    steps = how.total(len(teach))

    def trace(model: nn.Module) -> dict[str, float]:
        as_is, raised = found(scores(model, task.watch), task.watch.labels, held_out)
        return {f"{classes[held_out]} recognized (%)": 100 * as_is, f"{classes[held_out]} recognized, its score raised (%)": 100 * raised}

    def begun() -> nn.Module:
        return untrained(task.network, student, task.seed)

    alone = Run(f"{words(student)} that never saw {classes[held_out]}, without a teacher", steps, control=True)
    led = Run(f"{words(student)} that never saw {classes[held_out]}, taught by soft targets", steps)
    lesson = Lesson(task.network.module, "soft targets", temperature, alpha)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, begun(), how, None, f"held out {student}", teach=teach, trace=trace)),
        (led, lambda _: taught(task, led, begun(), how, lesson, f"held out {student}", teach=teach, trace=trace)),
    ])


def refuses(task: Task) -> str | None:
    """There must be classes of examples."""
    return f"{task.network.title} predicts characters, of which every example has many. Take a network that tells classes." \
        if task.teach.kind == "text" else None


PROCEDURE = Procedure(
    title="A class never seen",
    summary="One class is left out of the student's examples; the teacher's soft targets on the others still tell of it.",
    reference="Hinton et al. 2015, arXiv:1503.02531, section 3",
    survey="5.0",
    knobs=(STUDENT, CLASS, SHARP, STRONG, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="digits-mlp",
    study=((("epochs", 20),), (("epochs", 20), ("temperature", 2.0)), (("epochs", 20), ("held_out", 8))),
    refuses=refuses,
    finding="A student learns a class it has never seen: raise that class's score, and it recognizes most of its examples.",
)
