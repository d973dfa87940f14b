"""Pure pictures of the Budget page: plain values in, a Plotly figure out. Estimates are hollow, measurements filled."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.figure import Figure, figure
from app.plots import BEST, FOURTH, GONE, NEW, OLD

NAMES = {"autorange": "reversed", "automargin": True, "ticksuffix": " ", "type": "category"}
KINDS = {"bits": (NEW, ""), "sparsity": (GONE, "/"), "rank": (BEST, "x"), "original": (OLD, ".")}  # never told by colour alone
LINES = (NEW, GONE, BEST, FOURTH, OLD, "#56B4E9", "#E69F00", "#8B5A2B")
DASHES = ("solid", "dash", "dot", "dashdot")


def allocation(rows: Sequence[tuple[str, float, float, str, str]], focus: str) -> Figure:
    """What each layer got: rows of (layer, KB before, KB after, kind, setting); outline before, fill after, network order from the top."""
    names = [r[0] for r in rows]
    before, after = (np.array([r[i] for r in rows], float) for i in (1, 2))
    top = float(max(before.max(initial=0), after.max(initial=0), 1e-3))
    common = {"type": "bar", "orientation": "h", "y": names, "customdata": names}
    bars = [{**common, "x": before, "marker": {"color": "rgba(118,118,118,0.12)", "line": {"color": OLD, "width": 1}}, "showlegend": False,
             "hovertemplate": "%{y}: %{x:,.2f} KB as trained<extra></extra>"}]
    for kind, (color, pattern) in KINDS.items():
        here = [i for i, r in enumerate(rows) if r[3] == kind]
        if here:
            own = [names[i] for i in here]
            bars.append({**common, "y": own, "customdata": own, "x": after[here], "width": 0.6, "name": kind,
                         "marker": {"color": color, "pattern": {"shape": pattern, "size": 6, "solidity": 0.25, "fgcolor": "#ffffff"}},
                         "hovertemplate": "%{y}: %{x:,.2f} KB<extra></extra>"})
    notes = [{"x": max(b, a), "y": name, "text": f"<b>{said}</b>" if name == focus else said, "showarrow": False, "xanchor": "left", "xshift": 4,
              "font": {"size": 12}} for name, b, a, _, said in rows]
    return figure("What does each layer get?", "size (KB)", "", bars, barmode="overlay", bargap=0.25, annotations=notes, yaxis=NAMES,
                  subtitle="outline: as trained · fill: chosen", xaxis={"range": [0, top * 1.2]}, showlegend=True, margin={"t": 84},
                  legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left", "traceorder": "normal"})


def ways(rows: Sequence[tuple[str, Sequence[float] | None, Sequence[float] | None]], allowed: float | None = None) -> Figure:
    """Points lost by each way: rows of (way, validation, test), each (lost, low, high) in points or None; bars are 95 % intervals.

    A fourth number tells whether all examples were asked; while they are not, the mark is hollow. At the right: what was lost on test examples,
    or on validation examples where those were not asked, as one bad way may make all others look alike.
    """
    names = [r[0] for r in rows]
    told = [(r[0], r[2] or r[1]) for r in rows if r[2] or r[1]]
    numbers = [{"xref": "paper", "x": 1, "xanchor": "left", "xshift": 6, "y": name, "text": f"{said[0]:.2f}", "showarrow": False,
                "font": {"size": 12}} for name, said in told]

    def marks(which: int, **style: object) -> dict[str, object]:
        there = [(r[0], *r[which]) for r in rows if r[which] is not None]
        lost, low, high = (np.array([t[i] for t in there], float) for i in (1, 2, 3))
        whole = [len(t) < 5 or t[4] for t in there]
        error = {"type": "data", "symmetric": False, "array": high - lost, "arrayminus": lost - low, "thickness": 1.4, "width": 4}
        return {"type": "scatter", "mode": "markers", "x": lost, "y": [t[0] for t in there], "error_x": error, "cliponaxis": False,
                "hovertemplate": f"%{{y}}: %{{x:.2f}} points lost on {style['name']}<extra></extra>", **style,
                "marker": {**style["marker"], "symbol": [f"{style['marker']['symbol']}{'' if w else '-open'}" for w in whole]}}

    data = [marks(which, name=name, marker={"color": color, "size": 10, "symbol": symbol})
            for which, name, color, symbol in ((1, "validation", NEW, "circle"), (2, "test", GONE, "diamond")) if any(r[which] for r in rows)]
    across = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
    lines = [{**across, "x0": x, "x1": x, "line": {"color": color, "width": 1, "dash": dash}}
             for x, color, dash in [(0, OLD, "solid"), *([(allowed, GONE, "dot")] if allowed is not None else [])]]
    return figure("Who loses least?", "points lost, measured together", "", data, shapes=lines, showlegend=True, annotations=numbers,
                  legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"}, margin={"t": 70, "r": 52},
                  yaxis={**NAMES, "autorange": False, "range": [len(names) - 0.5, -0.5], "categoryarray": names, "categoryorder": "array"})


def race(runs: Mapping[str, Sequence[Sequence[float]]], target: float | None, evaluations: int) -> Figure:
    """Least divergence so far against measurements, a colour and dash for each search, a line for each seed; dashed across: the solver's."""
    data = []
    for i, (title, seeds) in enumerate(runs.items()):
        line = {"color": LINES[i % len(LINES)], "dash": DASHES[i // 2 % len(DASHES)], "width": 1.8, "shape": "hv"}
        for j, found in enumerate(seeds):
            data.append({"type": "scatter", "mode": "lines", "x": list(range(1, len(found) + 1)), "y": list(found), "name": title,
                         "legendgroup": title, "showlegend": j == 0, "line": line,
                         "hovertemplate": f"{title}: %{{y:.3g}} nats after %{{x}}<extra></extra>"})
    shapes, notes = [], []
    if target is not None:
        shapes = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": target, "y1": target, "line": {"color": OLD, "width": 2, "dash": "dash"}}]
        notes = [{"xref": "paper", "x": 1, "y": np.log10(max(target, 1e-9)), "text": "solver", "showarrow": False, "xanchor": "right",
                  "yanchor": "bottom", "font": {"size": 12}}]
    return figure("How soon do searches find as good a choice?", "recipes measured", "best divergence so far (nats)", data, shapes=shapes,
                  annotations=notes, showlegend=True, legend={"orientation": "h", "y": -0.22}, margin={"b": 90},
                  xaxis={"range": [0, evaluations + 1]}, yaxis={"type": "log", "dtick": "D2", "tickformat": "~g"},
                  subtitle="lower is better · a line for each seed")


def promise(tries: Sequence[tuple[float, float, float, bool]], allowed: float) -> Figure:
    """The way to a promise: (KB, points lost, upper end, kept) of each recipe measured; filled where the upper end keeps within the allowed."""
    def marks(kept: bool, **style: object) -> dict[str, object]:
        there = [t for t in tries if t[3] == kept]
        return {"type": "scatter", "mode": "markers", "x": [t[0] for t in there], "y": [t[1] for t in there], "cliponaxis": False,
                "error_y": {"type": "data", "symmetric": False, "array": [t[2] - t[1] for t in there], "arrayminus": [0] * len(there),
                            "thickness": 1.4},
                "hovertemplate": "%{x:,.1f} KB: %{y:.2f} points lost<extra></extra>", **style}

    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": allowed, "y1": allowed, "line": {"color": GONE, "width": 1.5, "dash": "dot"}}
    top = max(3 * allowed, 0.5)
    return figure("Which smallest file keeps the promise?", "file (KB)", "points lost", [
        marks(True, name="keeps it", marker={"color": BEST, "size": 10}),
        marks(False, name="does not", marker={"color": GONE, "size": 10, "symbol": "x"})], shapes=[line], showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"}, margin={"t": 70}, yaxis={"range": [-0.3, top]},
        subtitle="bars: to the upper end of the 95 % interval · dotted: allowed")
