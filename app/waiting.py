"""What a page shows while methods prepare: what they do, how far they are, and a button to stop them. The rest stays usable."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from app import jobs, pace, readiness, state, words
from app.chart.ticker import tick
from app.part import part
from app.readiness import Piece, Wanted
from compression.network import Network
from compression.recipe import Recipe

ASK = 20.0  # CPU seconds that a page begins to prepare by itself; for more it asks
INLINE = 0.4  # seconds that a page waits, so that what is soon done needs no box


class Work(NamedTuple):
    """What has to be prepared before a page can show what it wants."""

    net: Network
    left: tuple[Wanted, ...]
    place: tuple[Any, ...]  # readiness.place of all that is wanted
    who: str
    about: float | None  # CPU seconds

    @property
    def job(self) -> jobs.Job | None:
        """The job that does this work, if it was begun."""
        job = jobs.long.find(state.owner(self.who))
        return job if job is not None and job.key == self.place else None

    def begin(self) -> None:
        """Have a worker do it."""
        jobs.long.submit(state.owner(self.who), self.place, lambda: readiness.preparing(self.net, self.left), again=True)


def needed(net: Network, chains: Sequence[Wanted], who: str) -> Work | None:
    """What has to be prepared first, which is then begun if it does not take long; None where all can be answered at once.

    who: one page asks for one kind of work at a time, and what it asks for next takes the place of what it asked for before.
    """
    left = readiness.unready(net, chains)
    if not left:
        return None
    work = Work(net, tuple(left), readiness.place(net, chains), who, readiness.seconds(net, left))
    if work.job is None and (work.about is None or work.about <= ASK):
        work.begin()
        if work.job.ended(INLINE) and not work.job.error and not readiness.unready(net, chains):
            return None
    return work


def ready(net: Network, chains: Sequence[Wanted], who: str) -> bool:
    """Whether all that is wanted can be answered at once; where it cannot, the work is begun and a box says so."""
    work = needed(net, chains, who)
    if work is not None:
        box(work)
    return work is None


def box(work: Work) -> None:
    """How far it is, with a button to stop it; or what there is to do, with a button to begin."""
    job = work.job
    if job is not None and job.running:
        _under_way(work.who, work.about)
        return
    names = " and ".join(readiness.titles(work.net, work.left))
    where = work.left[0].layer if len(work.left) == 1 else f"{len(work.left)} layers"
    long = f" That takes about {pace.told(work.about)}." if work.about else ""
    st.info(job.error if job is not None and job.error else f"{names} has to prepare on {where}, once for all settings of its dials.{long}",
            icon=":material/hourglass_empty:")
    st.button("Prepare it", key=f"{work.who}.begin", on_click=work.begin, icon=":material/play_arrow:")


@part
def _under_way(who: str, about: float | None) -> None:
    job = jobs.long.find(state.owner(who))
    if job is None or job.done:
        state.again()  # the whole page shows what has been prepared, or that it was stopped
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.progress(*told(job.latest, job.seconds, about))
    right.button("Stop preparing", key=f"{who}.stop", on_click=job.stop, width="stretch")
    st.caption("Done once for all settings of its dials. Everything else can be used meanwhile.")
    tick(True, time.monotonic_ns() % 10**9, 300, key=f"{who}.tick")


def told(piece: Piece | None, spent: float, about: float | None) -> tuple[float, str]:
    """A bar and its words: (0.34, "Preparing GPTQ on fc1 · about 12 s left")."""
    if piece is None:
        return 0.0, "Waiting for other work to take a break…"
    left = jobs.eta(piece.done, 1.0, spent) if piece.can_tell and piece.done > 0.02 else None if about is None else about - spent
    done = piece.done if piece.can_tell or about is None else min(0.95, spent / max(about, 1e-3))
    rest = "" if left is None else " · longer than expected" if left < 0 else f" · about {words.remaining(max(1.0, left))}"
    return min(1.0, done), f"Preparing {piece.title} on {piece.layer}{rest}"


RECIPE = "recipe"  # who asks for the recipe on screen


def stand_in() -> None:
    """Let what can be shown at once stand in for the recipe on screen, where its methods have yet to prepare, and have them begin.

    All figures of what stands in are its own: what is stale is that it is not yet the recipe that was asked for.
    """
    net, recipe = state.network(), state.wanted()
    before = f"{RECIPE}.shown.{net.name}"
    shown, late = readiness.stand_in(net, recipe, state.remember(before, Recipe))
    work = needed(*readiness.wanted(net, recipe), RECIPE) if late else None
    if work is None:
        shown, late = recipe, ()
    state.recall(before, shown)
    state.recall(f"{RECIPE}.work", work)
    state.stand_in(shown, late)


def recipe_box() -> None:
    """Where something stands in for the recipe on screen: how far its preparations are, and what is shown until then."""
    work = state.remember(f"{RECIPE}.work", lambda: None)
    if work is not None:
        box(work)
        st.markdown(words.as_before(state.late()))
