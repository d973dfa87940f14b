"""Pure pictures of the Trade-off page: plain numbers in, a Plotly figure out. Studies differ in shape and dash as well as in colour."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.figure import Figure, drawn, figure
from app.plots import BEST, FOURTH, GONE, NEW, OLD

CLEAR, FAINT = "rgba(0,0,0,0)", 0.18
STYLES = {  # colour, symbol, dash; of controls the last two
    "sweep 0": (BEST, "circle", "solid"), "sweep 1": (NEW, "square", "dash"), "sweep 2": (FOURTH, "triangle-up", "dashdot"),
    "search": (GONE, "star-triangle-up", "longdash"), "random": (OLD, "x", "dot"), "dense": (OLD, "hexagon", "dot"),
}
HERE, ORIGINAL = -1, -2  # what a click on these marks gives, instead of a row's number


class Ends(NamedTuple):
    """An axis: its title, its ends as Plotly wants them, whether it is logarithmic, and how a number on it is written."""

    title: str
    ends: tuple[float, float]
    logarithmic: bool
    unit: str
    digits: int


class Marks(NamedTuple):
    """The rows of one study. Intervals are nan where there are none; dim: out of what was brushed."""

    name: str
    style: str  # a word of STYLES
    numbers: Sequence[int]
    x: Sequence[float]
    y: Sequence[float]
    x_ends: Sequence[tuple[float, float]]
    y_ends: Sequence[tuple[float, float]]
    said: Sequence[str]
    best: Sequence[int]  # places among these of its front, in the order of x
    dim: Sequence[bool]
    letters: Sequence[str] = ()  # written on them


class Spot(NamedTuple):
    """A single mark: the original, where one is, or a row that is pointed at."""

    name: str
    number: int
    x: float
    y: float
    said: str


def tradeoff(studies: Sequence[Marks], x: Ends, y: Ends, spots: Mapping[str, Sequence[Spot]], line: float | None, bars: bool) -> Figure:
    """Every recipe by what it costs and how well it answers.

    spots: by kind, "original", "here", "knee", "selected", "better" (than what is selected), "letter". line: where the
    allowed drop ends. Fronts are joined by steps, because nothing was measured between two recipes.
    """
    shapes, notes = [], []
    if line is not None:
        shapes = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": line, "y1": line, "line": {"color": OLD, "dash": "dot", "width": 1}}]
        notes = [{"text": "allowed drop", "xref": "paper", "x": 0, "y": line, "xanchor": "left", "yanchor": "top", "showarrow": False,
                  "font": {"size": 12}}]
    traces = [trace for marks in studies for trace in _study(marks, x, y, bars)]  # empty ones too, so that the legend keeps its place
    looks = {"original": ("star", 15, OLD, "markers+text"), "here": ("diamond", 14, NEW, "markers"), "knee": ("circle-open", 20, GONE, "markers"),
             "selected": ("square-open", 22, NEW, "markers"), "better": ("circle-open-dot", 16, NEW, "markers"), "letter": ("circle", 1, OLD, "text")}
    for kind, (symbol, size, color, mode) in looks.items():
        there = spots.get(kind, ())
        name = {"here": "on screen"}.get(kind, kind)
        if there or kind in ("here", "knee"):
            traces.append({
                "type": "scatter", "x": [s.x for s in there] or [None], "y": [s.y for s in there] or [None], "mode": mode, "name": name,
                "marker": {"symbol": symbol, "size": size, "color": color, "line": {"width": 2.5 if "open" in symbol else 0, "color": color}},
                "text": [s.name if kind in ("original", "letter") else s.said for s in there],
                "textposition": "top left" if kind == "original" else "top center",
                "customdata": [s.number for s in there], "hovertext": [s.said for s in there], "cliponaxis": False,
                "hovertemplate": f"%{{hovertext}}<br>{_numbers(x, y)}<extra></extra>", "showlegend": kind in ("here", "knee")})
    return figure("What is the best deal?", x.title, y.title, traces, hovermode="closest", showlegend=True, shapes=shapes, annotations=notes,
                  legend={"orientation": "h", "y": -0.17, "yanchor": "top", "font": {"size": 12}}, margin={"b": 96},
                  xaxis={"type": "log" if x.logarithmic else "linear", "range": x.ends, "title": {"text": x.title}, **_ticks(x)},
                  yaxis={"range": y.ends, "title": {"text": y.title}}, uirevision=f"{x.title} {y.title} {x.ends} {y.ends}")


def _ticks(axis: Ends) -> dict[str, object]:
    """On a logarithmic axis 1, 2 and 5 of each power of ten, written out."""
    if not axis.logarithmic:
        return {}
    low, high = axis.ends
    at = [m * 10.0**p for p in range(int(np.floor(low)), int(np.ceil(high)) + 1) for m in (1, 2, 5)]
    at = [v for v in at if low <= np.log10(v) <= high]
    return {"tickmode": "array", "tickvals": at, "ticktext": [f"{v:,.10g}" for v in at]}


def _numbers(x: Ends, y: Ends) -> str:
    return ", ".join(f"%{{{name}:,.{axis.digits}f}} {axis.unit}" for name, axis in (("x", x), ("y", y)))


def _study(marks: Marks, x: Ends, y: Ends, bars: bool) -> list[dict[str, object]]:
    color, symbol, dash = STYLES[marks.style]
    control = marks.style in ("random", "dense")
    best = set(marks.best)
    rest = [i for i in range(len(marks.numbers)) if i not in best]

    def some(places: Sequence[int], **style: object) -> dict[str, object]:
        return {"type": "scatter", "x": [marks.x[i] for i in places] or [None], "y": [marks.y[i] for i in places] or [None],
                "customdata": [marks.numbers[i] for i in places], "text": [marks.said[i] for i in places],
                "hovertemplate": f"%{{text}}<br>{_numbers(x, y)}<extra>{marks.name}</extra>",
                "legendgroup": marks.name, "name": marks.name, **_bars(marks, places, bars, color), **style}

    faint = [[FAINT if marks.dim[i] else 1.0 for i in places] for places in (rest, list(marks.best))]
    hollow = {"size": 8, "color": color if symbol == "x" else CLEAR, "symbol": symbol, "opacity": faint[0], "line": {"color": color, "width": 1.5}}
    found = [some(rest, mode="markers", marker=hollow, showlegend=marks.style == "dense")]
    if marks.letters:
        found = [some(rest, mode="markers+text", marker=hollow | {"size": 15}, text=list(marks.letters), textfont={"size": 11},
                      hovertext=[marks.said[i] for i in rest]) | {"hovertemplate": f"%{{hovertext}}<br>{_numbers(x, y)}<extra>{marks.name}</extra>"}]
    if marks.style != "dense":
        full = {"size": 9, "color": color, "symbol": symbol, "opacity": faint[1], "line": {"width": 0}}
        found.append(some(list(marks.best), mode="lines+markers", marker=full, line={"color": color, "shape": "hv", "dash": dash,
                                                                                    "width": 1.2 if control else 2}))
    return found


def _bars(marks: Marks, places: Sequence[int], bars: bool, color: str) -> dict[str, object]:
    if not bars:
        return {}
    found = {}
    for name, values, ends in (("error_x", marks.x, marks.x_ends), ("error_y", marks.y, marks.y_ends)):
        if any(ends[i][0] == ends[i][0] for i in places):
            found[name] = {"type": "data", "symmetric": False, "array": [ends[i][1] - values[i] for i in places],
                           "arrayminus": [values[i] - ends[i][0] for i in places], "thickness": 1, "width": 2, "color": OLD}
    return found


class Ruler(NamedTuple):
    """One axis of the parallel coordinates."""

    label: str
    values: Sequence[float]
    low: float
    high: float
    flipped: bool = False  # so that up is better
    ticks: Mapping[float, str] = {}  # what some values are called


def parallel(rulers: Sequence[Ruler], version: int) -> Figure:
    """A line a recipe across all its numbers, coloured by the last of them, yellow being best. A new version forgets what was brushed."""
    last = rulers[-1]
    lines = {"type": "parcoords", "labelangle": -12, "labelside": "top", "dimensions": [
        {"label": r.label, "values": list(r.values), "range": [r.high, r.low] if r.flipped else [r.low, r.high],
         **({"tickvals": list(r.ticks), "ticktext": list(r.ticks.values())} if r.ticks else {})} for r in rulers],
        "line": {"color": list(last.values), "colorscale": "Cividis", "cmin": last.low, "cmax": last.high, "reversescale": last.flipped},
        "unselected": {"line": {"color": OLD, "opacity": 0.12}}}
    return drawn([lines], margin={"l": 64, "r": 48, "t": 76, "b": 20}, uirevision=f"brush {version}")


class Node(NamedTuple):
    """A recipe that was on screen: its place in the tree, and what is known of it."""

    number: int
    step: int
    lane: int
    parent: int | None
    change: str  # what led here
    said: str
    kb: float  # nan where it is not known
    value: float  # per cent; nan where it was not measured


def tried(nodes: Sequence[Node], here: int, measure: str, ends: tuple[float, float]) -> Figure:
    """What was tried, step by step, each branch in a lane of its own; area: bytes."""
    by_number = {n.number: n for n in nodes}
    lines: dict[str, list[float | None]] = {"x": [], "y": []}
    for n in nodes:
        if n.parent is not None:
            p = by_number[n.parent]
            lines["x"] += [p.step, p.step + 0.5 if p.lane != n.lane else n.step, n.step, None]
            lines["y"] += [p.lane, n.lane, n.lane, None]
    top = max((n.kb for n in nodes if n.kb == n.kb), default=1.0)
    size = [12 + 22 * (n.kb / top) ** 0.5 if n.kb == n.kb else 12 for n in nodes]
    known = [n.value == n.value for n in nodes]
    common = {"type": "scatter", "cliponaxis": False}
    marks = [{**common, "mode": "lines", "x": lines["x"], "y": lines["y"], "line": {"color": OLD, "width": 1.5}, "hoverinfo": "skip"}]
    for which in (True, False):
        there = [i for i, k in enumerate(known) if k is which]
        if not there:
            continue
        of = [nodes[i] for i in there]
        marker = {"size": [size[i] for i in there], "line": {"color": OLD, "width": 1.5}, "color": CLEAR}
        if which:
            marker |= {"color": [n.value for n in of], "colorscale": "Cividis", "cmin": ends[0], "cmax": ends[1],
                       "colorbar": {"title": {"text": f"{measure} (%)"}, "thickness": 12}}
        known_of = [f"{n.value:.1f} % {measure}" if which else "not measured yet" for n in of]
        marks.append({**common, "mode": "markers+text", "x": [n.step for n in of], "y": [n.lane for n in of], "marker": marker,
                      "text": [n.change for n in of], "textfont": {"size": 11},
                      "textposition": [f"{'top' if n.step % 2 else 'bottom'} center" for n in of],
                      "customdata": [n.number for n in of],
                      "hovertext": [f"{n.said}<br>{_kb(n)}{k}" for n, k in zip(of, known_of, strict=True)],
                      "hovertemplate": "%{hovertext}<extra></extra>"})
    now = by_number[here]
    marks.append({**common, "mode": "markers", "x": [now.step], "y": [now.lane], "hoverinfo": "skip",
                  "marker": {"symbol": "circle-open", "size": size[nodes.index(now)] + 8, "color": NEW, "line": {"width": 2.5}}})
    lanes = max(n.lane for n in nodes)
    last = max(n.step for n in nodes)
    return figure("What was tried?", "step", "", marks, subtitle="area: size of the file · blue ring: on screen", margin={"l": 24},
                  xaxis={"range": [-0.6, max(last, 5) + 0.6], "dtick": 1, "title": {"text": "step"}, "showgrid": False},
                  yaxis={"range": [lanes + 0.8, -0.7], "showticklabels": False, "showgrid": False, "zeroline": False})


def _kb(node: Node) -> str:
    return f"{node.kb:,.1f} KB, " if node.kb == node.kb else ""
