"""A wish carried out: the solver's choice and its baselines at the same bytes, each measured as a whole on the same examples."""

from collections.abc import Iterator
from dataclasses import replace

from compression.budget.exact import exact
from compression.budget.greedy import greedy
from compression.budget.multiplier import multiplier
from compression.budget.plans import ALONE, Bench, Proposal, Wish
from compression.budget.problem import Problem
from compression.budget.promise import kept, told
from compression.budget.together import together


def proposing(bench: Bench, wish: Wish, seconds: float = 10.0) -> Iterator[Proposal | None]:
    """From a wish to the measured choice and its measured baselines; None for work in between. The last Proposal is done.

    Raises ValueError where no choice keeps the limits.
    """
    table, now = bench.table, Proposal(bench.table, wish)
    if wish.most_bytes is None and wish.most_adds is None and wish.most_drop is None:
        raise ValueError("nothing is asked for; give a size, a number of multiply-adds, or the points that may be lost")

    def within(most: int | None) -> Problem:
        return table.within(most, wish.most_adds)

    most = wish.most_bytes
    alone = bench.fitted(ALONE, lambda p: exact(p, seconds), within, most)
    if wish.most_drop is not None:
        for found in kept(bench, replace(now, stage="promise"), alone, wish.most_drop, seconds):
            now = found or now
            yield found
        # From here on all ways are compared by divergence at the bytes of the smallest file that keeps the promise.
        most = max(now.best.file_bytes, table.promised(now.best.choice.places))
        alone = bench.fitted(ALONE, lambda p: exact(p, seconds), within, most)
    plans, without = [alone], {}
    for way, solve in {"multiplier": multiplier, "greedy": greedy, "uniform": None}.items():
        try:
            plans.append(bench.uniform(most, wish.most_adds) if solve is None else bench.fitted(way, solve, within, most))
        except ValueError as error:
            without[way] = str(error)
    solver = now.best or (yield from told(together(bench, plans, within, most), now))
    plans = [solver, *(replace(p, together=bench.moves.nats(p.choice.places)) for p in plans)]
    problem = within(alone.allowed if wish.most_drop is None else most)
    now = replace(now, stage="measuring", problem=problem, most_bytes=most, plans=tuple(plans), without=without)
    yield now
    for i, plan in enumerate(plans):
        same = next((p for p in plans[:i] if p.choice.places == plan.choice.places), None)
        for judged in [replace(plan, progress=same.progress)] if same else bench.judged(plan):
            plans[i] = judged or plans[i]
            now = replace(now, plans=tuple(plans))
            yield judged and now
    yield replace(now, stage="done")
