"""All recipes across all their numbers: parallel coordinates that can be brushed, the rows that are left, and the file of all."""

import csv
from collections.abc import Sequence
from io import StringIO
from math import log10

import pandas as pd
import streamlit as st

from app import chart, explain, plots_tradeoff, state, words
from app.compute import BATCHES
from app.dials import DIALS
from app.plots_tradeoff import Ruler
from app.studying import axes
from app.studying.axes import Row
from app.studying.picture import View
from app.studying.plan import AIMS
from app.studying.rows import Shown
from compression.measure import Latency
from compression.recipe import Recipe, to_json

SELECTED = "study.selected"  # a network's title, and a recipe
BRUSH = "study.brush"  # an interval or several for each ruler, or None
RUNGS = {which: {aim for aims in AIMS.values() for aim in aims[which]} for which in DIALS}  # that an axis writes out
SHOWN = {"sparsity": "sparsity (%)", "bits": "bits", "rank": "rank (%)"}
COLUMNS = (
    "study", "kind", "network", "recipe", *DIALS, "file_bytes", "bits_per_weight", "multiply_adds", "accuracy", "accuracy_low", "accuracy_high",
    "agreement", "loss_nats", "data", "split", "examples", "of", "estimated",
    *(f"latency_batch_{b}_{what}" for b in BATCHES for what in ("ms", "ratio")), "processor", "axes",
    "on_front_of_study", "on_front_of_all", "recipe_json")


def lines(seen: View) -> list[Row]:
    """The rows with settings: not the networks that were never compressed."""
    return [r for r in seen.rows if r.kind != "dense"]


def rulers(rows: Sequence[Row], seen: View) -> list[Ruler]:
    """The axes of the parallel coordinates: swept dials, then what comes of them, each with better above."""
    found = []
    for place, which in enumerate(DIALS):
        values = [r.settings[place] for r in rows]
        if len(set(values)) > 1:
            shown = [100 * v if which != "bits" else log10(v) for v in values]
            few = sorted({v for v in values if v in RUNGS[which]})
            ticks = {log10(v): f"{v:g}" for v in few} if which == "bits" else {100 * v: f"{100 * v:.0f}" for v in few}
            found.append(Ruler(SHOWN[which], shown, min(shown), max(shown), which != "sparsity", ticks))
    costs = axes.costs(())
    for axis in (costs["bytes"], costs["multiply-adds"]):
        values = [axis.read(r) for r in rows]
        if None not in values and len(set(values)) > 1:
            low, high = min(values), max(values)
            ticks = {log10(v): f"{v:,.10g}" for v in (m * 10.0**p for p in range(-3, 8) for m in (1, 2, 5)) if low <= v <= high}
            found.append(Ruler(f"{axis.word} ({axis.unit})", [log10(v) for v in values], log10(low), log10(high), True, ticks))
    others = [seen.y] if seen.x.word in ("size", "multiply-adds") else [seen.x, seen.y]
    for axis in others:
        values = [axis.read(r) for r in rows]
        half = 0.5 / 10**axis.digits  # ends are rounded outwards: Plotly writes them with all their digits
        ends = round(min(values) - half, axis.digits), round(max(values) + half, axis.digits)
        found.append(Ruler(f"{axis.word} ({axis.unit})", values, *ends, not axis.more_is_better))
    return found


def brushed(rows: Sequence[Row], there: Sequence[Ruler]) -> set[int] | None:
    """Numbers of the rows within what was brushed; None where nothing was."""
    asked, labels = state.remember(BRUSH, lambda: (None, None))
    if not asked or labels != [r.label for r in there] or not any(asked):
        return None
    kept = set(range(len(rows)))
    for ranges, ruler in zip(asked, there, strict=True):
        if ranges:
            kept &= {i for i, v in enumerate(ruler.values) if any(low <= v <= high for low, high in ranges)}
    return {rows[i].number for i in kept}


