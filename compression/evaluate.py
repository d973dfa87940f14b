"""How well a network does, beside the original: accuracy with its interval, paired flips, agreement, loss.

Both networks answer the same examples, so their difference is judged by the answers that changed (McNemar 1947), which needs
far fewer examples than two separate accuracies. Characters of one window of text are not independent: their intervals come
from the differences between windows.
"""

import copy
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from math import comb, sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from compression.data import Data
from compression.network import Network

Z = 1.959964  # two-sided 95 %
FIRST, REST = 256, 1024  # images in the first part, for a quick estimate, and in each later one
TEXT_FIRST, TEXT_REST = 16, 64  # windows of 128 characters


class Answers(NamedTuple):
    """What a network said to some examples; one row each, for text one column a character."""

    top: Tensor  # (n,) or (n, length) int64: the class or character it found likeliest
    confidence: Tensor  # the probability it gave to that
    loss: Tensor | None  # -ln of the probability it gave to the right one; None without labels


class Estimate(NamedTuple):
    """A share (0..1) or a difference of shares, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quality:
    """How a network answered n of `of` examples, and how that compares with the original network on the same ones."""

    data: str  # "Fashion-MNIST"
    split: str  # "validation"
    n: int  # examples: images, or windows of text
    of: int
    predictions: int  # n, or the characters in those windows
    accuracy: Estimate | None  # None without labels
    original: Estimate | None  # the original's accuracy on the same examples
    change: Estimate | None  # accuracy minus the original's, paired
    agreement: Estimate  # share of answers equal to the original's
    newly_wrong: int
    newly_right: int
    changed: int  # answers that differ from the original's, right or wrong
    chance: float | None  # exact two-sided sign test: how likely so uneven a split of flips is if both are equally good
    loss: float | None  # mean cross-entropy, nats
    original_loss: float | None
    estimated: bool = False  # counts are of all examples, but estimated from the n that were judged
    sampled: float = 0.0  # where estimated: how much of the half-width of the change comes from that

    @property
    def bits(self) -> float | None:
        """Loss in bits: per character for text."""
        return None if self.loss is None else self.loss / 0.6931471805599453

    @property
    def complete(self) -> bool:
        return self.n == self.of


class Progress(NamedTuple):
    """The state of an evaluation: the judgement so far, and both networks' answers, part by part."""

    quality: Quality
    rows: tuple[Tensor, ...]  # rows of the data, in the order judged
    old: tuple[Answers, ...]  # the original's
    new: tuple[Answers, ...]

    @property
    def places(self) -> Tensor:
        """All rows judged, (n,)."""
        return torch.cat(self.rows)

    @property
    def before(self) -> Answers:
        """The original's answers to them."""
        return join(self.old)

    @property
    def after(self) -> Answers:
        """The other network's answers to them."""
        return join(self.new)


def order(data: Data, seed: int = 0) -> Tensor:
    """The fixed order in which examples are judged: (n,) rows, shuffled, so that any beginning of it is a random sample."""
    return torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))


def parts(data: Data) -> list[Tensor]:
    """That order, cut into a small first part and larger later ones."""
    first, rest = (TEXT_FIRST, TEXT_REST) if data.kind == "text" else (FIRST, REST)
    rows = order(data)
    return [rows[:first], *rows[first:].split(rest)] if len(rows) > first else [rows]


def skeleton(module: nn.Module) -> nn.Module:
    """A copy of a module around the same tensors: functional_call swaps parameters for a moment, so each caller needs its own."""
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)


def ask(module: nn.Module, weights: Mapping[str, Tensor] | None, data: Data, rows: Tensor) -> Answers:
    """The answers of a module, with some of its weights replaced by name, to some rows of the data."""
    with torch.inference_mode():
        scores = module(data.inputs[rows]) if not weights else functional_call(module, dict(weights), (data.inputs[rows],))
        if scores.ndim not in (2, 3):
            raise ValueError(f"the network answers with {tuple(scores.shape)}; expected scores (examples, classes)")
        logs = F.log_softmax(scores.float(), -1)
        best = logs.max(-1)
        loss = None if data.labels is None else -logs.gather(-1, data.labels[rows][..., None]).squeeze(-1)
    return Answers(best.indices, best.values.exp(), loss)


