"""Accuracy of a whole recipe while the dial moves: a first number with its interval from a few examples, then a narrower one, then all.

Each step is a small piece of work, so that a caller who has a newer recipe just stops asking. Examples come from the strata of
the original's margin; the values before the first changed layer are kept between recipes that do not touch them.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.data import Data
from compression.engine import sampling
from compression.engine.answers import Answers
from compression.engine.plain import Pairs
from compression.engine.sampling import Counts, Design
from compression.engine.scan import Original
from compression.evaluate import Answers as Told
from compression.evaluate import join

FIRST = 256  # images before the first number
TEXT_FIRST = 16  # windows


@dataclass(frozen=True, eq=False)
class Live:
    """What is known of a recipe after n of `of` examples."""

    drop: float  # accuracy lost, share of answers; without labels, answers changed
    half: float  # half-width of its 95 % interval; 0 when all examples were judged
    accuracy: float | None  # the original's on all examples less the drop; None without labels
    original: float | None
    n: int
    of: int
    newly_wrong: int  # among the n judged, which are not a plain sample: more of them where the original was unsure
    newly_right: int
    rows: Tensor  # (n,) judged, in order
    told: Told  # the recipe's answers to them
    strata: NDArray[np.int64]  # (n,) the stratum of each

    @property
    def complete(self) -> bool:
        return self.n == self.of

    @property
    def low(self) -> float:
        return self.drop - self.half

    @property
    def high(self) -> float:
        return self.drop + self.half


def live(fast: Answers, weights: Mapping[str, Tensor], data: Data, first: Original, design: Design, piece: int = 64,
         kept: MutableMapping[Any, Any] | None = None, base: tuple[str, Mapping[str, Tensor]] = ("", {}),
         rewritten: bool = False) -> Iterator[Live | None]:
    """Judge changed weights, by parameter name: None after each piece of work until the first number, then ever better ones.

    first: of the network that counts as the original; rewritten: that is not the engine's, so answers may differ without changes.
    piece: examples in one step. kept: a mapping of the caller's for values before the first changed layer, with `base`: the key
    and the weights of the recipe it is kept for, of which `weights` differ in some layers only (nothing: the original).
    """
    names = frozenset(n for n, w in weights.items() if w is not base[1].get(n, fast.plain.get_parameter(n)))
    seen = _Seen(data, first, design)
    if not weights and not rewritten:
        yield seen.nothing_changed()
        return
    begin = sampling.start(design, min(len(data), TEXT_FIRST if data.kind == "text" else FIRST))
    wanted = begin
    while True:
        for part in seen.draw(wanted, piece):
            rows = torch.from_numpy(np.array([design.order[h][k] for h, k in part]))
            x = data.inputs[rows]
            labels = None if data.labels is None else data.labels[rows]
            if names:
                key = (base[0], names, data.digest, tuple(rows.tolist()))
                record = _record(fast, x, names, base, kept if wanted is begin else None, key)
                told = fast.told(x, record, Pairs([weights], None, names), labels)
            else:
                told = fast.as_it_is(x, labels) if rewritten else first.told(rows)
            seen.count(part, rows, told)
            yield None if wanted is begin and not seen.covers(begin) else seen.live()
        if (seen.counts.n[0] == design.sizes).all():
            return
        judged = sampling.judge(seen.counts, design)
        wanted = sampling.more(seen.counts, judged, design, np.array([True]), least=4 * piece)[0]


def _record(fast: Answers, x: Tensor, names: frozenset[str], base: tuple[str, Mapping[str, Tensor]], kept: Any, key: Any) -> Any:
    """What comes before the changed layers, for the first pieces out of what is kept, under all that it depends on."""
    if kept is None:
        return fast.engine.record(x, [names], base[1])
    if key not in kept:
        kept[key] = fast.engine.record(x, [names], base[1])
    return kept[key]


class _Seen:
    """The counts of one recipe, as a table of one cell."""

    def __init__(self, data: Data, first: Original, design: Design) -> None:
        self.data, self.first, self.design = data, first, design
        strata = len(design.order)
        self.counts = Counts(np.zeros((1, strata), np.int64), np.zeros((1, strata)), np.zeros((1, strata)))
        self.flips = [0, 0]
        self.rows: list[Tensor] = []
        self.told: list[Told] = []
        self.strata: list[NDArray[np.int64]] = []
        self.original = None if data.labels is None else float((first.answers == data.labels).double().mean())

    def covers(self, wanted: Any) -> bool:
        return bool((self.counts.n[0] >= wanted).all())

    def draw(self, wanted: Any, piece: int) -> Iterator[Any]:
        """(stratum, place) of the examples to come, all strata in each piece."""
        lists = [(h, k) for h, (a, b) in enumerate(zip(self.counts.n[0].tolist(), wanted.tolist())) for k in range(a, b)]
        every = np.array(lists).reshape(-1, 2)
        pieces = max(1, -(-len(every) // piece))
        mixed = np.concatenate([every[i::pieces] for i in range(pieces)])
        for i in range(0, len(mixed), piece):  # of one size, for which the processor's library is then prepared
            yield mixed[i : i + piece]

    def count(self, part: Any, rows: Tensor, told: Told) -> None:
        was, answers = self.first.answers[rows], told.top
        if self.data.labels is None:
            change = (answers != was).double()
        else:
            truth = self.data.labels[rows]
            change = (was == truth).double() - (answers == truth).double()
            self.flips[0] += int((change > 0).sum())
            self.flips[1] += int((change < 0).sum())
        change = (change.flatten(1).mean(1) if change.ndim > 1 else change).numpy()
        np.add.at(self.counts.n[0], part[:, 0], 1)
        np.add.at(self.counts.sums[0], part[:, 0], change)
        np.add.at(self.counts.squares[0], part[:, 0], change**2)
        self.rows.append(rows)
        self.told.append(told)
        self.strata.append(part[:, 0])

    def live(self) -> Live:
        judged = sampling.judge(self.counts, self.design)
        n, drop = int(self.counts.n.sum()), float(judged.drop[0])
        return Live(drop, float(judged.half[0]), None if self.original is None else self.original - drop, self.original, n,
                    len(self.data), *self.flips, torch.cat(self.rows), join(tuple(self.told)), np.concatenate(self.strata))

    def nothing_changed(self) -> Live:
        n = len(self.data)
        rows = torch.arange(n)
        return Live(0.0, 0.0, self.original, self.original, n, n, 0, 0, rows, self.first.told(rows), np.zeros(n, np.int64))
