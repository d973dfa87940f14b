"""What follows from a scan: how good the first ranking was, the best deals, the last safe settings as one step, and what they do together."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st
from scipy.stats import spearmanr

from app import compute, jobs, pairs, parts, state, words
from compression.method import Knob, Value
from compression.recipe import Recipe, Step
from compression.registry import dial, rewrites
from compression.scan_losses import Loss, losses
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


def to_csv(found: Scan, knob: str, known: Mapping[Any, Loss] | None = None) -> str:
    """The scan as a table with the columns of distiller's sensitivity files. known: top5 and loss, which a scan itself does not measure."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("parameter", knob, "top1", "top5", "loss", "half_width", "examples", "bytes_saved", "loss_examples"))
    original = 1.0 if found.original is None else found.original
    for c in found.cells:
        if c.measured:
            more = (known or {}).get((c.layer, c.value))
            top5, loss = ("" if more is None or x is None else f"{times * x:.4f}" for x, times in
                          ((more and more.top5, 100), (more and more.loss, 1)))
            rows.writerow((c.layer, c.value, f"{100 * (original - c.drop):.4f}", top5, loss, f"{100 * c.half:.4f}", c.n, c.saved_bytes,
                           more.n if more else ""))
    return text.getvalue()


def changes(recipe: Recipe, chosen: Sequence[Cell], knob: Knob) -> tuple[list[Change], list[str]]:
    """What pinning the chosen cells would change, and the locked layers that it leaves alone."""
    found, locked = [], []
    for cell in chosen:
        if recipe.is_locked(cell.layer):
            locked.append(cell.layer)
            continue
        now = _present(recipe, cell)
        if now != cell.step:
            was = parts.shown(knob, now[knob.name]) if now is not None and now.method == cell.step.method else "other" if now else "off"
            found.append(Change(cell.layer, was, parts.shown(knob, cell.value), cell.step))
    return found, locked


def _present(recipe: Recipe, cell: Cell) -> Step | None:
    """The recipe's step that the cell's would take the place of."""
    if cell.step.method in rewrites():
        return next((s for s in recipe.first if s.method == cell.step.method and s["group"] in (cell.step["group"], "all")), None)
    return next((s for s in recipe.chain(cell.layer) if dial(s.method) == dial(cell.step.method)), None)


def with_step(recipe: Recipe, layer: str, new: Step) -> Recipe:
    """The recipe with a cell's step set for its layer, or for its group of coupled layers instead of for all groups."""
    if new.method not in rewrites():
        return recipe.with_pin(layer, new)
    return replace(recipe, first=tuple(s for s in recipe.first if s.method != new.method or s["group"] != "all")).with_first(new)


def choose(found: Scan, layer: str, value: Value) -> None:
    """Set one cell in the recipe on screen, and look at its layer."""
    cell = next((c for c in found.cells if (c.layer, c.value) == (layer, value)), None)
    if cell is None:
        return
    if cell.step.method in rewrites():
        state.set_focus(layer.partition(" → ")[0])
        state.set_recipe(with_step(state.recipe(), layer, cell.step), f"{layer}: {words.share(float(value), 0)} of the units removed")
    else:
        state.pin(layer, cell.step)


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
    if len(chosen) > 1 and found.stage == "done":
        more = pairs.show(chosen, knob) or more
    return _download(found, knob) or more


def _download(found: Scan, knob: Knob) -> bool:
    """The table to take along, and a button to measure what a scan does not. Whether that is being measured."""
    net, split, owner = state.network(), state.split(), state.owner("scan.losses")
    key = (net.digest, net.data[split].digest, tuple((c.layer, c.step) for c in found.cells))
    job = jobs.long.find(owner)
    mine = job is not None and job.key == key
    running = mine and job.running
    known: Mapping[Any, Loss] = (job.latest or {}) if mine else {}
    left, right = st.columns(2, vertical_alignment="center")
    there = f"with top5 and loss of {len(known)} cells" if known else "without top5 and loss"
    left.download_button(f"Download the scan (CSV, {there})", lambda: to_csv(found, knob.name, known), "scan.csv", "text/csv", on_click="ignore",
                         help="Columns as distiller writes them: parameter, setting, top1, top5, loss; then how sure, and from how many examples.")
    wanted = sum(not c.refused for c in found.cells)
    if running:
        right.button(f"Stop measuring top5 and loss: {len(known)} of {wanted} cells", key="scan.losses.stop", on_click=job.stop)
    elif net.data[split].labels is not None and len(known) < wanted:
        right.button("Measure top5 and loss", key="scan.losses.begin",
                     on_click=lambda: jobs.long.submit(owner, key, lambda: losses(compute.instrument(net), found.cells, net.data[split]), again=True),
                     help="On 1,000 examples (60 windows of text) drawn at random, the same for all cells.")
    if mine and job.error:
        st.markdown(job.error)
    return running


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
        new = with_step(new, change.layer, change.step)
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
        joint = with_step(joint, cell.layer, cell.step)
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
