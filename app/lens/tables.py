"""What the lens is sent of one layer, so that it can answer its dials by itself: tables that fill up rung by rung."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.dials import DIALS
from app.lens import quick
from app.lens.ladder import BINS, Array, Ladder, Rung, Spread, corner
from app.lens.rungs import Aside, Leaf, carried, leaves, measured
from app.lens.steps import Steps, ladder, place, rung, running, turned
from compression import instant
from compression.apply import Memo, prepared
from compression.method import Layer
from compression.recipe import Step
from compression.registry import method
from compression.sketches.ordered import Ordered
from compression.sketches.spectrum import errors_by_rank

SMALL = 4_000_000  # weights that are sorted while a page is drawn
HEAVY = 1e9  # multiply-adds above which a weight is decomposed only where its spectrum is looked at
AHEAD = 100_000  # weights up to which rungs are carried out also for dials that nobody looks at
DRAWN = 1024  # singular values at most


class Spectrum(NamedTuple):
    """How strongly a weight acts along its directions, strongest first."""

    what: str  # of what, where a weight has more than one
    full: int
    values: Array  # (full,), or DRAWN of them evenly spaced
    energy: Array  # the share of the sum of all squares up to each of those


class Tables(NamedTuple):
    """All that the lens shows of a layer."""

    name: str
    shape: tuple[int, ...]
    weights: Spread
    leaf: Spread | None  # what the bits dial rounds, once that is known
    corner: Array  # (rows, columns) as trained
    spectra: tuple[Spectrum, ...]
    ladders: tuple[Ladder, ...]  # in the order of app.dials.DIALS

    def ladder(self, which: str) -> Ladder:
        return self.ladders[DIALS.index(which)]

    def with_rungs(self, which: str, found: dict[int, Rung]) -> "Tables":
        """The same with more known of one ladder. What is known of the present rung holds for all dials: it is one setting."""
        old = self.ladder(which)
        new = old._replace(rungs=tuple(found[i].over(r) if i in found else r for i, r in enumerate(old.rungs)))
        here = new.rungs[new.now]._replace(picture=None) if new.rungs else Rung()
        return self._replace(ladders=tuple(
            new if each.dial == which else
            each._replace(rungs=tuple(r.over(here) if i == each.now else r for i, r in enumerate(each.rungs))) for each in self.ladders))

    def with_refusal(self, which: str, why: str) -> "Tables":
        return self._replace(ladders=tuple(each._replace(refused=why) if each.dial == which else each for each in self.ladders))


def tables(layer: Layer, steps: Steps, memo: Memo, owner: str, asked: Sequence[str] = ("sparsity",)) -> Iterator[Tables | None]:
    """Tables of a layer, again and again, each time with more rungs. None: what comes next may take long.

    steps: as lens.steps.settings gives them. asked: the dials on screen, which come first; the last tables have all of their
    rungs, and of other dials what is found without much work.
    Rungs are kept in the memo under the owner, which tells this network's layers from others', so that none is looked for twice.
    """
    here = _taught(owner, layer, steps), layer.name
    if layer.weight.numel() > SMALL and memo.get((*here, "order")) is None:
        yield None
    source = once(memo, (*here, "order"), lambda: instant.prepare(layer.weight))
    ladders = tuple(_ladder(steps, which, memo.get((*here, which, *_others(steps, which)), ())) for which in DIALS)
    shown = Tables(
        layer.name, tuple(layer.weight.shape), once(memo, (*here, "spread"), lambda: spread(source, "weights")),
        memo.get((*here, "leaf", running(steps[: place(steps, "bits")]))), corner(layer.weight.numpy()),
        memo.get((*here, "spectra", steps[place(steps, "rank")].method), ()), ladders)
    for which in DIALS:
        shown = shown.with_rungs(which, {})
    yield shown
    for which in sorted(DIALS, key=lambda d: d not in asked):
        if which == "rank" and which not in asked and _work(layer) > HEAVY:
            continue
        try:
            there = _Place(layer, steps, place(steps, which), memo, owner, here)
            for new in _climbed(shown, which, there, source, which in asked or layer.weight.numel() <= AHEAD):
                shown = new or shown
                yield new
        finally:
            memo[(*here, which, *_others(steps, which))] = shown.ladder(which).rungs


class _Place(NamedTuple):
    """Where a dial stands, and what is known there."""

    layer: Layer
    steps: Steps
    at: int
    memo: Memo
    owner: str
    here: tuple[Any, ...]  # the beginning of the lens's own keys in the memo

    @property
    def before(self) -> Steps:
        return running(self.steps[: self.at])


def _climbed(shown: Tables, which: str, there: _Place, source: Ordered, whole: bool) -> Iterator[Tables | None]:
    """The tables with one rung of a dial after another: what can be told without carrying it out first, then the rest.

    whole: carry out every rung of which not all is told; else only the present one.
    """
    layer, steps, at, memo, owner, here = there
    before, _ = yield from carried(layer, there.before, memo, owner)
    parts = list(leaves(before))
    leaf = max(parts, key=lambda part: part.values.numel(), default=None)
    refused = _refused(steps[at], layer, parts)
    shown = shown.with_refusal(which, refused)
    if which == "bits" and leaf is not None and leaf.values.numel():
        if there.before and leaf.values.numel() > SMALL:
            yield None
        shown = shown._replace(leaf=once(memo, (*here, "leaf", there.before), lambda: spread(
            instant.prepare(leaf.values) if there.before else source, leaf.what)))
    if which == "rank" and not refused:
        spectra = memo[(*here, "spectra", steps[at].method)] = yield from _spectra(there, source)
        shown = shown._replace(spectra=spectra)
    yield shown
    if not refused and not all(r.known for r in shown.ladder(which).rungs):
        for found in _at_once(which, there, source):
            shown = shown.with_rungs(which, dict([found])) if found else shown
            yield shown if found else None
    values, now = shown.ladder(which).values, shown.ladder(which).now
    aside = Aside(memo, len(there.before))
    for i in coarse_to_fine(len(values), now) if whole and not refused else (now,):
        if values and not shown.ladder(which).rungs[i].known:
            rung_ = yield from measured(layer, steps, at, values[i], aside, owner, shown.weights, leaf)
            shown = shown.with_rungs(which, {i: rung_})
            aside.clear()
            yield shown


def _at_once(which: str, there: _Place, source: Ordered) -> Iterator[tuple[int, Rung] | None]:
    """What need not be carried out."""
    layer, steps, at, _, _, _ = there
    if which == "sparsity":
        yield from quick.pruning(layer, steps, at, source)
    elif which == "bits":
        books = (yield from _prepared(there)) if steps[at].method == "sharing.kmeans" else None
        yield from quick.rounding(layer, steps, at, source, books)
    elif steps[at].method in ("lowrank.svd", "lowrank.tucker2"):
        if steps[at].method == "lowrank.svd":
            yield from quick.decomposing(layer, steps, at, _errors(there))
        yield from quick.decomposing(layer, steps, at, (yield from _prepared(there)))


def _prepared(there: _Place) -> Generator[None, None, Any]:
    """What the dial's method prepares on what comes before it; that is the same for all of its rungs."""
    chain = (*there.before, turned(there.steps, there.at, ladder(there.steps[there.at])[0])[there.at])
    aside = Aside(there.memo, len(there.before))
    yield from carried(there.layer, chain, aside, there.owner)
    return prepared(there.layer, chain, aside, there.owner)


