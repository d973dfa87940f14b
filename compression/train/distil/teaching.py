"""A student with its teacher: the model that is trained, its loss, what is traced on the way, and what comes of it."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.method import Knob
from compression.train.distil.features import Place, Seen, heads, inner, look, matched, stages
from compression.train.distil.losses import softened
from compression.train.distil.signal import SIGNALS, Told
from compression.train.loop import Loss, fit
from compression.train.plan import Plan, usual_batch
from compression.train.procedure import Going, Task, following
from compression.train.progress import Point, Run, Trained
from compression.train.results import result

EPOCHS = Knob("epochs", "Passes", (1, 2, 3, 5, 10, 20, 40), 5, "How often every training example is seen.")
PIECE = 250


class Pupil(nn.Module):
    """A student and what has to be learnt beside it only to compare it with its teacher; that is thrown away in the end."""

    def __init__(self, body: nn.Module, beside: nn.ModuleList | None = None) -> None:
        super().__init__()
        self.body, self.beside = body, beside if beside is not None else nn.ModuleList()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


class Lesson(NamedTuple):
    """What a teacher teaches, and how much it counts."""

    teacher: nn.Module
    signal: str
    temperature: float
    alpha: float
    said: str = ""  # of the teacher, in the key that a run is kept under
    change: Callable[[Tensor], Tensor] | None = None  # of its scores, before the student is shown them


class Likeness(NamedTuple):
    """How likely teacher and student find each class, softened by the temperature, by the class that is right. Watched examples."""

    by_teacher: Tensor  # (right class, class)
    by_student: Tensor  # (right class, class)


def plan(task: Task, epochs: int, rate: float = 3e-3) -> Plan:
    """How every student is trained: AdamW, one cycle, no augmentation."""
    return Plan("adamw", rate, 0.01, usual_batch(task.teach), epochs)


def taught(task: Task, run: Run, body: nn.Module, how: Plan, lesson: Lesson | None, key: str, *, teach: Data | None = None,
           finish: Callable[[nn.Module], Trained] | None = None, trace: Callable[[nn.Module], Mapping[str, float]] = lambda model: {},
           smoothing: float = 0.0, until: int = 0) -> Going:
    """Train a student with a teacher, or without one where lesson is None, from the same weights in the same order of examples.

    key: what else decides it. teach: examples other than the task's. finish: what comes of the student; a network of its own by default.
    until: stop after so many steps, in the middle of the plan; 0 goes to its end.
    """
    teach = teach or task.teach
    pupil, loss = (prepared(task, body, lesson, teach) if lesson else (Pupil(body), None))
    watched_by = scores(lesson.teacher, task.watch) if lesson else None

    latest: list[Tensor] = []  # the student's scores of the watched examples

    def traced() -> Mapping[str, float]:
        found = dict(trace(pupil.body))
        if lesson:
            latest[:] = [scores(pupil.body, task.watch)]
            found["agreement with the teacher (%)"] = 100 * float((latest[0].argmax(-1) == watched_by.argmax(-1)).double().mean())
        return found

    def pictured() -> Likeness | None:
        if not lesson:
            return None
        latest[:] = latest or [scores(pupil.body, task.watch)]
        return Likeness(*(by_class(x, task.watch, lesson.temperature) for x in (watched_by, latest[0])))

    said = (lesson.signal, lesson.temperature, lesson.alpha, lesson.said) if lesson else ("alone", smoothing)
    key = f"{key} {until}" if until else key
    points = fit(pupil, teach, task.watch, how, task.seed, loss or hard(smoothing), trace=traced, store=task.store,
                 key=task.key(key, how, teach.digest, *said))
    made = finish or (lambda model: result(task.network, inner(model), run.title))
    return (yield from following(run, cut(points, until), lambda: made(pupil.body), pictured))


def cut(points: Iterator[Point | None], until: int) -> Iterator[Point | None]:
    """The points of a training up to a step, or all; of what is cut off nothing is worked out."""
    for point in points:
        yield point
        if until and point is not None and point.step >= until:
            return


def hard(smoothing: float = 0.0) -> Loss:
    """Cross-entropy with the labels alone."""
    def loss(pupil: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(pupil(inputs).flatten(0, -2), labels.flatten(), label_smoothing=smoothing)

    return loss


def prepared(task: Task, body: nn.Module, lesson: Lesson, teach: Data) -> tuple[Pupil, Loss]:
    """The student with what its signal needs, and the loss. Raises ValueError where the signal does not fit the networks."""
    signal, example = SIGNALS[lesson.signal], task.watch.inputs[:3]
    ours: tuple[Place, ...] = ()
    theirs: tuple[Place, ...] = ()
    beside = nn.ModuleList()
    if signal.hidden:
        all_ours, all_theirs = stages(inner(body), example), stages(inner(lesson.teacher), example)
        pairs = matched(len(all_ours), len(all_theirs))
        if not pairs:
            raise ValueError(f"{signal.title} looks at hidden layers, and this student has none; let it have another signal, such as soft targets")
        ours, theirs = tuple(all_ours[i] for i, _ in pairs), tuple(all_theirs[j] for _, j in pairs)
    attending = [heads(inner(model)) if signal.attention else () for model in (body, lesson.teacher)]
    if signal.attention and not all(attending):
        raise ValueError(f"{signal.title} looks at attention, and {task.network.title} has no attention blocks; take another signal")
    if signal.hidden:
        seen = _unmoved(body, example, ours), _unmoved(lesson.teacher, example, theirs)
        told = Told(*(tuple(x.shape[1] for x in s.hidden) for s in seen), len(teach))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            beside = signal.learnt(told)
    lesson.teacher.eval()

    def loss(pupil: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            teacher = look(lesson.teacher, inputs, theirs, attending[1])
            teacher = teacher if lesson.change is None else teacher._replace(scores=lesson.change(teacher.scores))
        student = look(pupil.body, inputs, ours, attending[0])
        spoken = signal.measure(pupil.beside, student, teacher, lesson.temperature)
        return (1 - lesson.alpha) * F.cross_entropy(student.scores, labels.flatten()) + lesson.alpha * signal.scale * spoken

    return Pupil(body, beside), loss


def _unmoved(model: nn.Module, example: Tensor, places: tuple[Place, ...]) -> Seen:
    """What a model makes of an example, in eval mode, so that nothing in it changes."""
    was = model.training
    with torch.no_grad():
        seen = look(model.eval(), example, places)
    model.train(was)
    return seen


def scores(model: nn.Module, data: Data) -> Tensor:
    """Scores of all examples, in eval mode; of text one row for each character."""
    was = model.training
    with torch.no_grad():
        model.eval()
        found = torch.cat([model(part).flatten(0, -2) for part in data.inputs.split(PIECE)])
    model.train(was)
    return found


def by_class(scores: Tensor, data: Data, temperature: float) -> Tensor:
    """Mean softened probabilities of the examples of each right class: (right class, class); zeros for a class without examples."""
    probabilities, labels = softened(scores, temperature), data.labels.flatten()
    totals = torch.zeros(scores.shape[1], scores.shape[1]).index_add(0, labels, probabilities)
    return totals / labels.bincount(minlength=scores.shape[1]).clamp(min=1)[:, None]
