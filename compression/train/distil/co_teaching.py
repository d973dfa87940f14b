"""Co-teaching: of two students each picks the examples whose labels it finds likeliest, and the other learns from those."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.data import Data
from compression.method import Knob
from compression.train.distil.students import STUDENT, untrained
from compression.train.distil.teaching import EPOCHS, plan, scores, taught
from compression.train.distil.wrong_labels import WRONG, corrupted
from compression.train.loop import fit
from compression.train.plan import Plan
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run
from compression.train.results import result

GROWING = 0.2  # the first share of all steps, in which more and more is left out
LOOKED_AT = 1000  # training examples by which it is told how many of the labels picked are right
PICKED = "right among picked (%)"
FORGET = Knob("forget", "Left out", (0.5, 0.75, 1.0, 1.25), 1.0, "Of a batch in the end, as a multiple of the share of wrong labels, which is taken "
              "as known.")


class Pair(nn.Module):
    """Students that pick for one another, or one that picks for itself. It answers as the first."""

    def __init__(self, peers: list[nn.Module], total: int, forget: float) -> None:
        super().__init__()
        self.peers, self.total, self.forget = nn.ModuleList(peers), total, forget
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.peers[0](inputs)

    def kept(self, count: int) -> int:
        """How many of so many examples are picked now: all at first, in the end all but the forget rate (Han et al. 2018, algorithm 1)."""
        return max(1, round(count * (1 - self.forget * min(1.0, float(self.step) / max(1.0, GROWING * self.total)))))


def surest(answers: Tensor, labels: Tensor, count: int) -> Tensor:
    """Numbers of the examples with the least cross-entropy: (count,)."""
    return F.cross_entropy(answers.detach(), labels, reduction="none").argsort(stable=True)[:count]


def crossed(answers: list[Tensor], labels: Tensor, count: int) -> Tensor:
    """Each one's mean cross-entropy over what the one before it picked, summed. answers: (n, classes) each. One alone picks for itself."""
    picked = [surest(each, labels, count) for each in answers]
    return torch.stack([F.cross_entropy(mine[rows], labels[rows]) for mine, rows in zip(answers, picked[-1:] + picked[:-1], strict=True)]).sum()


def run(task: Task, student: str, wrong: float, forget: float, epochs: int) -> Iterator[Progress | None]:
    """One student on all labels, one that picks for itself, and two that pick for one another; curves are measured on right labels."""
    how, teach = plan(task, epochs), corrupted(task.teach, wrong, task.seed)
    steps = how.total(len(teach))
    alone, own = Run("learns from all", steps, control=True), Run("picks for itself", steps, control=True)
    two = Run("one of two, picked for", steps)
    share = min(0.95, forget * wrong)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, untrained(task.network, student, task.seed), how, None, student, teach=teach)),
        (own, lambda _: _picking(task, own, student, how, teach, 1, share)),
        (two, lambda _: _picking(task, two, student, how, teach, 2, share)),
    ])


def _picking(task: Task, run: Run, student: str, how: Plan, teach: Data, count: int, share: float) -> Going:
    pair = Pair([untrained(task.network, student, task.seed + i) for i in range(count)], run.steps, share)
    known, told = teach.inputs[:LOOKED_AT], teach.labels[:LOOKED_AT]
    right = told == task.teach.labels[:LOOKED_AT]

    def loss(model: Pair, inputs: Tensor, labels: Tensor) -> Tensor:
        return crossed([peer(inputs) for peer in model.peers], labels, model.kept(len(labels)))

    def after(step: int) -> None:
        pair.step.fill_(step)

    def trace() -> dict[str, float]:
        picked = surest(scores(pair, Data("looked at", "train", known, told, teach.classes, teach.kind)), told, pair.kept(len(told)))
        return {PICKED: 100 * float(right[picked].double().mean())}

    points = fit(pair, teach, task.watch, how, task.seed, loss, after=after, trace=trace, store=task.store,
                 key=task.key("co-teaching", student, how, teach.digest, count, share))
    return (yield from following(run, points, lambda: result(task.network, pair.peers[0], run.title)))


def refuses(task: Task) -> str | None:
    """An example needs one label."""
    return f"{task.network.title} reads characters, of which each has a label. Take a network of images." if task.teach.kind == "text" else None


PROCEDURE = Procedure(
    title="Co-teaching",
    summary="Some training labels are wrong. Of two students without a teacher each picks the examples whose labels it finds likeliest, and the "
            "other learns from those; beside one that picks for itself and one that hears all labels.",
    reference="Han et al. 2018, Co-teaching, arXiv:1804.06872",
    survey="5.1",
    knobs=(STUDENT, WRONG, FORGET, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=tuple((("student", "same"), ("wrong", x), ("epochs", 10)) for x in (0.4, 0.6)),
    refuses=refuses,
    finding="Networks learn right labels before wrong ones, so small losses tell them apart; two that pick for one another repeat fewer mistakes.",
    told=(PICKED,),
)
