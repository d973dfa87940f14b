"""What is asked for, what each way chooses, and what it is made and measured with. Estimates pick, measurement decides."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan
from typing import NamedTuple

from compression import measure
from compression.apply import Memo, compress, smaller
from compression.budget.exact import exact
from compression.budget.explain import Reason, going_rate, reasons
from compression.budget.moves import Moves
from compression.budget.problem import NOTHING, Choice, Limit, Problem, Rows
from compression.budget.tables import Table
from compression.budget.uniform import same
from compression.data import Data
from compression.engine.instrument import Instrument
from compression.evaluate import Progress, Quality
from compression.method import drained
from compression.network import Network
from compression.recipe import Recipe
from compression.score import size_of

SOLVER, ALONE, HESSIAN = "together", "exact", "hessian"
TITLES: Mapping[str, str] = {SOLVER: "Solver", ALONE: "Exact, layers alone", "multiplier": "One multiplier", "greedy": "Greedy",
                             "uniform": "Uniform", HESSIAN: "HAWQ (Hessian)"}
ADJUSTED = 4  # times a choice is made anew where its written file is not what its options add up to


class Wish(NamedTuple):
    """What is asked for; None where it is free."""

    most_bytes: int | None = None  # of the written file
    most_adds: float | None = None  # multiply-adds of one forward pass
    most_drop: float | None = None  # share of the answers, to be kept by the upper end of the measured interval


@dataclass(frozen=True, eq=False)
class Plan:
    """One way's choice."""

    way: str  # of TITLES
    choice: Choice
    recipe: Recipe
    file_bytes: int  # of the written file
    adds: int | None  # multiply-adds of the really smaller network
    progress: Progress | None = None  # measured together so far
    allowed: int | None = None  # what its options' bytes might add up to
    together: float = nan  # divergence (nats), if what its options move the scores by adds up
    around: Rows | None = None  # what each option would add to that in its layer's place, with the others as chosen

    @property
    def quality(self) -> Quality | None:
        return self.progress and self.progress.quality

    @property
    def complete(self) -> bool:
        """Whether all examples were asked."""
        return self.quality is not None and self.quality.complete


class Tried(NamedTuple):
    """One measurement on the way to a promise."""

    nats: float  # the estimate: sum of single divergences
    file_bytes: int
    drop: float  # measured together, share of the answers
    high: float  # the upper end of its 95 % interval
    kept: bool


@dataclass(frozen=True, eq=False)
class Proposal:
    """How far it has come."""

    table: Table
    wish: Wish
    stage: str = "solving"  # "together", "promise", "measuring", "done"
    share: float = 0.0  # of finding out how options act together
    tries: tuple[Tried, ...] = ()
    problem: Problem | None = None  # least divergence within the limits at which the ways are compared
    most_bytes: int | None = None  # of the files that are compared
    plans: tuple[Plan, ...] = ()  # the solver's first
    without: Mapping[str, str] | None = None  # ways that found nothing, and why
    broken: str = ""  # why the wish is not kept, in a sentence

    @property
    def best(self) -> Plan | None:
        """The solver's plan."""
        return self.plans[0] if self.plans else None

    @property
    def limit(self) -> Limit | None:
        """The limit that its reasons are told in."""
        return self.problem.limits[0] if self.problem and self.problem.limits else None

    @cached_property
    def reasons(self) -> tuple[list[Reason], tuple[float, float]]:
        """Why each layer got its option, with the others as chosen, and the going rate of the whole."""
        if self.best is None or self.problem is None or self.limit is None:
            return [], (0.0, float("inf"))
        found = reasons(replace(self.problem, cost=self.best.around or self.problem.cost), self.limit, self.best.choice.places)
        return found, going_rate(found)


def drop(q: Quality) -> tuple[float, float, float]:
    """Answers lost, as a share, with the ends of the 95 % interval; without labels the share that is not the original's."""
    if q.change is None:
        return 1 - q.agreement.value, 1 - q.agreement.high, 1 - q.agreement.low
    return 0.0 - q.change.value, 0.0 - q.change.high, 0.0 - q.change.low  # no loss is 0, not -0


