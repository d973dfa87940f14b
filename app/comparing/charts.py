"""The charts of the Compare page: where in the model A and B differ, for which classes, and how sure both are."""

from math import isfinite, nan

import pandas as pd
import streamlit as st

from app import chart, compute, explain, parts, plots_compare, state, words
from app.comparing.sides import Side
from compression.compare import Bin, Comparison, most_changed
from compression.data import Data

FEW = 10  # answers: the accuracy of fewer says nothing
MOST = 12  # layers, classes or mix-ups that have a mark
SQUARE = 20  # classes of which all mix-ups fit one chart
MEASURES = {"bytes": ("Which layers take fewer bytes?", "KB"), "error": ("Which layers are closer to the original?", "dB SQNR")}
INVISIBLE = {" ": "space", "\n": "new line", "\t": "tab"}


def same_layers(a: Side, b: Side) -> bool:
    """Whether both sides have the same layers."""
    return [x.name for x in a.net.layers] == [x.name for x in b.net.layers]


def layers(a: Side, b: Side) -> None:
    """One number of each of the largest layers under A and under B."""
    both = [compute.pictures(side.net, side.recipe) for side in (a, b)]
    which = st.segmented_control("Compare layers by", MEASURES, default="bytes", key="compare.by", required=True, label_visibility="collapsed",
                                 format_func=lambda word: word.capitalize())
    title, unit = MEASURES[which]
    rows = [(p.name, *((_number(p, which), _number(q, which)))) for p, q in zip(*both, strict=True)]
    largest = {p.name for p in sorted(both[0], key=lambda p: -p.bytes_before)[:MOST]}
    shown = [row for row in rows if row[0] in largest]
    chart.show(plots_compare.dumbbells(*zip(*shown, strict=True), title, unit), key="compare.layers", height=max(280, 26 * len(shown) + 110),
               alt="Each layer under A and under B", on_click=lambda at: state.set_focus(at["customdata"]))
    apart = max(shown, key=lambda row: abs(row[2] - row[1]) if isfinite(row[2] - row[1]) else -1)
    rest = f"The {len(shown)} largest of {len(rows)} layers. " if len(shown) < len(rows) else ""
    exact = " A layer that is exact has no mark." if which == "error" else ""
    explain.beside("compare.layers", f"{rest}Click a mark to see that layer’s weights.{exact}",
                   f"They are farthest apart in {apart[0]}: {_told(apart[1], unit)} in A, {_told(apart[2], unit)} in B.", None,
                   lambda: pd.DataFrame(rows, columns=["layer", f"A ({unit})", f"B ({unit})"]))


def _number(p: compute.Picture, which: str) -> float:
    return p.bytes_after / 1e3 if which == "bytes" else p.sqnr if isfinite(p.sqnr) else nan


def _told(x: float, unit: str) -> str:
    return f"{x:,.1f} {unit}" if isfinite(x) else "exact"


def weights(a: Side, b: Side) -> None:
    """The weights of the layer in focus under A and under B."""
    name = state.focus()
    p, q = (next(x for x in compute.pictures(side.net, side.recipe) if x.name == name) for side in (a, b))
    chart.show(plots_compare.overlay(p.edges, p.after, q.after, (p.zeros, q.zeros)), key="compare.weights", height=330,
               alt="Histograms of one layer’s weights under A and under B")
    told = [f"{letter} has {words.share(x.zeros, 0)} zeros and {parts.decibels(x.sqnr)}{' dB' if isfinite(x.sqnr) else ''}"
            for letter, x in (("A", p), ("B", q))]
    explain.beside("compare.weights", f"{name}, the layer in focus.", f"In {name} {' and '.join(told)}.", None, lambda: pd.DataFrame(
        {"weight from": p.edges[:-1], "to": p.edges[1:], "A": p.after, "B": q.after}))


def classes(found: Comparison, data: Data) -> None:
    """Right answers gained and lost, class by class."""
    rows = sorted((row for row in found.by_class if row.n), key=lambda row: row.change)
    shown = rows if len(rows) <= MOST else [*rows[: MOST // 2], *rows[-MOST // 2 :]]
    told = [f"{row.a:,} of {row.n:,} right in A, {row.b:,} in B: {row.worse:,} newly wrong, {row.better:,} newly right" for row in shown]
    chart.show(plots_compare.gains([name(data, row.label) for row in shown], [row.change for row in shown], told, "Which classes pay?",
                                   "right answers gained"), key="compare.classes", alt="Right answers gained in each class",
               height=max(300, 24 * len(shown) + 120))
    worst, part = rows[0], f"The {len(shown)} of {len(rows)} that changed most. " if len(shown) < len(rows) else ""
    said = f"{name(data, worst.label)} lost most: {worst.a:,} → {worst.b:,} of {worst.n:,} right." if worst.change < 0 else "No class lost answers."
    explain.beside("compare.classes", f"{part}Bars to the left: classes that B answers worse.", said, None, lambda: pd.DataFrame(
        [(name(data, r.label), r.n, r.a, r.b, r.worse, r.better, r.change) for r in rows],
        columns=["class", "answers", "right in A", "right in B", "newly wrong", "newly right", "change"]))


def mixups(found: Comparison, data: Data) -> None:
    """Which classes are taken for which others more often, or less."""
    count = len(found.confusion)
    rows = most_changed(found.confusion, 200)
    said = [(f"{name(data, t)} taken for {name(data, p)}", change) for t, p, change in rows]
    if count <= SQUARE:
        figure = plots_compare.confusion([name(data, i) for i in range(count)], found.confusion.numpy())
    else:
        top = said[:MOST]
        names, counts = [s for s, _ in top], [c for _, c in top]
        figure = plots_compare.gains(names, counts, [f"{c:+d}" for c in counts], "Which mix-ups changed?", "answers", more_is_better=False)
    chart.show(figure, key="compare.mixups", alt="How much more or less often each class is taken for another in B", height=430)
    explain.beside("compare.mixups", "Answers of B less those of A. Off the diagonal are mistakes.",
                   f"Most changed: {said[0][0]}, {said[0][1]:+d}." if said else "No mix-up changed.", None,
                   lambda: pd.DataFrame(said, columns=["mix-up", "B − A"]))


def sure(found: Comparison) -> None:
    """Accuracy against confidence."""
    a, b = found.calibration
    chart.show(plots_compare.reliability(_marks(a.bins), _marks(b.bins)), key="compare.sure", alt="Accuracy against confidence for A and B",
               height=430)
    explain.beside("compare.sure", f"Below the dotted line a network is surer than it is right. Bins of fewer than {FEW} answers have no mark.",
                   f"The mean gap (expected calibration error, {len(a.bins)} bins) is {100 * a.error:.1f} points in A and "
                   f"{100 * b.error:.1f} in B.", None,
                   lambda: pd.DataFrame([(f"{100 * x.low:.0f}–{100 * x.high:.0f} %", x.count, 100 * x.confidence, 100 * x.accuracy, y.count,
                                          100 * y.confidence, 100 * y.accuracy) for x, y in zip(a.bins, b.bins, strict=True)],
                                        columns=["confidence", "answers A", "sure A %", "right A %", "answers B", "sure B %", "right B %"]))


def _marks(bins: tuple[Bin, ...]) -> list[tuple[float, float, int]]:
    return [(100 * x.confidence, 100 * x.accuracy, x.count) for x in bins if x.count >= FEW]


def name(data: Data, label: int) -> str:
    """A class by its name, or by its number where it has none."""
    own = data.classes[label] if label < len(data.classes) else str(label)
    return INVISIBLE.get(own, own)
