"""Which two layers hurt each other: of the last safe settings, the pairs that lose more together than the sum of what each loses alone."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import compute, jobs, parts, state, words
from compression.interplay import Both, interplay
from compression.method import Knob
from compression.sensitivity import Cell

HELP = ("Looks at every two of the outlined settings on a few examples, then measures the most suspicious pairs: each alone and both together, on "
        "the same examples.")


def show(chosen: Sequence[Cell], knob: Knob) -> bool:
    """A button, then the pairs as they are measured. Whether they still are."""
    net, split, owner = state.network(), state.split(), state.owner("scan.pairs")
    key = (net.digest, net.data[split].digest, tuple((c.layer, c.step) for c in chosen))
    job = jobs.long.find(owner)
    mine = job is not None and job.key == key
    if not mine or (job.done and not job.items):
        if mine and job.error:
            st.markdown(job.error)
        st.button("Find the pair that hurts", key="scan.pairs.begin", help=HELP,
                  on_click=lambda: jobs.long.submit(owner, key, lambda: interplay(compute.instrument(net), chosen, net.data[split]), again=True))
        return False
    running = job.running
    found: tuple[Both, ...] | None = job.latest
    left, right = st.columns([3, 1], vertical_alignment="center")
    if found is None:
        left.markdown("Looking at every two layers together…")
    else:
        left.markdown(told(found, running, split))
    if running:
        right.button("Stop", key="scan.pairs.stop", on_click=job.stop, width="stretch")
    if found:
        st.dataframe(pd.DataFrame([{
            "two layers": f"{b.first.layer} {parts.shown(knob, b.first.value)}, {b.second.layer} {parts.shown(knob, b.second.value)}",
            "alone": " + ".join(f"{100 * a:.1f}" for a in b.alone), "together": f"{100 * b.together:.1f}",
            "more than the sum": f"{words.signed(100 * b.excess)} ± {100 * b.half:.1f}"} for b in found]),
            hide_index=True, width="stretch", alt="Pairs of layers: points lost alone, together, and the excess")
    return running


def told(found: Sequence[Both], running: bool, split: str) -> str:
    """The finding in a sentence, with the examples it is from."""
    if not found:
        return "Fewer than two of the outlined settings change anything, so no two can hurt each other."
    worst = found[0]
    n = f"{worst.n:,} of {worst.of:,} {split} examples{', so far' if running else ''}"
    which = f"**{worst.first.layer}** and **{worst.second.layer}**"
    excess = f"{100 * worst.excess:.1f} ± {100 * worst.half:.1f} points"
    if worst.hurts:
        return f"{which} hurt each other the most: together they lose {excess} more than the sum of their single drops ({n})."
    return (f"No pair clearly loses more than the sum of its two single drops. The worst of the {len(found)} most suspicious is {which}, with "
            f"{words.signed(100 * worst.excess)} ± {100 * worst.half:.1f} points ({n}).")
