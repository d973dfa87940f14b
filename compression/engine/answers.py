"""The likeliest answer of each variant to each example, the same as the plain path's even where two answers tie but for rounding."""

from typing import Any

import torch
from torch import Tensor

from compression.engine.choose import Engine
from compression.engine.plain import Pairs, Weights, installed, skeleton

CLOSE = 5e-6  # of an example's largest score: measured differences of rounding are ten times smaller


class Mismatch(AssertionError):
    """The quick path and the plain path gave different answers. It must not happen; the shadow check looks for it."""


class Answers:
    """An engine asked for answers instead of scores.

    Where the two best scores are closer than rounding can tell apart, the plain path is asked: with whole batches the answers
    are therefore its own, bit for bit. shadow: share of the calls after which the plain path is asked as well and compared.
    """

    def __init__(self, engine: Engine, shadow: float = 0.0, seed: int = 0) -> None:
        self.engine, self.shadow, self.seed = engine, shadow, seed
        self.plain = skeleton(engine.module)
        self.asked = self.checked = 0  # examples that the plain path answered again: ties, and the shadow check
        self._dice = torch.Generator().manual_seed(seed)

    def twin(self) -> "Answers":
        """Another one for another thread."""
        return Answers(self.engine.twin(), self.shadow, self.seed + 1)

    def changed(self, x: Tensor, record: Any, pairs: Pairs) -> Tensor:
        """Answers of each variant to its rows of the batch, one after another: int64 (sum of the rows, ...)."""
        with torch.inference_mode():
            scores = self.engine.changed(record, pairs)
            best = scores.argmax(-1)
            if not (self.engine.bitwise and pairs.rows is None):
                self._settle(x, pairs, scores, best)
            if self.shadow and float(torch.rand((), generator=self._dice)) < self.shadow:
                self._compare(x, pairs, scores, best)
        return best

    def _settle(self, x: Tensor, pairs: Pairs, scores: Tensor, best: Tensor) -> None:
        """Put the plain path's answer wherever the best score is not the best by more than rounding."""
        near = scores >= scores.amax(-1, keepdim=True) - CLOSE * scores.abs().amax(-1, keepdim=True)
        if int(near.sum()) == best.numel():
            return
        unclear = (near.sum(-1) != 1).flatten(1).any(1) if best.ndim > 1 else near.sum(-1) != 1
        start = 0
        for i, w in enumerate(pairs.weights):
            n = len(x) if pairs.rows is None else len(pairs.rows[i])
            mine = unclear[start : start + n]
            if mine.any():
                if pairs.rows is None:  # the whole batch again, so that its sums are rounded the same way
                    best[start : start + n] = self._plainly(w, x)
                else:
                    best[start : start + n][mine] = self._plainly(w, x[pairs.rows[i][mine]])
            start += n

    def _plainly(self, weights: Weights, x: Tensor) -> Tensor:
        self.asked += len(x)
        with installed(self.plain, weights):
            return self.plain(x).argmax(-1)

    def _compare(self, x: Tensor, pairs: Pairs, scores: Tensor, best: Tensor) -> None:
        start = 0
        for i, w in enumerate(pairs.weights):
            own = x if pairs.rows is None else x[pairs.rows[i]]
            with installed(self.plain, w):
                right = self.plain(own)
            self.checked += len(own)
            mine = slice(start, start + len(own))
            off = float((scores[mine] - right).abs().max() / right.abs().max().clamp(min=1e-30))
            differ = best[mine] != right.argmax(-1)
            margin = right.topk(2, -1).values.diff().squeeze(-1).abs()
            if off > 1e-3 or bool((differ & (margin > CLOSE * right.abs().amax())).any()):
                raise Mismatch(f"{', '.join(w)}: scores of the {self.engine.kind} engine are off by {off:.1e} of the largest, "
                               f"{int(differ.sum())} of {differ.numel()} answers differ from the plain path's")
            start += len(own)