def evaluate(network: Network, weights: Mapping[str, Tensor] | None, data: Data,
             dense: MutableMapping[Any, Answers] | None = None) -> Iterator[Progress]:
    """Judge a network part by part, against its reference; the last Progress covers all examples.

    weights: what replaces the original's, by parameter name. dense: where the original's answers are kept, so that they are
    computed once. May run in several threads at once.
    """
    dense = {} if dense is None else dense
    module, reference = skeleton(network.module), skeleton(network.reference.module)
    rows: tuple[Tensor, ...] = ()
    old: tuple[Answers, ...] = ()
    new: tuple[Answers, ...] = ()
    for i, part in enumerate(parts(data)):
        key = (network.reference.digest, data.digest, i)
        first = dense.get(key)
        if first is None:
            first = dense[key] = ask(reference, None, data, part)
        rows, old = (*rows, part), (*old, first)
        new = (*new, ask(module, weights, data, part) if weights or network.origin else first)
        yield Progress(judge(data, torch.cat(rows), join(old), join(new)), rows, old, new)


def join(answers: tuple[Answers, ...]) -> Answers:
    """Answers to several parts as one."""
    losses = [a.loss for a in answers if a.loss is not None]
    return Answers(torch.cat([a.top for a in answers]), torch.cat([a.confidence for a in answers]),
                   torch.cat(losses) if losses else None)


def judge(data: Data, rows: Tensor, before: Answers, after: Answers) -> Quality:
    """Compare two sets of answers to the same rows."""
    same = (before.top == after.top).double()
    common = dict(data=data.name, split=data.split, n=len(rows), of=len(data), predictions=before.top.numel(),
                  agreement=share(same), changed=int(same.numel() - same.sum()))
    if data.labels is None:
        return Quality(**common, accuracy=None, original=None, change=None, newly_wrong=0, newly_right=0, chance=None,
                       loss=None, original_loss=None)
    truth = data.labels[rows]
    was, now = (before.top == truth).double(), (after.top == truth).double()
    wrong, right = int((was > now).sum()), int((now > was).sum())
    return Quality(**common, accuracy=share(now), original=share(was), change=_difference(now - was),
                   newly_wrong=wrong, newly_right=right, chance=sign_test(wrong, right) if was.ndim == 1 else None,
                   loss=float(after.loss.mean()), original_loss=float(before.loss.mean()))


def share(hits: Tensor) -> Estimate:
    """A share of answers (n,) or (n, length), true or false.

    Wilson's interval (1927) for independent examples; for text (windows, characters), the spread between windows.
    """
    if hits.ndim == 1:
        n, p = len(hits), float(hits.double().mean())
        middle, half = (p + Z * Z / (2 * n)) / (1 + Z * Z / n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return Estimate(p, max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half)))
    value, low, high = _difference(hits)
    return Estimate(value, max(0.0, low), min(1.0, high))


def _difference(change: Tensor) -> Estimate:
    """Mean of paired differences, each -1, 0 or 1, with 1.96 standard errors; over windows for text."""
    each = change.double().flatten(1).mean(1) if change.ndim > 1 else change.double()
    half = Z * float(each.std(correction=0)) / sqrt(len(each))
    value = float(each.mean())
    return Estimate(value, value - half, value + half)


def sign_test(wrong: int, right: int) -> float:
    """Exact two-sided probability of a split at least as uneven, if each flip were as likely one way as the other."""
    n, fewer = wrong + right, min(wrong, right)
    if n > 1000:  # the normal limit is good to four digits there
        return float(torch.special.erfc(torch.tensor((n - 2 * fewer - 1) / sqrt(2 * n), dtype=torch.float64).clamp(min=0)))
    return min(1.0, 2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n)