class Bench:
    """What plans are made and measured with."""

    def __init__(self, network: Network, table: Table, data: Data, instruments: Callable[[Network], Instrument], memo: Memo | None = None,
                 locked: tuple[str, ...] = ()) -> None:
        self.network, self.table, self.data, self.instruments = network, table, data, instruments
        self.memo: Memo = {} if memo is None else memo
        self.locked = locked
        self.moves: Moves | None = None  # how options act together, once that is known

    def plan(self, way: str, choice: Choice) -> Plan:
        """A choice as a recipe, with what its file weighs."""
        recipe, adds = self.table.recipe(choice.places, self.locked), self.table.original_adds
        done = compress(self.network, recipe, self.memo)
        if adds is not None and any(o.adds for o in self.table.chosen(choice.places)):
            adds = measure.multiply_adds(smaller(done), self.network.example)
        return Plan(way, choice, recipe, size_of(done), adds, together=self.moves.nats(choice.places) if self.moves else nan)

    def fitted(self, way: str, solve: Callable[[Problem], Choice], problem: Callable[[int | None], Problem], most_bytes: int | None) -> Plan:
        """The best choice whose written file keeps the budget: by what headers do not add up, the sum may be more than the file, or less."""
        def at_once(of: Problem) -> Generator[None, None, Choice]:
            return solve(of)
            yield

        return drained(self.fitting(way, at_once, problem, most_bytes))

    def fitting(self, way: str, solve: Callable[[Problem], Generator[None, None, Choice]], problem: Callable[[int | None], Problem],
                most_bytes: int | None) -> Generator[None, None, Plan]:
        """The same where solving comes in pieces."""
        allowed, found, best = most_bytes, None, None
        for _ in range(ADJUSTED):
            before, found = found, self.plan(way, (yield from solve(problem(allowed))))
            if most_bytes is None or allowed is None:
                return found
            if found.file_bytes <= most_bytes and (best is None or found.choice.cost <= best.choice.cost):
                best = replace(found, allowed=allowed)
            if before is not None and before.choice.places == found.choice.places:
                break
            allowed = most_bytes + self.table.promised(found.choice.places) - found.file_bytes
        if best is None:
            raise ValueError(f"the written file stays above {most_bytes:,} bytes by what its headers take; allow a little more")
        return best

    def uniform(self, most_bytes: int | None, most_adds: float | None) -> Plan:
        """The setting of least cost whose written file keeps the budget when all layers have it."""
        free, adds = self.table.within(), self.table.within(None, most_adds)
        fitting = sorted((free.choice(p) for p in same(self.table.settings, None) if adds.fits(p)), key=lambda c: c.cost)
        plans = (self.plan("uniform", choice) for choice in fitting)
        found = next((p for p in plans if most_bytes is None or p.file_bytes <= most_bytes), None)
        if found is None:
            raise ValueError(NOTHING)
        return found

    def curved(self, found: "Proposal", traces: Mapping[str, float], seconds: float = 10.0) -> Plan:
        """HAWQ-V2's choice at the limits of a proposal. traces: mean Hessian traces by layer; what is told as its cost is the table's."""
        most, adds = found.most_bytes, found.wish.most_adds

        def by_curvature(problem: Problem) -> Choice:
            return self.table.within().choice(exact(problem, seconds).places)

        return self.fitted(HESSIAN, by_curvature, lambda most: self.table.curved(traces, most, adds), most)

    def judged(self, plan: Plan, broken_by: float | None = None, data: Data | None = None) -> Iterator[Plan | None]:
        """The plan measured on all examples; given up as soon as it is clear that it loses more than broken_by. None for work in between."""
        done, first = compress(self.network, plan.recipe, self.memo), True
        for progress in self.instruments(done.network).judging(done, data or self.data, self.instruments(self.network)):
            over = progress is not None and broken_by is not None and drop(progress.quality)[1] > broken_by
            if progress is None or not (first or over or progress.quality.complete):
                yield None
                continue
            first = False
            yield replace(plan, progress=progress)
            if over:
                return
