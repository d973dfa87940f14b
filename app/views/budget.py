"""Budget: what is the best that fits? One option for each layer, chosen with proof, and measured as a whole."""

import time

import streamlit as st

from app import chart, explain, jobs, plots_budget, state, words
from app.budgeting import asking, proposal, record, rivals, work
from app.budgeting.asking import Asked
from app.budgeting.work import Found
from app.chart.ticker import tick
from app.part import part
from compression.budget.plans import Proposal


def show() -> None:
    """The whole page."""
    st.title("Budget", anchor=False)
    st.markdown("Say what the network may cost. Each layer’s options are measured alone, an integer program finds the choice of least "
                "estimated loss that fits, exchanges that pay where layers act together improve it, and that choice is measured as a whole, "
                "beside simpler ways at the same bytes.")
    if not state.network().data:
        st.info("This network was opened without data, so there are no answers to compare. Open a data file beside it.")
        return
    asked = asking.show()
    _found(asked)


@part
def _found(asked: Asked) -> None:
    net = state.network()
    chooses, reports = asking.splits(net)
    key = jobs.known_as("budget", net.digest, net.data[chooses].digest, asked)
    job = jobs.lasting.find(key)

    def start() -> None:
        if before := state.remember("budget.began", lambda: ""):
            jobs.lasting.stop(before)
        state.recall("budget.began", key)
        jobs.lasting.submit(key, key, lambda: work.finding(net, asked.chosen, asked.then, asked.wish, asked.locked, chooses), again=True)

    left, right = st.columns([3, 1], vertical_alignment="center")
    running = job is not None and job.running  # asked before what there is, or the last state could be missed
    latest: Found | None = job.latest if job else None
    found = latest.proposal if latest else None
    finished, trouble = latest is not None and not latest.doing, asking.why_not(asked)
    if running:
        left.progress(min(1.0, latest.share if latest else 0.0), latest.told if latest else "Waiting for other work to take a break…")
        right.button("Stop, keep what there is", on_click=job.stop, width="stretch", key="budget.stop")
    else:
        if trouble:
            left.info(trouble)
        elif job and job.error:
            left.warning(f"{words.plain(job.error[0].upper() + job.error[1:].rstrip('.'))}.")
        else:
            left.markdown(f"{'Done' if finished else 'Stopped'} after {job.seconds:.0f} s." if job else
                          f"Not looked for yet: {len(net.layers)} layers, {len(asked.chosen)} dial{'s' if len(asked.chosen) != 1 else ''}.")
        if not finished:  # the same is found whenever it is looked for
            right.button("Look again" if job else "Find the best recipe", on_click=start, width="stretch", disabled=bool(trouble),
                         key="budget.start")
    more = False
    if found is not None and found.best is not None:
        more = _shown(found, latest, key, chooses, reports)
    record.show()
    tick(running or more, time.monotonic_ns() % 10**9, 400, key="budget.tick")


def _shown(found: Proposal, latest: Found, key: str, chooses: str, reports: str) -> bool:
    """The proposal with all that belongs to it. Whether more is to come."""
    kind = state.network().data[chooses].kind
    with st.container(key="budget.claim"):
        proposal.claim(found, kind)
    if found.tries:
        allowed = 100 * found.wish.most_drop
        chart.show(plots_budget.promise([(t.file_bytes / 1e3, 100 * t.drop, 100 * t.high, t.kept) for t in found.tries], allowed),
                   key="budget.promise", alt="Recipes measured on the way to the smallest file that keeps the promise", height=300)
        explain.beside("budget.promise", f"{len(found.tries)} recipes measured together, on {chooses} examples.",
                       f"The smallest file whose interval keeps within {words.allowed(allowed)} takes {words.size(found.best.file_bytes)}."
                       if any(t.kept for t in found.tries) else "No recipe that was measured keeps it.", None, lambda: proposal.tried(found))
    left, right = st.columns([1, 1], gap="large")
    with left:
        proposal.layers(found)
    raced, running = (), False
    with right:
        place = st.container()
        proposal.diff(found)
    done = found.stage == "done" and not latest.doing
    tested, asking_test = {}, False
    if done:
        raced, running = rivals.race(found, key, chooses)
    with place:
        if done and reports:
            tested, asking_test = rivals.report(found, raced, key, reports)
        proposal.ways(found, raced, tested, chooses)
        if latest.why_no_traces:
            st.markdown(f":small[{latest.why_no_traces}]")
    return running or asking_test
