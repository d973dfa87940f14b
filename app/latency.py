"""Latency, measured on demand: how long one forward pass takes beside the original's, on this machine."""

import time

import streamlit as st

from app import compute, jobs, state, words
from app.chart.ticker import tick
from app.part import part
from compression.measure import Latency

HELP = ("Times the network as it runs here, in turns with the original: decomposed layers as chains of smaller ones, all else as float32 "
        "with the decoded weights. Zeros and fewer bits need special kernels to save time; here they only save bytes.")


@part
def show() -> None:
    """A button; while it is measured how far it is; then the times, and for which recipe where that is no longer on screen."""
    net, recipe = state.network(), state.shown()
    if net.example is None and not net.data:
        return
    owner, key = state.owner("latency"), (net.digest, compute.fingerprint(net, recipe))
    job = jobs.long.find(owner)
    of = words.settings(*(state.dial_step(which)[which] for which in ("sparsity", "bits", "rank")))

    def begin() -> None:
        state.recall("latency.of", of)
        jobs.long.submit(owner, key, lambda: compute.timing(net, recipe), again=True)

    mine = job is not None and job.key == key
    running = mine and job.running
    with st.container(key="latency", horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(_told(job, mine, running), width="stretch")
        if running:
            st.button("Stop", key="latency.stop", on_click=job.stop)
        else:
            st.button("Measure again" if mine else "Measure latency", key="latency.begin", on_click=begin, help=HELP)
    tick(running, time.monotonic_ns() % 10**9, 300, key="latency.tick")


def _told(job: jobs.Job | None, mine: bool, running: bool) -> str:
    if job is None or (not mine and not job.items) or job.error:
        return f":small[{job.error if job is not None and job.error else 'Latency: not measured.'}]"
    if running and not job.items:
        return ":small[Latency: measuring…]"
    each: list[Latency] = job.items
    said = " ".join(words.latency(x.batch, x.seconds, x.low, x.high, x.original, (x.ratio, x.ratio_low, x.ratio_high)) for x in each)
    x = each[0]
    how = f"Medians and quartiles of {x.rounds} rounds in turns, {x.threads} thread{'s' if x.threads > 1 else ''}, {x.processor}."
    stale = "" if mine else f"**Of another recipe, {state.remember('latency.of', str)}:** "
    return f":small[{stale}Latency. {said} {words.plain(how)}]"
