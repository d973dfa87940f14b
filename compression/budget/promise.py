"""A promise in points: the smallest file whose loss, measured as a whole, keeps within it by the upper end of its interval.

Estimates say in which order to try, measurement decides.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace
from math import sqrt

from compression.budget.exact import exact
from compression.budget.plans import ALONE, Bench, Plan, Proposal, Tried, drop
from compression.budget.together import together
from compression.method import mapped

MOST_TRIES = 10  # measurements on the way to a promise
NEAR = 0.005  # of the file: closer the smallest file that keeps a promise is not looked for


def told(steps: Generator[float, None, Plan], now: Proposal | None) -> Generator[Proposal | None, None, Plan]:
    """Looking at how layers act together, as part of a proposal: how far it has come; None where nothing is to be said."""
    return mapped(steps, lambda share: now and replace(now, stage="together", share=share))


def kept(bench: Bench, now: Proposal, start: Plan, allowed: float, seconds: float) -> Iterator[Proposal | None]:
    """The smallest file whose measured loss keeps the promise: the sum of divergences allowed is halved, on a logarithmic scale.

    start: of least divergence. What is tried is each time the best that its bytes allow, with how layers act together.
    """
    table, wish, known = bench.table, now.wish, {}

    def tried(plan: Plan) -> Iterator[Plan | None]:
        if plan.choice.places in known:
            yield known[plan.choice.places]
            return
        for judged in bench.judged(plan, allowed):
            plan = judged or plan
            yield judged
        known[plan.choice.places] = plan

    def noted(plan: Plan) -> Tried:
        value, _, high = drop(plan.quality)
        return Tried(table.within().choice(plan.choice.places).cost, plan.file_bytes, value, high, high <= allowed and plan.quality.complete)

    start = yield from told(together(bench, (start,), lambda most: table.within(most, wish.most_adds), start.file_bytes, 1), now)
    for judged in tried(start):
        start = judged or start
        yield judged and replace(now, plans=(start,))
    first = noted(start)
    now = replace(now, plans=(start,), tries=(first,))
    if not first.kept:
        yield replace(now, broken=f"the least that these options lose within the limits is {100 * first.drop:.1f} points, up to "
                                  f"{100 * first.high:.1f} with its interval, and {100 * allowed:g} may be lost; allow more, or give more options")
        return
    best, low = start, max(first.nats, 1e-6)
    smallest = bench.plan(ALONE, exact(table.smallest(1e30, wish.most_bytes, wish.most_adds), seconds))
    high, least = max(10 * low, sum(o.nats for o in table.chosen(smallest.choice.places))), smallest.file_bytes
    while len(now.tries) < MOST_TRIES and best.file_bytes - least > NEAR * best.file_bytes and high > 1.02 * low:
        middle = sqrt(low * high)
        plan = bench.plan(ALONE, exact(table.smallest(middle, wish.most_bytes, wish.most_adds), seconds))
        plan = yield from told(together(bench, (plan,), lambda most: table.within(most, wish.most_adds), plan.file_bytes, 1), None)
        for judged in tried(plan):
            plan = judged or plan
            yield judged and now
        note = noted(plan)
        if note.kept:
            low, best = middle, min(best, plan, key=lambda p: p.file_bytes)
        else:
            high, least = middle, max(least, plan.file_bytes)
        now = replace(now, tries=(*now.tries, note), plans=(best,))
        yield now
    yield replace(now, plans=(best,))