def show(found: Shown, seen: View, rows: Sequence[Row], there: Sequence[Ruler], kept: set[int] | None) -> None:
    """The chart, the rows that are left, and the download."""
    st.header("All recipes", anchor=False)
    version = state.remember("study.brush.version", int)

    def brush(ranges: list) -> None:
        state.recall(BRUSH, (ranges, [r.label for r in there]))

    def clear() -> None:
        state.recall(BRUSH, (None, None))
        state.recall("study.brush.version", version + 1)

    chart.show(plots_tradeoff.parallel(there, version), key="study.parallel", height=340, on_brush=brush,
               alt="Parallel coordinates: a line a recipe across its settings and results")
    left = [r for r in rows if kept is None or r.number in kept]
    explain.beside("parallel", "Drag along an axis to keep what lies in it; the table and the chart above follow. Click an axis to let it go. "
                   f"Up is better: smaller, or more accurate. Yellow: the best {seen.y.word}; blue: the worst.",
                   f"{len(left)} of {len(rows)} recipes are kept." if kept is not None else f"{len(rows)} recipes; nothing is brushed.", None,
                   lambda: _frame(left, found, seen))
    first, second, third = st.columns([4, 1, 2], vertical_alignment="center")
    first.markdown(f"**{len(left)} of {len(rows)} recipes** lie within what is brushed." if kept is not None else f"**{len(rows)} recipes.**")
    second.button("Clear", key="study.brush.clear", on_click=clear, disabled=kept is None, width="stretch", help="Let go of all axes.")
    third.download_button("Download all (CSV)", lambda: to_csv(found, seen), f"{state.network().name}-study.csv", "text/csv", on_click="ignore",
                          width="stretch", help="All measured recipes, brushed or not, with their recipes as JSON.")
    frame = _frame(left, found, seen)
    key = f"study.table.{hash(tuple(r.number for r in left))}"

    def picked() -> None:
        at = state.value(key)["selection"]["rows"]
        if at:
            state.recall(SELECTED, (left[at[0]].network, left[at[0]].recipe))

    st.dataframe(frame, hide_index=True, width="stretch", key=key, on_select=picked, selection_mode="single-row",
                 alt="The recipes within what is brushed", column_config={
                     "size (KB)": st.column_config.NumberColumn(format="%.1f"), "±": st.column_config.NumberColumn(format="%.1f"),
                     f"{seen.y.word} ({seen.y.unit})": st.column_config.NumberColumn(format=f"%.{seen.y.digits}f")})


def _frame(rows: Sequence[Row], found: Shown, seen: View) -> pd.DataFrame:
    best = {r.number for line in seen.fronts for r in line}
    told = []
    for r in rows:
        q = r.point.quality
        ends = seen.y.spread(r)
        told.append({"recipe": r.said, "study": found.studies[r.study].title, "size (KB)": r.point.file_bytes / 1e3,
                      "multiply-adds": None if r.point.multiply_adds is None else words.many(r.point.multiply_adds),
                      f"{seen.y.word} ({seen.y.unit})": seen.y.read(r), "±": None if ends is None else (ends[1] - ends[0]) / 2, "examples": q.n,
                      "on its front": r.number in best})
    found_ends = any(seen.y.spread(r) for r in rows)
    return pd.DataFrame(told).drop(columns=[] if found_ends else ["±"], errors="ignore")


def to_csv(found: Shown, seen: View) -> str:
    """Every measured recipe; fronts are for the axes named in the row, empty where a recipe has no place on them."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    own, every, placed = {r.number for line in seen.fronts for r in line}, {r.number for r in seen.front}, {r.number for r in seen.rows}
    for r in found.rows:
        q, p = r.point.quality, r.point
        times = {x.batch: x for x in r.timed}
        rows.writerow([
            found.studies[r.study].title, r.kind, r.network, r.said, *(f"{v:.6g}" for v in r.settings), p.file_bytes,
            f"{8 * p.file_bytes / r.parameters:.4f}", "" if p.multiply_adds is None else p.multiply_adds,
            *(["", "", ""] if q.accuracy is None else [f"{x:.6f}" for x in q.accuracy]),
            "" if r.kind == "dense" else f"{q.agreement.value:.6f}", "" if q.loss is None else f"{q.loss:.6f}", q.data, q.split, q.n, q.of,
            q.estimated, *(cell for batch in BATCHES for cell in _time(times.get(batch))), next((x.processor for x in r.timed), ""),
            f"{seen.x.word} / {seen.y.word}", *((r.number in own, r.number in every) if r.number in placed else ("", "")), _one_line(r.recipe)])
    return text.getvalue()


def _time(found: Latency | None) -> tuple[str, str]:
    return ("", "") if found is None else (f"{1e3 * found.seconds:.4f}", f"{found.ratio:.4f}")


def _one_line(recipe: Recipe) -> str:
    return " ".join(to_json(recipe).split())