def _errors(there: _Place) -> Array:
    return once(there.memo, (*there.here, "errors"), lambda: errors_by_rank(there.layer.weight.numpy()))


def _spectra(there: _Place, source: Ordered) -> Generator[None, None, tuple[Spectrum, ...]]:
    """The spectra that a method cuts: that of the matrix for the SVD, those of outputs and inputs for Tucker-2; of other methods none."""
    name = there.steps[there.at].method
    if name == "lowrank.svd":
        if _work(there.layer) > HEAVY / 10:
            yield None
        return (_spectrum("", -np.diff(_errors(there) ** 2) * float(source.all.second[0])),)
    if name == "lowrank.tucker2":
        found = yield from _prepared(there)
        return tuple(_spectrum(what, np.diff(energy, prepend=0)) for what, energy in (
            ("outputs", found.energy[:, -1].numpy()), ("inputs", found.energy[-1].numpy())))
    return ()


def _spectrum(what: str, squares: Array) -> Spectrum:
    """From the squares of its values."""
    squares = squares.clip(min=0)
    drawn = np.unique(np.linspace(0, len(squares) - 1, min(len(squares), DRAWN)).round().astype(int))
    total = max(float(squares.sum()), 1e-300)
    return Spectrum(what, len(squares), np.sqrt(squares[drawn]), (squares.cumsum() / total)[drawn])


