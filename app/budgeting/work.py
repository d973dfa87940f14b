"""The Budget page's long work, as generators for jobs: options measured or taken from before, the proposal, its test, and the race."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from app import compute, jobs, words
from compression.apply import compress
from compression.budget import hessian
from compression.budget.joint import divergence
from compression.budget.options import Measured, measuring, original_operations, restored
from compression.budget.plans import Bench, Plan, Proposal, Wish
from compression.budget.problem import Choice, total
from compression.budget.proposing import proposing
from compression.budget.tables import Option, merged
from compression.network import Network
from compression.recipe import Recipe, Step, step
from compression.registry import dial, method
from compression.score import size_of
from compression.searching.space import Space, Trial, race
from compression.searching.ways import WAYS
from compression.sensitivity import harsher, rungs

SPARSE = ("sparsity", "rank")  # dials of many rungs, of which a few are tried


class Found(NamedTuple):
    """How far the search for a recipe has come."""

    doing: str
    share: float  # of what is being done
    proposal: Proposal | None = None
    traces: hessian.Traces | None = None
    why_no_traces: str = ""
    began: float = 0.0  # when what is being done was begun (time.monotonic)

    @property
    def told(self) -> str:
        """What is being done, and how long it may still take."""
        left = words.remaining(jobs.eta(self.share, 1.0, time.monotonic() - self.began)) if 0.05 < self.share < 1 else ""
        return f"{self.doing} · {left}" if left else self.doing


def steps(chosen: Step) -> tuple[Step, ...]:
    """The settings of a dial that are tried: all widths of bits; of sparsity and rank seven, spread out. Other knobs stay as they are set."""
    which, others = dial(chosen.method), dict(chosen.knobs)
    values = rungs(chosen.method, which) if which in SPARSE else harsher(chosen.method, which)
    return tuple(step(chosen.method, **{**others, which: value}) for value in values)


def finding(net: Network, chosen: tuple[Step, ...], then: tuple[Step, ...], wish: Wish, locked: tuple[str, ...],
            split: str) -> Iterator[Found | None]:
    """From dials and a wish to a proposal that is measured."""
    options: list[Option] = []
    for of in chosen:
        doing, began = f"Measuring the options of {method(of.method).title}, each layer alone", time.monotonic()
        for found in _options(net, steps(of), then):
            yield found and Found(doing, found.done / found.of, began=began)
        options += found.options
    table = merged([layer.name for layer in net.layers], options, size_of(compress(net, Recipe(), compute.memo())), original_operations(net),
                   {layer.name for layer in net.layers if Recipe(locked=locked).is_locked(layer.name)}, then)
    yield Found("Looking for the best choice", 0.0)
    bench = Bench(net, table, net.data[split], compute.instrument, compute.memo(), locked)
    curved, why, last, began = None, "", Proposal(table, wish), time.monotonic()
    for proposal in proposing(bench, wish):
        began = time.monotonic() if proposal and proposal.stage != last.stage else began
        last = proposal or last
        yield proposal and Found(_doing(proposal), _share(proposal), proposal, began=began)
    if last.broken:
        yield Found("", 1.0, last)
        return
    if net.context.data is None:
        why = "HAWQ needs training examples for the Hessian, and this network came without."
    else:
        began = time.monotonic()
        for curved in _traces(net):
            yield Found("HAWQ: the curvature of the loss, from random directions", curved.probes / curved.of, last, began=began)
        last = replace(last, plans=(*last.plans, bench.curved(last, curved.by_layer)))
        for judged in bench.judged(last.plans[-1]):
            last = last if judged is None else replace(last, plans=(*last.plans[:-1], judged))
            yield judged and Found("Measuring HAWQ’s choice", 0.0, last, curved)
    yield Found("", 1.0, last, curved, why)


def _options(net: Network, tried: tuple[Step, ...], then: tuple[Step, ...]) -> Iterator[Measured | None]:
    """The options of one dial, from disk where they were measured before."""
    disk, taught = compute.kept_on_disk(), net.context.digest
    key = f"options-1-{net.digest}-{tried}-{then}-{taught}"
    before = disk.get(key)
    if before is not None:
        yield restored(net, tried, before)
        return
    for found in measuring(compute.instrument(net), tried, then):
        yield found
    disk[key] = found.arrays(net, tried)


def _traces(net: Network) -> Iterator[hessian.Traces]:
    """Hessian traces, each network's once."""
    disk, key = compute.kept_on_disk(), f"traces-1-{net.digest}-{net.context.digest}-{hessian.PROBES}"
    before, names = disk.get(key), tuple(layer.name for layer in net.layers)
    if before is not None:
        yield hessian.Traces(names, tuple(before["mean"].tolist()), tuple(before["error"].tolist()), *map(int, before["counts"]))
        return
    for found in hessian.traces(net):
        yield found
    disk[key] = found.arrays()


