"""Sure answers from rough arithmetic: a variant is asked in bfloat16 first, and in float32 again only where that leaves a doubt.

Processors with bfloat16 instructions multiply such matrices about twice as fast. An answer is in doubt where the best score leads
the next by less than a guard: FACTOR times the largest error of a lead seen so far for this variant, on a pilot of examples asked
both ways and on all that were settled since, or for the layer's variants on average, if that is more. This rests on what was seen,
not on a bound: an error more than FACTOR times as large as all seen before, just where the lead is small, would go unnoticed. With
3 times the variant's own largest error, one of 2.6 million answers of ResNet-20 was wrong. With FACTOR, and the layer's variants, none
of 3.9 million answers of seven networks left in bfloat16 was, and no error came to more than 0.37 of the lead it was set against. tests/bench/scan.py
counts wrong answers, and the shadow check of Answers looks for them in use.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from compression.engine.graph import Graph, Record
from compression.engine.plain import Pairs, Weights

FACTOR = 8.0
FLOOR = 2.0**-10  # of the largest score: a quarter of the distance between neighbouring bfloat16 numbers
PILOT = 32  # examples of each variant asked both ways before it is screened
MOST = 0.3  # a variant of which more than this share must be settled is asked in float32 from then on
GAIN = 0.8  # and so is a layer whose variants do not take less than this share of the time in bfloat16
ENOUGH = 100  # examples: a variant that was asked about fewer so far may never be asked again, and a pilot would not pay


class Rough(Graph):
    """The same network with its inner values in bfloat16; a last linear layer is left in float32, where the leads are formed."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.whole = self._last_linear()
        halves: dict[int, nn.Parameter] = {}
        for name, m in self.root.named_modules():
            if name == self.whole:
                m.forward = lambda x, m=m: F.linear(x.float(), m.weight, m.bias)
                continue
            for key, p in m._parameters.items():
                if p is not None and p.is_floating_point():
                    m._parameters[key] = halves.setdefault(id(p), nn.Parameter(p.detach().bfloat16(), requires_grad=False))
            for key, b in m._buffers.items():
                if b is not None and b.is_floating_point():
                    m._buffers[key] = b.bfloat16()

    def _last_linear(self) -> str | None:
        last = self.operations.nodes[self.operations.output]
        return last.target if last.op == "call_module" and type(self.root.get_submodule(last.target)) is nn.Linear else None

    def _as_run(self, weights: Weights) -> dict[str, Tensor]:
        return {name: w if name.rpartition(".")[0] == self.whole else w.bfloat16() for name, w in super()._as_run(weights).items()}

    def lowered(self, record: Record, names: frozenset[str]) -> Record:
        """The parts of a float32 record that a change of some weights reads, in bfloat16; each is made once."""
        if record.low is None:
            record.low = Record([None] * len(record))
            record.low[-1] = _low(record[-1])
        for place in self._plan(names).reads:
            if record.low[place] is None:
                record.low[place] = _low(record[place])
        return record.low


