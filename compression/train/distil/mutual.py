"""Deep mutual learning: students without a teacher learn together, each from the labels and from what the others answer."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.method import Knob
from compression.train.distil.losses import soft_targets
from compression.train.distil.students import STUDENT, untrained, words
from compression.train.distil.teaching import EPOCHS, plan, scores, taught
from compression.train.loop import fit
from compression.train.procedure import Going, Procedure, Task, following, in_turn
from compression.train.progress import Progress, Run
from compression.train.results import result

PEERS = Knob("peers", "Peers", (2, 3, 4), 2, "How many students learn together.")
LESSON = Knob("lesson", "They learn from", ("each other", "their mean"), "each other",
              "What each is told beside the labels: every other one's probabilities, or those of all scores' mean.")


class Cohort(nn.Module):
    """Students side by side. It answers as the first."""

    def __init__(self, peers: list[nn.Module]) -> None:
        super().__init__()
        self.peers = nn.ModuleList(peers)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.peers[0](inputs)


def mutual(answers: list[Tensor], labels: Tensor, lesson: str) -> Tensor:
    """The sum over peers of cross-entropy and of KL(what it is told ‖ what it answers), a mean over the others. Scores (n, classes) each.

    Zhang et al. 2018, arXiv:1706.00384, equations 3 to 6; what a peer is told carries no gradient.
    """
    fixed = [x.detach() for x in answers]
    mean = torch.stack(fixed).mean(0)
    total = torch.zeros(())
    for i, mine in enumerate(answers):
        told = [mean] if lesson == "their mean" else [x for j, x in enumerate(fixed) if j != i]
        total = total + F.cross_entropy(mine, labels) + torch.stack([soft_targets(mine, other, 1.0) for other in told]).mean()
    return total


def run(task: Task, student: str, peers: int, lesson: str, epochs: int) -> Iterator[Progress | None]:
    """One student alone, and the same one among its peers, which begin from other random weights."""
    how = plan(task, epochs)
    steps = how.total(len(task.teach))
    alone = Run(f"{words(student)}, alone", steps, control=True)
    together = Run(f"{words(student)}, one of {peers} that learn together", steps)
    yield from in_turn(task.watch, [
        (alone, lambda _: taught(task, alone, untrained(task.network, student, task.seed), how, None, student)),
        (together, lambda _: _together(task, together, student, peers, lesson, how)),
    ])


def _together(task: Task, run: Run, student: str, peers: int, lesson: str, how) -> Going:
    cohort = Cohort([untrained(task.network, student, task.seed + i) for i in range(peers)])

    def loss(model: Cohort, inputs: Tensor, labels: Tensor) -> Tensor:
        return mutual([peer(inputs).flatten(0, -2) for peer in model.peers], labels.flatten(), lesson)

    def trace() -> dict[str, float]:
        labels = task.watch.labels.flatten()
        answers = [scores(peer, task.watch) for peer in cohort.peers]
        return {"right answers of all peers' mean (%)": 100 * float((torch.stack(answers).mean(0).argmax(-1) == labels).double().mean())}

    key = task.key("mutual", student, peers, lesson, how)
    points = fit(cohort, task.teach, task.watch, how, task.seed, loss, trace=trace, store=task.store, key=key)
    return (yield from following(run, points, lambda: result(task.network, cohort.peers[0], run.title)))


PROCEDURE = Procedure(
    title="Mutual learning",
    summary="Students without a teacher learn together, each from the labels and from what the others answer.",
    reference="Zhang et al. 2018, arXiv:1706.00384; Guo et al. 2020 (KDCL, the mean of all)",
    survey="5.4",
    knobs=(STUDENT, PEERS, LESSON, EPOCHS),
    run=run,
    uses_recipe=False,
    shown_on="lenet-300-100",
    study=((), (("peers", 4),), (("lesson", "their mean"),)),
    finding="Students that learn together do better than one that learns alone, although none of them knew anything.",
)
