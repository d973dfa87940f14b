"""The likeliest answer of each variant to each example, the same as the plain path's even where two answers tie but for rounding."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from compression.engine.choose import Engine
from compression.engine.graph import Graph
from compression.engine.linear import BFLOAT16
from compression.engine.plain import Pairs, Weights, installed, skeleton
from compression.engine.screen import Screen
from compression.evaluate import Answers as Told

CLOSE = 5e-6  # of an example's largest score: differences by rounding are 3e-7 (root mean square), the largest of 100,000 up to 6e-6
CLOSER = 1e-6  # the same between two runs of the plain path, in batches of different sizes: mostly none at all


class Mismatch(AssertionError):
    """The quick path and the plain path gave different answers. It must not happen; the shadow check looks for it."""


class Answers:
    """An engine asked for answers instead of scores.

    Where the two best scores are closer than rounding can tell apart, the plain path is asked: with whole batches the answers
    are therefore its own. shadow: share of the calls after which the plain path is asked as well and compared. screened: scans
    may ask roughly first, where this processor does that sooner (see screen.py).
    """

    def __init__(self, engine: Engine, shadow: float = 0.0, seed: int = 0, screened: bool = True) -> None:
        self.engine, self.shadow, self.seed, self.screened = engine, shadow, seed, screened
        self.plain = skeleton(engine.module)
        self.asked = self.checked = 0  # examples that the plain path answered again: ties, and the shadow check
        self._alike: dict[tuple[int, int], bool] = {}  # by examples of a batch, and asked alone: whether plain gives them the same scores
        self._dice = torch.Generator().manual_seed(seed)
        self._screen: Screen | None = None  # made when first of use

    def twin(self) -> "Answers":
        """Another one for another thread."""
        return Answers(self.engine.twin(), self.shadow, self.seed + 1, self.screened)

    def changed(self, x: Tensor, record: Any, pairs: Pairs, many: bool = False) -> Tensor:
        """Answers of each variant to its rows of the batch, one after another: int64 (sum of the rows, ...).

        many: the same variants will be asked about many more whole batches, so that trying out how to ask them pays. It does not
        in adaptive scans, which ask about a few hundred examples, most of them doubtful: measured, they take longer.
        """
        with torch.inference_mode():
            screen = self.screen() if many else None
            scores, rough = screen.changed(record, pairs) if screen else (self.engine.changed(record, pairs), None)
            best = self._best(x, pairs, scores, rough is None)
            if self.shadow and float(torch.rand((), generator=self._dice)) < self.shadow:
                self._compare(x, pairs, scores, best, rough)
        return best

    def screen(self) -> Screen | None:
        """The screen of this engine; None where it was not asked for, or bfloat16 does not serve, as on processors without it."""
        if self._screen is None and self.screened and BFLOAT16:
            try:
                self._screen = Screen(self.engine) if isinstance(self.engine, Graph) else None
            except RuntimeError:  # an operation without bfloat16, or more than one answer to an example
                self._screen = None
            self.screened = self._screen is not None
        return self._screen

    def told(self, x: Tensor, record: Any, pairs: Pairs, labels: Tensor | None) -> Told:
        """Answers of one variant to its rows, with its confidence in them and its loss; labels: of the whole batch."""
        with torch.inference_mode():
            scores = self.engine.changed(record, pairs)
            best = self._best(x, pairs, scores)
            if self.shadow and float(torch.rand((), generator=self._dice)) < self.shadow:
                self._compare(x, pairs, scores, best, None)
            return told(scores, best, labels if labels is None or pairs.rows is None else labels[pairs.rows[0]])

    def as_it_is(self, x: Tensor, labels: Tensor | None) -> Told:
        """Answers of the network without a change."""
        with torch.inference_mode():
            scores = self.engine.scores(x)
            return told(scores, scores.argmax(-1), labels)

    def _best(self, x: Tensor, pairs: Pairs, scores: Tensor, exact: bool = True) -> Tensor:
        """The likeliest answers: the plain path's wherever the best score is not the best by more than rounding."""
        if self.engine.bitwise and pairs.rows is None and exact:
            return scores.argmax(-1)
        top, best = scores.max(-1, keepdim=True)
        largest = torch.maximum(top, -scores.amin(-1, keepdim=True))
        near, best = scores >= torch.sub(top, largest, alpha=CLOSE), best.squeeze(-1)
        if int(torch.count_nonzero(near)) != best.numel():
            self._settle(x, pairs, near, best)
        return best

    def _settle(self, x: Tensor, pairs: Pairs, near: Tensor, best: Tensor) -> None:
        """Put the plain path's answer in every place where more than one score is near the best."""
        unclear = (near.sum(-1) != 1).flatten(1).any(1) if best.ndim > 1 else near.sum(-1) != 1
        start = 0
        for i, w in enumerate(pairs.weights):
            n = len(x) if pairs.rows is None else len(pairs.rows[i])
            mine = unclear[start : start + n]
            if mine.any():
                own = torch.arange(n) if pairs.rows is None else pairs.rows[i]
                said = self._plainly(w, x[own[mine]])
                best[start : start + n][mine] = said.argmax(-1)
                if pairs.rows is None and not mine.all() and self._shaky(said, n):
                    whole = self._plainly(w, x)  # so that its sums are rounded the same way
                    self._alike.setdefault((n, len(said)), torch.equal(whole[mine], said))
                    best[start : start + n] = whole.argmax(-1)
            start += n

    def _shaky(self, said: Tensor, n: int) -> bool:
        """Whether the plain path's answers, asked of some examples, may differ from its answers to the whole batch of n."""
        alike = self._alike.get((n, len(said)))
        two = said.topk(2, -1).values
        return alike is None or (not alike and bool((two[..., 0] - two[..., 1] <= CLOSER * said.abs().amax(-1)).any()))

    def _plainly(self, weights: Weights, x: Tensor) -> Tensor:
        self.asked += len(x)
        with installed(self.plain, weights):
            return self.plain(x)

    def _compare(self, x: Tensor, pairs: Pairs, scores: Tensor, best: Tensor, rough: Tensor | None) -> None:
        start = 0
        for i, w in enumerate(pairs.weights):
            own = x if pairs.rows is None else x[pairs.rows[i]]
            with installed(self.plain, w):
                right = self.plain(own)
            self.checked += len(own)
            mine = slice(start, start + len(own))
            apart = (scores[mine] - right).abs() if rough is None else (scores[mine] - right).abs()[~rough[mine]]
            off = float(apart.amax() / right.abs().max().clamp(min=1e-30)) if apart.numel() else 0.0
            differ = best[mine] != right.argmax(-1)
            margin = right.topk(2, -1).values.diff().squeeze(-1).abs()
            if off > 1e-3 or bool((differ & (margin > CLOSE * right.abs().amax())).any()):
                raise Mismatch(f"{', '.join(w)}: scores of the {self.engine.kind} engine are off by {off:.1e} of the largest, "
                               f"{int(differ.sum())} of {differ.numel()} answers differ from the plain path's")
            start += len(own)


def told(scores: Tensor, best: Tensor, labels: Tensor | None) -> Told:
    """Answers from scores (n, ..., classes), with the probability of each, and the loss where the right ones are known."""
    logs = F.log_softmax(scores.float(), -1)
    loss = None if labels is None else -logs.gather(-1, labels[..., None]).squeeze(-1)
    return Told(best.clone(), logs.gather(-1, best[..., None]).squeeze(-1).exp().clone(), None if loss is None else loss.clone())
