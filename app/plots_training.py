"""Pure pictures of trainings: plain arrays in, a Plotly figure out. Runs differ in colour and dash; a control is grey."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.figure import Figure, figure
from app.plots import BEST, FOURTH, GONE, NEW, OLD
from compression.train.dial import Dial

LINES = tuple((color, dash, symbol) for dash, symbols in (("solid", ("circle", "diamond", "square", "triangle-up")),
                                                         ("dash", ("cross", "star", "hexagon", "triangle-down")))
              for color, symbol in zip((NEW, GONE, BEST, FOURTH), symbols, strict=True))
CONTROLS = ((OLD, "dot", "x"), (OLD, "longdash", "circle-open"), (OLD, "dashdot", "square-open"))
TITLES = {"accuracy (%)": "What does training win?", "loss": "Does it still learn?"}
LEVEL = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
ALONG = {"seconds": "seconds of work", "steps": "steps"}


def curves(runs: Sequence[Mapping[str, object]], along: str, what: str, total: float | None = None, original: float | None = None) -> Figure:
    """Runs over their steps or seconds. Each {"title", "control", "x": (n,), "y": (n,), "low", "high": (n,) or None}; y in `what`'s unit.

    total: where the axis ends. original: a level to compare with, dashed.
    """
    traces, lines, notes = [], [], []
    used, beside = 0, 0
    for run in runs:
        color, dash, symbol = CONTROLS[beside % len(CONTROLS)] if run["control"] else LINES[used % len(LINES)]
        used, beside = used + (not run["control"]), beside + bool(run["control"])
        x, y = np.asarray(run["x"], float), np.asarray(run["y"], float)
        if len(x) == 1 and run["control"]:  # a level for the others to beat, which their first points would hide
            lines.append({**LEVEL, "y0": y[0], "y1": y[0], "line": {"color": OLD, "dash": "dot", "width": 1}})
        if run.get("low") is not None and len(x) > 1:
            band = np.concatenate([np.asarray(run["high"], float), np.asarray(run["low"], float)[::-1]])
            traces.append({"type": "scatter", "x": np.concatenate([x, x[::-1]]), "y": band, "fill": "toself", "fillcolor": color, "opacity": 0.15,
                           "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False})
        traces.append({"type": "scatter", "x": x, "y": y, "mode": "lines+markers", "name": run["title"],
                       "line": {"color": color, "dash": dash, "width": 2}, "marker": {"size": 6, "symbol": symbol, "color": color},
                       "hovertemplate": f"%{{x:,.4g}}: %{{y:.2f}}<extra>{run['title']}</extra>"})
    if original is not None:
        lines.append({**LEVEL, "y0": original, "y1": original, "line": {"color": OLD, "dash": "dash", "width": 1}})
        notes.append({"text": "original", "xref": "paper", "x": 1, "xanchor": "right", "y": original, "yanchor": "bottom", "showarrow": False,
                      "font": {"size": 12}})
    name, _, unit = what.partition(" (")
    title, axis = (TITLES[what], what) if what in TITLES else (f"{name[:1].upper()}{name[1:]}", unit.removesuffix(")"))
    return figure(title, ALONG[along], axis, traces, hovermode="closest", shapes=lines,
                  annotations=notes, xaxis={"range": [-0.02 * total, 1.02 * total]} if total else None, showlegend=True,
                  legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}, margin={"b": 70 + 22 * len(runs)})


def softened(classes: Sequence[str], chances: Sequence[Sequence[float]], temperatures: Sequence[float]) -> Figure:
    """Probabilities of classes (temperatures, classes), with a dial for the temperature that the browser alone answers."""
    def bars(row: Sequence[float]) -> list[float]:
        return [100 * p for p in row]

    steps = [{"method": "restyle", "label": f"{t:g}", "args": [{"y": [bars(row)]}, [0]]} for t, row in zip(temperatures, chances, strict=True)]
    dial = {"active": 0, "steps": steps, "currentvalue": {"prefix": "Temperature T = "}, "pad": {"t": 60}, "x": 0, "len": 1}
    data = [
        {"type": "bar", "x": list(classes), "y": bars(chances[0]), "marker": {"color": NEW}, "name": "at T",
         "hovertemplate": "%{x}: %{y:.2f} %<extra>at T</extra>"},
        {"type": "scatter", "mode": "markers", "x": list(classes), "y": bars(chances[0]), "name": "at T = 1", "marker": {
            "color": OLD, "symbol": "line-ew-open", "size": 22, "line": {"width": 2.5}}, "hovertemplate": "%{x}: %{y:.2f} %<extra>T = 1</extra>"},
    ]
    return figure("What else could it have been?", "", "probability (%)", data, "blue: at T · grey: the teacher's own", sliders=[dial], bargap=0.3,
                  yaxis={"range": [0, 102]}, xaxis={"type": "category", "tickangle": -30}, margin={"b": 110})


def dial(found: Dial) -> Figure:
    """How something lies along an axis, with a dial that the browser alone answers; what comes of each setting stands above the bars."""
    def told(i: int) -> dict[str, object]:
        return {"text": found.told[i], "x": 0, "y": 1.02, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom",
                "showarrow": False, "font": {"size": 12}}

    def mark(i: int) -> list[dict[str, object]]:
        return [{"type": "line", "x0": found.marks[i], "x1": found.marks[i], "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"color": GONE, "width": 2, "dash": "dash"}}] if found.marks else []

    def heights(i: int) -> list[np.ndarray]:
        bars = found.bars[i if len(found.bars) > 1 else 0].numpy()
        return [bars] if found.lines is None else [bars, found.lines[i].numpy()]

    first, x = found.begins, found.x.numpy()
    steps = [{"method": "update", "label": setting, "args": [{"y": [each.tolist() for each in heights(i)]},
                                                            {"annotations": [told(i)], "shapes": mark(i)}]}
             for i, setting in enumerate(found.settings)]
    sliders = [{"active": first, "steps": steps, "currentvalue": {"prefix": f"{found.name} "}, "pad": {"t": 60}, "x": 0, "len": 1}]
    top, low = max(float(found.bars.max()), 1e-6), 1e-3
    data = [{"type": "bar", "x": x, "y": heights(first)[0], "marker": {"color": NEW},
             "hovertemplate": f"%{{y:.3g}} % near %{{x:.3g}}<extra>{found.axes[0]}</extra>"}]
    if found.lines is not None:
        data.append({"type": "scatter", "mode": "lines", "x": x, "y": heights(first)[1], "line": {"color": GONE, "width": 2},
                     "hovertemplate": "%{y:.3g} % near %{x:.3g}<extra>mixture</extra>"})
    span = {"type": "log", "range": [np.log10(low), np.log10(2 * top)]} if found.logarithmic else {"range": [0, 1.1 * top]}
    return figure(found.question, found.axes[0], found.axes[1], data, sliders=sliders, bargap=0, yaxis=span, annotations=[told(first)],
                  shapes=mark(first), margin={"b": 120, "t": 70})


def height(runs: int, plain: int) -> int:
    """Pixels of a chart with a legend of so many runs, whose plot is as high as that of a chart of `plain` pixels without."""
    return plain + 22 * runs