def _doing(proposal: Proposal) -> str:
    if proposal.stage == "together":
        return "Measuring how the layers’ options act together"
    if proposal.stage == "promise":
        return f"Looking for the smallest file that keeps the promise: {len(proposal.tries)} measured together"
    if proposal.stage == "measuring":
        return f"Measuring together: {sum(p.complete for p in proposal.plans)} of {len(proposal.plans)} choices"
    return "Measured"


def _share(proposal: Proposal) -> float:
    if proposal.stage == "together":
        return proposal.share
    if proposal.stage == "promise":
        return len(proposal.tries) / (len(proposal.tries) + 3)
    return sum(p.complete for p in proposal.plans) / max(1, len(proposal.plans))


def reporting(net: Network, proposal: Proposal, more: tuple[Plan, ...], split: str) -> Iterator[tuple[Plan, ...] | None]:
    """All plans measured on other examples than those that chose."""
    bench = Bench(net, proposal.table, net.data[split], compute.instrument, compute.memo())
    plans: list[Plan] = []
    for plan in (*proposal.plans, *more):
        done = next((p for p in plans if p.recipe == plan.recipe), None)
        for judged in [replace(plan, progress=done.progress)] if done else bench.judged(replace(plan, progress=None)):
            now = judged or plan
            yield judged and (*plans, judged)
        plans.append(now)


@dataclass(frozen=True, eq=False)
class Raced:
    """How far a race has come."""

    evaluations: int
    runs: dict[tuple[str, int], tuple[float, ...]]  # by search and seed: the least divergence so far (nats), after each measurement
    of: int  # runs there will be
    target: float | None  # the solver's, measured on the same examples
    plans: tuple[Plan, ...] = ()  # each search's middle run, measured


def racing(net: Network, proposal: Proposal, evaluations: int, seeds: int, split: str) -> Iterator[Raced | None]:
    """Every search from every seed on so many measurements; then the middle run of each measured on all examples."""
    bench = Bench(net, proposal.table, net.data[split], compute.instrument, compute.memo())
    measure = divergence(compute.instrument(net), proposal.table, net.data[split], compute.memo())
    target = -(yield from measure(proposal.best.choice.places))
    same = next((p.choice.places for p in proposal.plans if p.way == "uniform"), None)
    space = Space(proposal.problem, (same,) if same else ())
    now = Raced(evaluations, {}, len(WAYS) * seeds, target)
    bests: dict[str, list[Trial]] = {}
    for seed in range(seeds):
        for name, way in WAYS.items():
            best: Trial | None = None
            for trial in race(way.begin(space, seed), measure, evaluations):
                if trial is None:
                    yield None
                    continue
                best = trial if best is None or trial.good > best.good else best
                now = replace(now, runs=now.runs | {(name, seed): (*now.runs.get((name, seed), ()), -best.good)})
                yield now if trial.number % 5 == 0 or trial.number == evaluations else None
            if best is not None:
                bests.setdefault(name, []).append(best)
    for name, runs in bests.items():
        middle = sorted(runs, key=lambda t: t.good)[len(runs) // 2]
        plan = bench.plan(name, Choice(middle.places, total(proposal.problem.cost, middle.places)))
        for judged in bench.judged(plan):
            plan = judged or plan
            yield None
        now = replace(now, plans=(*now.plans, plan))
        yield now

