"""Which signal a teacher sends: of each its title, what it needs to see, what has to be learnt beside the student, and its loss.

All are added to cross-entropy in one way, (1 − α)·cross-entropy + α·scale·signal, so that they can be compared at one α. The scales
bring each to about the size that cross-entropy has; the papers tune them for each network.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compression.method import Knob
from compression.train.distil import losses
from compression.train.distil.features import Seen, alike, pooled

WIDE = 64  # dimensions in which contrasts are drawn


class Told(NamedTuple):
    """What the shapes of a matched pair of features tell a signal before training."""

    students: tuple[int, ...]  # channels of each matched place
    teachers: tuple[int, ...]
    among: int  # training examples


class Signal(NamedTuple):
    """One signal. measure(heads, student, teacher, temperature) is its loss."""

    title: str
    scale: float
    measure: Callable[[nn.ModuleList, Seen, Seen, float], Tensor]
    learnt: Callable[[Told], nn.ModuleList] = lambda told: nn.ModuleList()
    hidden: bool = False  # whether it looks at features
    attention: bool = False  # whether it looks at attention


class Gaussian(nn.Module):
    """What a student's features tell of a teacher's: a mean, and one variance for each channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(inputs, outputs, 1)
        self.spread = nn.Parameter(torch.full((outputs,), 0.5413))  # softplus of it is 1

    def variance(self) -> Tensor:
        return F.softplus(self.spread) + 1e-3


class Embeddings(nn.Module):
    """Both sides in one space, with how many examples there are to be told apart."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.student, self.teacher, self.among = nn.Linear(told.students[-1], WIDE), nn.Linear(told.teachers[-1], WIDE), told.among


def _regressors(told: Told) -> nn.ModuleList:
    """1 x 1 convolutions where the student's channels are not as many as the teacher's."""
    return nn.ModuleList(nn.Identity() if s == t else nn.Conv2d(s, t, 1) for s, t in zip(told.students, told.teachers, strict=True))


def _each(heads: nn.ModuleList, s: Seen, t: Seen, loss: Callable[[Tensor, Tensor], Tensor], which: str = "hidden") -> Tensor:
    """Mean of a loss over the matched places, the student's features brought to the teacher's channels."""
    pairs = [alike(head(x), y) for head, x, y in zip(heads, getattr(s, which), getattr(t, which), strict=True)]
    return torch.stack([loss(x, y) for x, y in pairs]).mean()


def _maps(heads: nn.ModuleList, s: Seen, t: Seen, temperature: float) -> Tensor:
    pairs = [alike(x, y) for x, y in zip(s.hidden, t.hidden, strict=True)]
    pairs = [(x, y) for x, y in pairs if x[0, 0].numel() > 1]
    if not pairs:
        raise ValueError("attention maps compare places, and the layers of this network have none; take another signal, such as similarity")
    return torch.stack([losses.attention(x, y) for x, y in pairs]).mean()


def _flows(heads: nn.ModuleList, s: Seen, t: Seen, temperature: float) -> Tensor:
    """From each matched place to the next, at the smallest height and width of all."""
    if len(s.hidden) < 2:
        raise ValueError("flow goes from one hidden layer to a later one, and this student has one; take another signal, such as hints")
    sides = [[head(x) for head, x in zip(heads, s.hidden, strict=True)], list(t.hidden)]
    smallest = tuple(min(x.shape[i] for side in sides for x in side) for i in (2, 3))
    ours, theirs = ([F.adaptive_max_pool2d(x, smallest) for x in side] for side in sides)
    return losses.flows(ours, theirs)


def _contrast(heads: nn.ModuleList, s: Seen, t: Seen, temperature: float) -> Tensor:
    both = heads[0]
    ours, theirs = F.normalize(both.student(pooled(s.hidden[-1])), dim=1), F.normalize(both.teacher(pooled(t.hidden[-1])), dim=1)
    return losses.contrast(ours, theirs, both.among)


def _information(heads: nn.ModuleList, s: Seen, t: Seen, temperature: float) -> Tensor:
    found = []
    for head, x, y in zip(heads, s.hidden, t.hidden, strict=True):
        mean, wanted = alike(head.mean(x), y)
        found.append(losses.information(mean, head.variance(), wanted))
    return torch.stack(found).mean()


def _last(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[nn.ModuleList, Seen, Seen, float], Tensor]:
    return lambda heads, s, t, temperature: loss(pooled(s.hidden[-1]), pooled(t.hidden[-1]))


def _attention(s: Seen, t: Seen) -> Tensor:
    """Mean over the student's attending layers, each beside the teacher's at its depth."""
    step = len(t.attention) / len(s.attention)
    return torch.stack([losses.attention_scores(x, t.attention[round((i + 1) * step) - 1]) for i, x in enumerate(s.attention)]).mean()


SIGNALS = MappingProxyType({
    "soft targets": Signal("Soft targets", 1.0, lambda h, s, t, temperature: losses.soft_targets(s.scores, t.scores, temperature)),
    "scores": Signal("Scores", 1.0, lambda h, s, t, temperature: losses.logits(s.scores, t.scores)),
    "hints": Signal("Hints", 1.0, lambda h, s, t, temperature: _each(h, s, t, losses.hint), _regressors, hidden=True),
    "attention maps": Signal("Attention maps", 10.0, _maps, hidden=True),
    "flow": Signal("Flow from layer to layer", 1.0, _flows, _regressors, hidden=True),
    "similarity": Signal("Similarity of examples", 100.0, lambda h, s, t, temperature: torch.stack(
        [losses.similarity(x, y) for x, y in zip(s.hidden, t.hidden, strict=True)]).mean(), hidden=True),
    "relations": Signal("Distances and angles", 10.0, _last(losses.relations), hidden=True),
    "correlation": Signal("Correlation of examples", 10.0, _last(losses.correlation), hidden=True),
    "contrast": Signal("Contrast", 0.1, _contrast, lambda told: nn.ModuleList([Embeddings(told)]), hidden=True),
    "information": Signal("Mutual information", 1.0, _information, lambda told: nn.ModuleList(
        [Gaussian(s, t) for s, t in zip(told.students, told.teachers, strict=True)]), hidden=True),
    "boundaries": Signal("Activation boundaries", 1.0, lambda h, s, t, temperature: _each(h, s, t, losses.boundaries, "before"),
                         _regressors, hidden=True),
    "hidden states": Signal("Hidden states (Patient KD)", 1.0, lambda h, s, t, temperature: _each(h, s, t, losses.patient), _regressors,
                            hidden=True),
    "attention": Signal("Hidden states and attention (TinyBERT)", 1.0, lambda h, s, t, temperature: (
        losses.soft_targets(s.scores, t.scores, temperature) + _each(h, s, t, losses.hint) + _attention(s, t)), _regressors,
        hidden=True, attention=True),
})
SIGNAL = Knob("signal", "Signal", tuple(SIGNALS), "soft targets",
              "What student and teacher should have in common beside right answers: probabilities, scores, features, or how examples compare.")
TEMPERATURE = Knob("temperature", "Temperature", (1.0, 2.0, 4.0, 8.0, 16.0), 4.0,
                   "Both networks' scores are divided by it before they become probabilities: the higher, the more the unlikely classes count.")
ALPHA = Knob("alpha", "Weight of the teacher", (0.1, 0.3, 0.5, 0.7, 0.9), 0.7, "α: the teacher's share of the loss; 1 − α is that of the labels.")
