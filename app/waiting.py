"""What a page shows while methods prepare: what they do, how far they are, and a button to stop them. The rest stays usable."""

import time
from collections.abc import Sequence

import streamlit as st

from app import jobs, pace, readiness, state, words
from app.chart.ticker import tick
from app.readiness import Piece, Wanted
from compression.network import Network
from compression.recipe import Recipe

ASK = 20.0  # CPU seconds that a page begins to prepare by itself; for more it asks
INLINE = 0.4  # seconds that a page waits, so that what is soon done needs no box


def ready(net: Network, chains: Sequence[Wanted], who: str) -> bool:
    """Whether all that is wanted can be answered at once; where it cannot, the work is begun and a box says so.

    who: one page asks for one kind of work at a time, and what it asks for next takes the place of what it asked for before.
    """
    left = readiness.unready(net, chains)
    if not left:
        return True
    owner, key, about = state.owner(who), readiness.place(net, chains), readiness.seconds(net, left)

    def begin() -> None:
        jobs.long.submit(owner, key, lambda: readiness.preparing(net, left), again=True)

    job = jobs.long.find(owner)
    mine = job is not None and job.key == key
    if not mine and (about is None or about <= ASK):
        begin()
        job, mine = jobs.long.find(owner), True
        if job.ended(INLINE) and not job.error and not readiness.unready(net, chains):
            return True
    if mine and job.running:
        _under_way(who, about)
        return False
    names = " and ".join(readiness.titles(net, left))
    where = left[0].layer if len(left) == 1 else f"{len(left)} layers"
    long = f" That takes about {pace.told(about)}." if about else ""
    st.info(job.error if mine and job.error else f"{names} has to prepare on {where}, once for all settings of its dials.{long}",
            icon=":material/hourglass_empty:")
    st.button("Prepare it", key=f"{who}.begin", on_click=begin, icon=":material/play_arrow:")
    return False


@st.fragment
def _under_way(who: str, about: float | None) -> None:
    job = jobs.long.find(state.owner(who))
    if job is None or job.done:
        st.rerun()  # the whole page shows what has been prepared, or that it was stopped
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.progress(*told(job.latest, job.seconds, about))
    right.button("Stop preparing", key=f"{who}.stop", on_click=job.stop, width="stretch")
    st.caption("Done once for all settings of its dials. Everything else can be used meanwhile.")
    tick(True, time.monotonic_ns() % 10**9, 300, key=f"{who}.tick")


def told(piece: Piece | None, spent: float, about: float | None) -> tuple[float, str]:
    """A bar and its words: (0.34, "Preparing GPTQ on fc1 · about 12 s left")."""
    if piece is None:
        return 0.0, "Waiting for other work to take a break…"
    left = jobs.eta(piece.done, 1.0, spent) if piece.can_tell and piece.done > 0.02 else None if about is None else max(0.0, about - spent)
    done = piece.done if piece.can_tell or about is None else min(0.95, spent / max(about, 1e-3))
    rest = "" if left is None else f" · about {words.remaining(max(1.0, left))}"
    return min(1.0, done), f"Preparing {piece.title} on {piece.layer}{rest}"


def meanwhile(net: Network, recipe: Recipe, who: str) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe that a page can show now, and the layers that it shows as they were while their methods prepare; draws the box.

    All figures of the recipe it gives are its own: what is stale is that it is not yet the recipe on screen.
    """
    shown, late = readiness.stand_in(net, recipe, state.remember(f"{who}.shown.{net.name}", Recipe))
    if late and ready(*readiness.wanted(net, recipe), who):
        shown, late = recipe, ()
    state.recall(f"{who}.shown.{net.name}", shown)
    return shown, late
