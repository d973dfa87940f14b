"""The chart: every recipe by what it costs and how well it answers, and what is said below it."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, log, nan
from typing import NamedTuple

import pandas as pd
import streamlit as st

from app import chart, compute, explain, parts, plots_tradeoff, state, words
from app.explain import Try
from app.plots_tradeoff import HERE, ORIGINAL, Ends, Marks, Spot
from app.studying import axes, said
from app.studying.axes import Axis, Row, reach
from app.studying.rows import Shown, original_bytes
from compression.evaluate import Estimate
from compression.recipe import Recipe
from compression.search import Point, front, knee, within

LOOKS = {"log": "logarithmic", "bars": "error bars", "near": "near the original"}
NEAR = 12.0  # points below the original that are shown near it


class View(NamedTuple):
    """The axes on the chart, the rows that have a place on both, and which of these no other beats."""

    x: Axis
    y: Axis
    looks: tuple[str, ...]
    tolerance: float  # points below the original that are allowed
    rows: tuple[Row, ...]
    fronts: tuple[tuple[Row, ...], ...]  # of each study
    front: tuple[Row, ...]  # of all that is compressed by a method, controls left out


def pickers() -> tuple[Axis, Axis, tuple[str, ...], float]:
    """Which two axes, how they are drawn, and the allowed drop in points."""
    net = state.network()
    data = net.data[state.split()]
    costs, goods = axes.costs(compute.BATCHES), axes.goods(data.kind == "text", data.labels is not None)
    if net.example is None:
        costs.pop("multiply-adds")
    first, second, third, fourth = st.columns([7, 6, 12, 5])
    x = first.selectbox("Across", list(costs), key="study.x", persist_state="session")
    y = second.selectbox("Up", list(goods), key="study.y", persist_state="session")
    looks = third.pills("Drawn with", LOOKS, default=["log", "bars"], selection_mode="multi", key="study.looks", persist_state="session",
                        format_func=LOOKS.get)
    tolerance = fourth.number_input("Allowed drop", 0.0, 50.0, 1.0, 0.5, "%.1f", key="study.tolerance", persist_state="session", help="Points.")
    return costs.get(x, costs["bytes"]), goods.get(y, next(iter(goods.values()))), tuple(looks), float(tolerance)


def view(found: Shown, x: Axis, y: Axis, looks: tuple[str, ...], tolerance: float) -> View:
    """The fronts for these axes."""
    rows = tuple(r for r in found.rows if x.read(r) is not None and y.read(r) is not None)
    fronts = tuple(tuple(front([r for r in rows if r.study == i], x.read, y.good)) if s.kind != "dense" else () for i, s in enumerate(found.studies))
    return View(x, y, looks, tolerance, rows, fronts, tuple(front([r for r in rows if not r.control], x.read, y.good)))


def show(found: Shown, seen: View, brushed: set[int] | None, selected: Row | None, better: Sequence[Row]) -> None:
    """The chart with its captions."""
    net, x, y = state.network(), seen.x, seen.y
    original, here = _original(seen), _here(seen)
    least = _least(original, y, seen.tolerance)
    middle = knee(list(seen.front), axes.scaled(x, "log" in seen.looks), y.good)
    marks = [_marks(number, s.title, s.kind, seen, brushed) for number, s in enumerate(found.studies)]
    spots = {"original": [_spot(original, seen, "the original")] if original else [],
             "here": [_spot(here, seen, "on screen")] if here else [],
             "knee": [_spot(middle, seen, "knee")] if middle else [],
             "selected": [_spot(selected, seen, "selected")] if selected and _placed(selected, seen) else [],
             "better": [_spot(r, seen, "better than it") for r in better], "letter": _letters(seen)}
    across, up = _ends(seen, original)

    def clicked(at: dict) -> None:
        number = at["customdata"]
        if isinstance(number, int) and (number in (HERE, ORIGINAL) or 0 <= number < len(found.rows)):
            pick = {HERE: state.recipe(), ORIGINAL: Recipe()}.get(number) if number < 0 else found.rows[number].recipe
            state.recall("study.selected", (net.title if number < 0 else found.rows[number].network, pick))

    chart.show(plots_tradeoff.tradeoff(marks, across, up, spots, least, "bars" in seen.looks), key="study.chart", height=520, on_click=clicked,
               alt="Scatter: how well recipes answer against what they cost, with their fronts")
    hidden = axes.outside(seen.rows, y, _plain(up)) + axes.outside(seen.rows, x, _plain(across))
    out = f" {hidden} recipe{'s lie' if hidden > 1 else ' lies'} outside; switch off “near the original” to see all." if hidden else ""
    lacking = len(found.rows) - len(seen.rows)
    missing = f" {lacking} have no {y.word if any(y.read(r) is None for r in found.rows) else x.word} and no place here." if lacking else ""
    explain.beside("tradeoff", "Filled and joined by steps: the front of a study, nothing of which is beaten in both. Hollow: beaten. "
                   f"{_bars(seen)}Click a mark for its recipe.{out}{missing}",
                   _see(seen, found), _attempt(middle), lambda: table(found, seen))
    lines = [said.knee(middle, x, y, "log" in seen.looks)] if seen.front else []
    if least is not None and seen.front:
        lines.append(said.cheapest(within([r for r in seen.rows if not r.control], least, x.read, y.good), x, y, seen.tolerance))
    lines += said.against_chance(seen.rows, [s.title for s in found.studies], x, y)
    lines += said.smaller_dense(seen.rows, seen.front, x, y)
    if lines:
        st.markdown("\n".join(f"- {line}" for line in lines))
    if state.split() == "test" and found.rows:
        st.markdown(":small[These are test examples, which only report: choose on validation examples, then look here.]")


def _bars(seen: View) -> str:
    """What the error bars are, where there are any."""
    up, across = (any(axis.spread(r) for r in seen.rows) for axis in (seen.y, seen.x))
    said = [f"up and down: 95 % intervals of {seen.y.word}"] if up else []
    said += ["left and right: quartiles of the rounds"] if across else []
    return f"Bars {' and '.join(said)}. " if said and "bars" in seen.looks else ""


def _see(seen: View, found: Shown) -> str:
    if not seen.front:
        return "Nothing is measured yet."
    first, last = seen.front[0], seen.front[-1]
    beaten = sum(not r.control for r in seen.rows) - len(seen.front)
    return (f"{len(seen.front)} recipes are on the front, from {said.at(first, seen.x, seen.y)} to {said.at(last, seen.x, seen.y)}; "
            f"{beaten} are beaten by one of them.")


def _attempt(middle: Row | None) -> Try | None:
    return Try("load the knee", state.set_recipe, (middle.recipe, f"the knee: {middle.said}")) if middle else None


def _marks(number: int, title: str, kind: str, seen: View, brushed: set[int] | None) -> Marks:
    rows = sorted((r for r in seen.rows if r.study == number), key=seen.x.read)
    places = [r.number for r in rows]
    ends = [[axis.spread(r) or (nan, nan) for r in rows] for axis in (seen.x, seen.y)]
    best = {id(r) for r in seen.fronts[number]}
    tags = said.LETTERS if kind == "dense" else ()
    return Marks(title, f"sweep {number}" if kind == "sweep" else kind, places, [seen.x.read(r) for r in rows], [seen.y.read(r) for r in rows],
                 *ends, [r.said for r in rows], [i for i, r in enumerate(rows) if id(r) in best],
                 [brushed is not None and p not in brushed and kind != "dense" for p in places], tags[: len(rows)])


def _spot(row: Row, seen: View, name: str) -> Spot:
    return Spot(name, row.number, seen.x.read(row), seen.y.read(row), row.said)


def _original(seen: View) -> Row | None:
    """The untouched network, as soon as anything was judged beside it."""
    net = state.network()
    quality = parts.judged() or (seen.rows[0].point.quality if seen.rows else None)
    if quality is None:
        return None
    timed = next((r.timed for r in seen.rows if r.timed), ())
    same = tuple(x._replace(seconds=x.original, ratio=1.0, ratio_low=1.0, ratio_high=1.0) for x in timed)
    own = replace(quality, accuracy=quality.original, loss=quality.original_loss, agreement=Estimate(1.0, 1.0, 1.0))
    of = Point(Recipe(), original_bytes(net), own, compute.operations(net, Recipe()))
    return _placed(Row(ORIGINAL, -1, "the original", net.title, of, net.parameters, timed=same), seen)


def _here(seen: View) -> Row | None:
    net, recipe, quality = state.network(), state.shown(), parts.judged()
    if quality is None or compute.waits_for_repairs(net, recipe):
        return None
    costs = compute.costs(net, recipe)
    at = Row(HERE, -1, f"the recipe on screen{words.layers(0, 0, len(state.late()))}", net.title,
             Point(recipe, costs.file_bytes, quality, costs.multiply_adds), net.parameters, timed=compute.timed(net, recipe))
    return _placed(at, seen)


def _placed(row: Row, seen: View) -> Row | None:
    return row if seen.x.read(row) is not None and seen.y.read(row) is not None else None


def _least(original: Row | None, y: Axis, tolerance: float) -> float | None:
    """Where the allowed drop ends, on an axis of per cent."""
    return y.read(original) - tolerance if original is not None and y.unit == "%" else None


def _letters(seen: View) -> list[Spot]:
    """Snapshots that are A and B, where they were judged on what is judged here."""
    net, found = state.network(), []
    for letter, side in zip("AB", state.sides(), strict=True):
        kept = state.shelf().get(side) if isinstance(side, int) else None
        row = next((r for r in seen.rows if kept and kept.digest == net.digest and r.kind != "dense" and r.recipe == kept.recipe), None)
        found += [_spot(row, seen, letter)] if row else []
    return found


def _ends(seen: View, original: Row | None) -> tuple[Ends, Ends]:
    """How far the axes reach: from what is known beforehand, so that they stand still while points come in."""
    net, x, y = state.network(), seen.x, seen.y
    whole = x.read(original) if original else max((x.read(r) for r in seen.rows), default=1.0)
    across = [x.read(r) for r in seen.rows]
    logarithmic = "log" in seen.looks
    low, high = reach(across, whole / 64 if x.unit in ("KB", "bit") else whole / 4, 1.3 * whole) if logarithmic else reach(across, 0.0, 1.1 * whole)
    first = Ends(x.title, axes.on_log((low, high)) if logarithmic else (low, high), logarithmic, x.unit, x.digits)
    top = y.read(original) if original else None
    if y.unit == "%":
        classes = len(net.data[state.split()].classes)
        least = max(0.0, 100 / max(1, classes) - 5)
        ends = (max(least, top - NEAR), min(101.0, top + NEAR / 4)) if top is not None and "near" in seen.looks else (least, 101.0)
    else:
        worst = log(max(2, len(net.data[state.split()].classes))) / (log(2) if y.unit == "bit" else 1)
        near = top is not None and "near" in seen.looks
        ends = (2 * top, 0.8 * top) if near else reach([y.read(r) for r in seen.rows if isfinite(y.read(r))], 0.0, 1.1 * worst)[::-1]
    return first, Ends(y.title, ends, False, y.unit, y.digits)


def _plain(axis: Ends) -> tuple[float, float]:
    return tuple(10**end for end in axis.ends) if axis.logarithmic else axis.ends


def table(found: Shown, seen: View) -> pd.DataFrame:
    """The chart's numbers."""
    best = {r.number for line in seen.fronts for r in line}
    return pd.DataFrame([{"study": found.studies[r.study].title, "recipe": r.said, seen.x.title: seen.x.read(r), seen.y.title: seen.y.read(r),
                          "on its front": r.number in best} for r in seen.rows])
