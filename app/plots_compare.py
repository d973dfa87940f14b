"""Pure pictures of A against B: plain arrays in, a Plotly figure out. A is blue and an outline or a ring, B vermilion and filled."""

from collections.abc import Sequence

import numpy as np

from app.figure import Figure, figure
from app.plots import GONE, NEW, OLD
from app.plots_cells import cells

A, B = NEW, GONE
NAMES = {"autorange": "reversed", "automargin": True, "ticksuffix": " ", "type": "category"}
HATCH = {"shape": "/", "size": 6, "solidity": 0.25, "fgcolor": "#ffffff"}


def _signed(change: int) -> str:
    return f"{change:+,}".replace("-", "−") if change else "0"


def dumbbells(layers: Sequence[str], a: Sequence[float], b: Sequence[float], title: str, unit: str) -> Figure:
    """One number of each layer under A (ring) and B (dot), joined by a line. nan: not finite, drawn nowhere."""
    a, b, layers = np.asarray(a, float), np.asarray(b, float), list(layers)
    lines = [{"type": "line", "x0": x, "x1": y, "y0": name, "y1": name, "line": {"color": OLD, "width": 2}, "layer": "below"}
             for name, x, y in zip(layers, a, b, strict=True) if np.isfinite(x) and np.isfinite(y)]
    top = float(np.nanmax([*a, *b], initial=1e-3))
    dots = {"type": "scatter", "y": layers, "mode": "markers", "cliponaxis": False, "customdata": layers}
    return figure(title, unit, "", [
        {**dots, "x": a, "marker": {"size": 13, "symbol": "circle-open", "color": A, "line": {"width": 2.5}},
         "hovertemplate": f"%{{y}} in A: %{{x:,.2f}} {unit}<extra></extra>"},
        {**dots, "x": b, "marker": {"size": 8, "color": B}, "hovertemplate": f"%{{y}} in B: %{{x:,.2f}} {unit}<extra></extra>"},
    ], shapes=lines, subtitle="ring: A · dot: B", xaxis={"range": [0, 1.06 * top]},
        yaxis={**NAMES, "range": [len(layers) - 0.5, -0.5], "autorange": False})


def overlay(edges: np.ndarray, a: np.ndarray, b: np.ndarray, zeros: tuple[float, float]) -> Figure:
    """One layer's weights under A (outline) and B (fill) in the same bins; entries that are zero are a number, not a bar."""
    middle = (edges[1:] + edges[:-1]) / 2
    top = 1.12 * float(max(a.max(initial=1), b.max(initial=1)))
    return figure("What are its weights in A and in B?", "weight", "weights per bin", [
        {"type": "bar", "x": middle, "y": b, "marker": {"color": B, "opacity": 0.75},
         "hovertemplate": "%{y:,} weights near %{x:.4f}<extra>B</extra>"},
        {"type": "scatter", "x": middle, "y": a, "mode": "lines", "line": {"color": A, "width": 1.8, "shape": "hvh"},
         "hovertemplate": "%{y:,} weights near %{x:.4f}<extra>A</extra>"},
    ], xaxis={"range": [float(edges[0]), float(edges[-1])]}, yaxis={"range": [0, top]},
        subtitle=f"outline: A, {100 * zeros[0]:.0f} % zero · fill: B, {100 * zeros[1]:.0f} % zero")


def gains(names: Sequence[str], change: Sequence[int], told: Sequence[str], title: str, unit: str, more_is_better: bool = True) -> Figure:
    """Diverging bars from zero: blue where B is better, hatched vermilion where it is worse."""
    change = np.asarray(change)
    good = (change > 0) == more_is_better
    reach = 1.4 * float(max(1, np.abs(change).max(initial=1)))  # room for the numbers
    bars = {"type": "bar", "orientation": "h", "x": change, "y": list(names), "customdata": list(names), "hovertext": list(told),
            "marker": {"color": [A if g else B for g in good], "pattern": {**HATCH, "shape": ["" if g else "/" for g in good]}},
            "text": [_signed(c) for c in change.tolist()], "textposition": "outside", "cliponaxis": False,
            "hovertemplate": "%{y}: %{hovertext}<extra></extra>"}
    return figure(title, unit, "", [bars], bargap=0.3, xaxis={"range": [-reach, reach], "zeroline": True, "title": {"text": unit}}, yaxis=NAMES,
                  subtitle="plain: better in B · hatched: worse in B")


def confusion(names: Sequence[str], change: np.ndarray) -> Figure:
    """How much more (vermilion) or less (blue) often each true class got each answer in B than in A."""
    reach = float(max(1, np.abs(change).max(initial=1)))
    drawn = cells(change, names, names, [[_signed(v) if v else "" for v in row] for row in change.tolist()],
                  [[0, A], [0.5, "#f7f7f7"], [1, B]], -reach, reach, "%{y} taken for %{x}: %{z:+d}<extra></extra>", gap=1)
    return figure("Which mix-ups changed?", "answer", "truth", drawn, margin={"b": 80}, subtitle="answers in B less answers in A",
                  yaxis={**NAMES, "showgrid": False, "title": {"text": "truth"}},
                  xaxis={"type": "category", "showgrid": False, "tickangle": 40, "automargin": True, "title": {"text": "answer"}})


def reliability(a: Sequence[tuple[float, float, int]], b: Sequence[tuple[float, float, int]]) -> Figure:
    """Accuracy against confidence, a mark a bin: (confidence, accuracy, answers). On the diagonal a network is as good as it says."""
    def line(rows: Sequence[tuple[float, float, int]], color: str, symbol: str, name: str, dash: str) -> dict[str, object]:
        return {"type": "scatter", "x": [r[0] for r in rows], "y": [r[1] for r in rows], "customdata": [r[2] for r in rows], "mode": "lines+markers",
                "line": {"color": color, "dash": dash}, "cliponaxis": False, "marker": {"size": 8, "symbol": symbol, "color": color},
                "hovertemplate": f"{name}: %{{customdata:,}} answers, sure %{{x:.1f}} %, right %{{y:.1f}} %<extra></extra>"}
    return figure("Is it right as often as it says?", "confidence (%)", "accuracy (%)", [
        {"type": "scatter", "x": [0, 100], "y": [0, 100], "mode": "lines", "line": {"color": OLD, "dash": "dot", "width": 1}, "hoverinfo": "skip"},
        line(a, A, "circle-open", "A", "dash"), line(b, B, "circle", "B", "solid"),
    ], xaxis={"range": [0, 101]}, yaxis={"range": [0, 101]}, subtitle="rings, dashed: A · dots: B · dotted: as good as it says")