def _refused(step: Step, layer: Layer, parts: list[Leaf]) -> str:
    """Why a step does nothing to what comes before it, as apply finds it; empty where it does something."""
    known = method(step.method)
    if not ladder(step):
        return f"{known.title} has no dial of this name."
    if not parts:
        return f"{known.title} finds no values to work on: a step before it has left codes."
    why = [known.why_not(part.values, layer) or "" for part in parts]
    return why[0] if all(why) else ""


def _ladder(steps: Steps, which: str, known: tuple[Rung, ...]) -> Ladder:
    step = steps[place(steps, which)]
    values = ladder(step)
    if not values:
        return Ladder(which, method(step.method).title, (), 0, None, (), "")
    off = method(step.method).knob(which).off
    return Ladder(which, method(step.method).title, values, rung(step), None if off is None else values.index(off),
                  known or (Rung(),) * len(values), "")


def _others(steps: Steps, which: str) -> tuple[Any, ...]:
    """What the rungs of a dial depend on: all but where it stands."""
    at = place(steps, which)
    return running(steps[:at]), steps[at].method, tuple(k for k in steps[at].knobs if k[0] != which), running(steps[at + 1 :])


def spread(source: Ordered, what: str) -> Spread:
    """The values of a tensor in bins, from their order."""
    most = max(-source.least, source.most) or 1.0
    edges = ((np.arange(1, BINS) / (BINS // 2) - 1) * most).astype(np.float32)
    counts = np.diff(np.concatenate([[0], np.searchsorted(source.values, edges), [source.size]]))
    counts[BINS // 2] -= source.zeros
    far = source.smallest([int(0.999 * source.size)]).threshold
    return Spread(what, source.size, source.zeros, most, float(far[0]), counts)


def coarse_to_fine(count: int, first: int) -> Iterator[int]:
    """All places from 0 to count - 1, one given first, then ever closer ones, so that the whole range is soon known roughly.

    >>> list(coarse_to_fine(6, 2))
    [2, 0, 5, 4, 1, 3]
    """
    stride = 1 << max(count - 1, 1).bit_length()
    order = [first, 0, count - 1]
    while stride > 1:
        stride //= 2
        order += range(0, count, stride)
    return iter(dict.fromkeys(i for i in order if i < count))


def once(memo: Memo, key: Any, make: Callable[[], Any]) -> Any:
    """What the memo holds under a key, made now where it does not."""
    found = memo.get(key)
    if found is None:
        found = memo[key] = make()
    return found


def _work(layer: Layer) -> float:
    """Multiply-adds of a decomposition, about."""
    weight = layer.weight
    return weight.numel() * min(len(weight), weight.numel() // max(len(weight), 1)) if weight.ndim > 1 else 0


def _taught(owner: str, layer: Layer, steps: Steps) -> str:
    """The owner, and where a step learns from examples also which."""
    learns = layer.context is not None and any(method(s.method).needs for s in steps)
    return f"{owner}+{layer.context.digest}" if learns and layer.context else owner
