"""What follows from a scan: how good the first ranking was, the best deals, the last safe settings as one step, and what they do together."""

import csv
from collections.abc import Sequence
from io import StringIO
from typing import NamedTuple

import pandas as pd
import streamlit as st
from scipy.stats import spearmanr

from app import parts, state, words
from compression.method import Knob, Value
from compression.recipe import Recipe, Step
from compression.registry import dial
from compression.sensitivity import Cell, Scan

DEALS = 12


class Change(NamedTuple):
    """A layer whose recipe the last safe settings would change."""

    layer: str
    now: str
    then: str
    step: Step


def ranking(found: Scan) -> str:
    """How well the first ranking ordered the cells, against what was measured since; empty where too few are measured.

    Spearman's rank correlation between the divergence on a few examples and the measured drop.
    """
    both = [(c.nats, c.drop) for c in found.cells if c.n and c.nats == c.nats]
    if len(both) < 8 or len({drop for _, drop in both}) < 2:
        return ""
    measured = spearmanr(*zip(*both, strict=True)).statistic
    return f"The first ranking agrees with these {len(both)} measured cells at a rank correlation of {measured:.2f} (Spearman)."


def deals(found: Scan) -> list[tuple[Cell, float]]:
    """Cells by bytes saved for each point lost, the best first; infinite where no point is lost. Only what saves bytes and is measured."""
    rows = [(c, c.saved_bytes / (100 * c.drop) if c.drop > 0 else float("inf")) for c in found.cells if c.measured and c.saved_bytes > 0]
    return sorted(rows, key=lambda row: (-row[1], -row[0].saved_bytes))


def to_csv(found: Scan, knob: str) -> str:
    """The scan as a table with the columns of distiller's sensitivity files. top5 and loss are empty: a scan does not measure them."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("parameter", knob, "top1", "top5", "loss", "half_width", "examples", "bytes_saved"))
    original = 1.0 if found.original is None else found.original
    for c in found.cells:
        if c.measured:
            rows.writerow((c.layer, c.value, f"{100 * (original - c.drop):.4f}", "", "", f"{100 * c.half:.4f}", c.n, c.saved_bytes))
    return text.getvalue()


def changes(recipe: Recipe, chosen: Sequence[Cell], knob: Knob) -> tuple[list[Change], list[str]]:
    """What pinning the chosen cells would change, and the locked layers that it leaves alone."""
    found, locked = [], []
    for cell in chosen:
        if recipe.is_locked(cell.layer):
            locked.append(cell.layer)
            continue
        now = next((s for s in recipe.chain(cell.layer) if dial(s.method) == dial(cell.step.method)), None)
        if now != cell.step:
            was = parts.shown(knob, now[knob.name]) if now is not None and now.method == cell.step.method else "other" if now else "off"
            found.append(Change(cell.layer, was, parts.shown(knob, cell.value), cell.step))
    return found, locked


def show(found: Scan, safe: dict[str, Value], knob: Knob, allowed: float) -> bool:
    """All of it, below the pictures, once something is measured. Whether something still is being measured."""
    if not any(c.measured for c in found.cells):
        return False
    at = {(c.layer, c.value): c for c in found.cells}
    chosen = [at[layer, value] for layer, value in safe.items()]
    if said := ranking(found):
        st.markdown(f":small[{said}]")
    left, right = st.columns(2, gap="large")
    with left:
        _deals(found, knob)
    with right:
        _apply(chosen, knob, allowed)
    more = _together(chosen) if chosen and found.stage == "done" else False
    st.download_button("Download the scan (CSV)", lambda: to_csv(found, knob.name), "scan.csv", "text/csv", on_click="ignore",
                       help="Columns as distiller writes them: parameter, setting, top1, top5, loss. A scan measures no top5 and no loss.")
    return more


def _deals(found: Scan, knob: Knob) -> None:
    rows = deals(found)
    if not rows:
        return
    st.subheader("Bang for the buck", anchor=False)
    st.dataframe(pd.DataFrame([
        {"layer": c.layer, "setting": parts.shown(knob, c.value), "saves": words.size(c.saved_bytes),
         "loses": f"{100 * c.drop:.1f} ± {100 * c.half:.1f}",
         "saved per point": "no point lost" if rate == float("inf") else words.size(round(rate))} for c, rate in rows[:DEALS]]),
        hide_index=True, width="stretch", alt="Bytes saved for each point lost, the best first")
    st.markdown(f":small[The {min(DEALS, len(rows))} best of {len(rows)} cells. Points with their 95 % interval; one layer at a time.]")


def _apply(chosen: Sequence[Cell], knob: Knob, allowed: float) -> None:
    st.subheader("Apply last safe", anchor=False)
    if not chosen:
        st.markdown(f"No setting that was measured loses at most {words.allowed(allowed)}.")
        return
    found, locked = changes(state.recipe(), chosen, knob)
    if locked:
        st.markdown(f":small[Left alone, as locked: {', '.join(locked)}.]")
    if not found:
        st.markdown("The recipe on screen has these settings already.")
        return
    st.dataframe(pd.DataFrame([{"layer": c.layer, "now": c.now, "then": c.then} for c in found]), hide_index=True, width="stretch",
                 alt="What would change, layer by layer")
    count = words.allowed(allowed)
    st.button(f"Set and pin {len(found)} layer{'s' if len(found) > 1 else ''}", key="scan.apply", on_click=_pin, args=(tuple(found), count),
              help="One step: Undo takes all of it back. Each setting is safe alone; together they lose more.")


def _pin(found: tuple[Change, ...], count: str) -> None:
    new = state.recipe()
    for change in found:
        new = new.with_pin(change.layer, change.step)
    state.set_recipe(new, f"last safe settings ({count}) of {len(found)} layers")


def _together(chosen: Sequence[Cell]) -> bool:
    """The measured drop of all chosen cells at once beside the sum of their single drops. Whether it is still being measured."""
    key = tuple((c.layer, c.step) for c in chosen)
    if state.remember("scan.together", lambda: None) != key:
        st.button("Measure them together", key="scan.measure", on_click=state.recall, args=("scan.together", key),
                  help="All outlined settings at once, nothing else changed: does the sum of single drops hold?")
        return False
    joint = Recipe()
    for cell in chosen:
        joint = joint.with_pin(cell.layer, cell.step)
    job, progress = parts.judgement(joint, "scan.together")
    if progress is None:
        st.markdown(job.error if job is not None and job.error else "Together: measuring…")
    else:
        q = progress.quality
        st.markdown(together(chosen, q.change or q.agreement, q.change is None, q.complete))
    return parts.more_to_come(job, progress)


def together(chosen: Sequence[Cell], measured: Sequence[float], agreement: bool, complete: bool) -> str:
    """Does it add up: the sum of single drops, with its interval, against the joint drop. measured: (value, low, high)."""
    value, low, high = measured
    drop, half = (1 - value if agreement else -value), (high - low) / 2
    total, apart = sum(c.drop for c in chosen), sum(c.half**2 for c in chosen) ** 0.5
    said = "about as much as" if abs(drop - total) <= (half**2 + apart**2) ** 0.5 else "more than" if drop > total else "less than"
    so_far = "" if complete else ", so far"
    return (f"Together they lose **{100 * drop:.1f} ± {100 * half:.1f} points**{so_far}: {said} the sum of their single drops, "
            f"{100 * total:.1f} ± {100 * apart:.1f}.")
