"""Choices made of layers alone, improved by how they act together: estimated from moves of the scores, taken by measurement."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from compression.budget.exact import exact
from compression.budget.joint import FINAL, divergence
from compression.budget.moves import Moves, Places, descended, moving
from compression.budget.plans import SOLVER, Bench, Plan
from compression.budget.problem import Choice, Problem
from compression.method import mapped

LOOKS = 3  # times moves are measured: from the original, then each time from the choice that was found


def together(bench: Bench, starts: Sequence[Plan], problem: Callable[[int | None], Problem], most_bytes: int | None,
             looks: int = LOOKS) -> Generator[float, None, Plan]:
    """The best of some plans and of what they are improved to at the same limits; gives how far it has come, as a share of the looks.

    Moves say what to try, and of that and the starts the one is taken whose divergence, measured together on the examples that choose,
    is least. Moves from the original are asked once for a bench.
    """
    measured = divergence(bench.instruments(bench.network), bench.table, bench.data, bench.memo, FINAL[bench.data.kind])
    nats: dict[Places, float] = {}
    now, moves = starts[0], bench.moves
    for look in range(looks):
        if look or moves is None:
            for step in moving(bench.instruments(bench.network), bench.table, bench.memo, now.choice.places if look else None):
                if isinstance(step, Moves):
                    moves = step
                else:
                    yield (look + step) / looks
        assert moves is not None
        bench.moves = bench.moves or moves
        known, share = (now,) if look else starts, (look + 1) / looks
        tried = {p.choice.places: p for p in known}
        for plan in known:
            found = yield from mapped(_down(bench, moves, plan, problem, most_bytes), lambda _, share=share: share)
            tried.setdefault(found.choice.places, found)
        for places in [p for p in tried if p not in nats]:
            nats[places] = -(yield from mapped(measured(places), lambda _, share=share: share))
        best = tried[min(tried, key=nats.__getitem__)]
        stays = look and best.choice.places == now.choice.places
        now = replace(best, way=SOLVER, choice=bench.table.within().choice(best.choice.places), progress=None,
                      together=bench.moves.nats(best.choice.places), around=moves.exchanged(best.choice.places))
        if stays:
            break
    return now


def _down(bench: Bench, moves: Moves, now: Plan, problem: Callable[[int | None], Problem], most_bytes: int | None) -> Generator[None, None, Plan]:
    """A choice that moves say is better, and whose written file keeps the bytes; the same where there is none."""
    def down(of: Problem) -> Generator[None, None, Choice]:
        return descended(moves, of, now.choice.places if of.fits(now.choice.places) else exact(of).places)

    try:
        return (yield from bench.fitting(SOLVER, down, problem, most_bytes))
    except ValueError:  # none that was tried
        return now