def _low(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.bfloat16() if value.is_floating_point() else value
    return tuple(map(_low, value)) if type(value) is tuple else value


@dataclass
class Known:
    """What was seen of one variant."""

    asked: int = 0  # examples
    both: int = 0  # of them asked both ways
    worst: float = 0.0  # the largest error of a lead among them
    screened: int = 0  # examples after the pilot
    settled: int = 0  # and those of them that were in doubt

    @property
    def hopeless(self) -> bool:
        return self.screened >= PILOT and self.settled > MOST * self.screened


class Screen:
    """Scores whose largest stands where float32 would put it.

    Serves networks with one answer to an example (of a text's many characters, one in doubt would call for all) that put no values on
    levels. clock: seconds of this thread, by which a layer's variants are tried both ways, once. Raises RuntimeError where bfloat16
    does not serve.
    """

    def __init__(self, engine: Graph, clock: Callable[[], float] = time.thread_time) -> None:
        self.engine, self.clock = engine, clock
        if engine.rounds:
            raise RuntimeError("values are put on levels as the network runs, and a rough sum puts some on another one")
        with torch.inference_mode():
            if engine.scores(engine.sample).ndim != 2:
                raise RuntimeError("an example has more than one answer")
        self.rough = Rough(engine.module, engine.names, engine.sample, engine.folded, engine.channels_last, engine.together)
        self.rough.scores(_low(engine.sample))
        self.quicker: dict[frozenset[str], bool] = {}
        self.known: Any = WeakIdKeyDictionary()  # by the variant's first weight, which nobody changes in place

    @torch.inference_mode()
    def changed(self, record: Record, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Scores of each variant on its rows, as an engine gives them, and which of them are rough: (rows,) bool."""
        n, names = len(record[-1]), frozenset(pairs.weights[0] if pairs.names is None else pairs.names)
        counts = [n if pairs.rows is None else len(r) for r in pairs.rows or pairs.weights]
        known = [self._known(w, count) for w, count in zip(pairs.weights, counts)]
        rough = [k is not None for k in known]
        if not any(rough) or not self._quicker(names, record, pairs):
            return self.engine.changed(record, pairs), torch.zeros(sum(counts), dtype=torch.bool)
        parts = {True: _part(pairs, [i for i, r in enumerate(rough) if r]), False: _part(pairs, [i for i, r in enumerate(rough) if not r])}
        scores, unsettled = self._screened(record, names, parts[True], [k for k in known if k is not None])
        if all(rough):
            return scores, unsettled
        mine = torch.tensor(rough).repeat_interleave(torch.tensor(counts))
        exact = self.engine.changed(record, parts[False])
        every, loose = exact.new_empty(len(mine), exact.shape[1]), torch.zeros(len(mine), dtype=torch.bool)
        every[mine], every[~mine], loose[mine] = scores, exact, unsettled
        return every, loose

    def _known(self, weights: Weights, count: int) -> Known | None:
        """What is known of a variant; None where it is better asked in float32 this time."""
        known = self.known.setdefault(next(iter(weights.values())), Known())
        known.asked += count
        return known if known.asked >= ENOUGH and not known.hopeless else None

    def _quicker(self, names: frozenset[str], record: Record, pairs: Pairs) -> bool:
        if names not in self.quicker:
            one, times = Pairs(pairs.weights[:1], None, names), []
            low = self.rough.lowered(record, names)
            for engine, values in ((self.engine, record), (self.rough, low)) * 2:
                start = self.clock()
                engine.changed(values, one)
                times.append(self.clock() - start)
            self.quicker[names] = times[3] < GAIN * times[2]  # the first time, the processor's library prepares itself
        return self.quicker[names]

    def _screened(self, record: Record, names: frozenset[str], pairs: Pairs, known: Sequence[Known]) -> tuple[Tensor, Tensor]:
        n = len(record[-1])
        scores = self.rough.changed(self.rough.lowered(record, names), Pairs(pairs.weights, pairs.rows, names)).float()
        best, lead = _lead(scores)
        sizes = [n] * len(known) if pairs.rows is None else [len(r) for r in pairs.rows]
        floor = FLOOR * scores.abs().amax(-1)
        pilot = torch.cat([torch.arange(size) < PILOT - k.both for size, k in zip(sizes, known)])
        asked, settled = pilot | self._doubtful(lead, floor, known, sizes), torch.zeros(len(scores), dtype=torch.bool)
        while asked.any():
            rows = [part.nonzero().squeeze(1) for part in asked.split(sizes)]
            some = [i for i, r in enumerate(rows) if len(r)]
            exact = self.engine.changed(record, Pairs([pairs.weights[i] for i in some],
                                                      [rows[i] if pairs.rows is None else pairs.rows[i][rows[i]] for i in some], names))
            error = exact - scores[asked]
            error = (error - error.gather(-1, best[asked].unsqueeze(-1))).amax(-1)
            for i, worst in zip(some, error.split([len(rows[i]) for i in some])):
                known[i].worst, known[i].both = max(known[i].worst, float(worst.max())), known[i].both + len(worst)
            scores[asked] = exact
            settled |= asked
            asked = ~settled & self._doubtful(lead, floor, known, sizes)
        for k, late, doubted in zip(known, (~pilot).split(sizes), (settled & ~pilot).split(sizes)):
            k.screened, k.settled = k.screened + int(late.sum()), k.settled + int(doubted.sum())
        return scores, ~settled

    def _doubtful(self, lead: Tensor, floor: Tensor, known: Sequence[Known], sizes: list[int]) -> Tensor:
        """Where the lead is smaller than the variant's guard, from the errors seen until now."""
        usual = sum(k.worst for k in known) / len(known)
        guard = torch.tensor([FACTOR * max(k.worst, usual) for k in known]).repeat_interleave(torch.tensor(sizes))
        return lead <= torch.maximum(guard, floor)


def _lead(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Place of the best score, and how far it leads the next, (n,) each."""
    top, best = scores.max(-1)
    return best, top - scores.scatter(-1, best.unsqueeze(-1), -torch.inf).amax(-1)


def _part(pairs: Pairs, places: list[int]) -> Pairs:
    return Pairs([pairs.weights[i] for i in places], None if pairs.rows is None else [pairs.rows[i] for i in places], pairs.names)
