"""Pure pictures: plain arrays in, a Plotly figure out. The palette lives here only.

Text, grid and background colours are set where the figure is shown, so that one figure suits both themes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from app.figure import Figure, axis, drawn, figure, pair

NEW, GONE, BEST, OLD, FOURTH = "#0072B2", "#D55E00", "#009E73", "#767676", "#CC79A7"
HEADROOM = 1.6  # of a chart over the weights as trained, for bars of what a recipe makes of them
SHORT = 22  # letters of a layer's name where there is little room
CROWDED = 15  # the same over small charts in half of the width
COLUMNS, NARROW = 4, 2  # small charts side by side, and on a screen too narrow for them


def across(count: int) -> int:
    """How many small charts stand side by side."""
    return 2 if count <= 4 else 3 if count <= 6 else COLUMNS


def narrowly(count: int) -> int:
    """The same where there is half of the width."""
    return min(across(count), 3)


def _three(x: float) -> str:
    """Three significant digits or more, as sizes are written everywhere else."""
    return f"{x:,.{0 if x >= 100 else 1 if x >= 10 else 2}f}"


def _both_ends(name: str, most: int) -> str:
    """A layer's name without its middle, where there is no room for all of it: both ends tell it from the others."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[1 + most // 2 - most :]}"


def histogram(edges: np.ndarray, before: np.ndarray, after: np.ndarray, zeros: float, count: int, threshold: float | None) -> Figure:
    """One layer's weights before (grey outline) and after (blue); entries that are zero are a number, not a bar."""
    middle = (edges[1:] + edges[:-1]) / 2
    top = HEADROOM * float(before.max(initial=1))
    over = _over(middle, after, top)
    shapes = []
    if threshold:
        shapes = [{"type": "rect", "x0": -threshold, "x1": threshold, "y0": 0, "y1": top, "fillcolor": GONE, "opacity": 0.18, "line": {"width": 0}}]
        shapes += [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": top, "line": {"color": GONE, "width": 1.5, "dash": "dash"}}
                   for x in (-threshold, threshold)]
    said = "grey outline: before · blue: after" + (" · ▲ goes on above" if over["x"].size else "")
    said += f" · {100 * zeros:.0f} % of {count:,} are zero" if zeros > 0 else ""
    return figure(
        "What happened to the weights?", "weight", "weights per bin",
        [
            {"type": "bar", "x": middle, "y": after, "marker": {"color": NEW}, "name": "after",
             "hovertemplate": "%{y:,} weights near %{x:.4f}<extra>after</extra>"},
            {"type": "scatter", "x": middle, "y": before, "mode": "lines", "line": {"color": OLD, "width": 1.5, "shape": "hvh"}, "name": "before",
             "hovertemplate": "%{y:,} weights near %{x:.4f}<extra>before</extra>"},
            over | {"name": "after"},
        ],
        barmode="overlay", shapes=shapes, xaxis={"range": [float(edges[0]), float(edges[-1])]}, yaxis={"range": [0, top]}, subtitle=said,
    )


def _over(middle: np.ndarray, after: np.ndarray, top: float) -> dict[str, object]:
    """Marks at the top of the bars that are higher than a chart, whose range no dial may move."""
    there = after > top
    return {"type": "scatter", "mode": "markers", "x": middle[there], "y": np.full(int(there.sum()), 0.97 * top),
            "text": [f"{n:,}" for n in after[there]],
            "marker": {"symbol": "triangle-up", "size": 7, "color": NEW, "line": {"color": "#ffffff", "width": 1}},
            "hovertemplate": "%{text} weights near %{x:.4f}<extra>after</extra>"}


def _grid(count: int, height_share: float, columns: int = 0, gap: float = 0.04) -> list[dict[str, object]]:
    """Domains of small charts in reading order: {"x": (from, to), "y": (from, to)}, each taking that share of its row's height."""
    columns = columns or across(count)
    rows = -(-count // columns)
    width = (1 - gap * (columns - 1)) / columns
    boxes = []
    for i in range(count):
        left, top = (i % columns) * (width + gap), 1 - (i // columns) / rows
        boxes.append({"x": (left, left + width), "y": (top - 1 / rows + (1 - height_share) / rows * 0.45, top - (1 - height_share) / rows * 0.55)})
    return boxes


def all_layers(layers: Sequence[Mapping[str, object]]) -> Figure:
    """Small multiples in network order: each {"name", "said", "edges", "before", "after"} with its own scales."""
    data, over, layout = [], [], {}
    for i, row in enumerate(layers, start=1):
        edges, before, after = (np.asarray(row[k]) for k in ("edges", "before", "after"))
        middle, (x, y) = (edges[1:] + edges[:-1]) / 2, pair(i)
        axes = {"xaxis": x, "yaxis": y}
        names = [row["name"]] * len(middle)
        data.append({"type": "bar", "x": middle, "y": after, "marker": {"color": NEW}, "customdata": names, "hoverinfo": "skip", **axes})
        data.append({"type": "scatter", "x": middle, "y": before, "mode": "lines", "line": {"color": OLD, "width": 1, "shape": "hvh"},
                     "customdata": names, "hovertemplate": "%{y:,} before, near %{x:.3f}<extra></extra>", **axes})
        top = HEADROOM * float(before.max(initial=1))
        if higher := int((after > top).sum()):
            over.append(_over(middle, after, top) | axes | {"customdata": names[:higher]})
        layout[axis(x)] = {"anchor": y, "range": [float(edges[0]), float(edges[-1])], "nticks": 4, "tickangle": 0}
        layout[axis(y)] = {"anchor": x, "range": [0, top], "showticklabels": False}
    wide, narrow = (_placed(layers, columns, most) for columns, most in ((across(len(layers)), 34), (NARROW, SHORT)))
    for part, more in wide.items():
        layout[part] = layout.get(part, {}) | more if isinstance(more, dict) else more
    return drawn([*data, *over], bargap=0, meta={"narrow": narrow}, margin={"l": 12, "r": 12, "t": 24, "b": 30}, **layout)


def _placed(layers: Sequence[Mapping[str, object]], columns: int, most: int) -> dict[str, object]:
    """Where small charts and their titles stand, so many side by side: the part of a layout that says so. most: letters of a name."""
    layout, titles = {}, []
    for i, (row, box) in enumerate(zip(layers, _grid(len(layers), 0.62, columns), strict=True), start=1):
        lowest = i + columns > len(layers)
        x, y = pair(i)
        layout[axis(x)] = {"domain": box["x"], "title": {"text": "weight" if lowest else "", "standoff": 2}}
        layout[axis(y)] = {"domain": box["y"]}
        titles.append({"text": f"<b>{_both_ends(row['name'], most)}</b><br>{row['said']}", "x": sum(box["x"]) / 2, "y": box["y"][1], "xref": "paper",
                       "yref": "paper", "xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}})
    return layout | {"annotations": titles}


def size_bars(names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> Figure:
    """Bytes of each layer: outline before, fill after, network order from the top."""
    kb_before, kb_after, names = np.asarray(before) / 1e3, np.asarray(after) / 1e3, list(names)
    largest = float(max(kb_before.max(initial=0), kb_after.max(initial=0), 1e-3))
    places = list(range(len(names)))  # not the names: a layer may be called 1, and a note's y of "1" would be a place
    common = {"type": "bar", "y": places, "orientation": "h", "customdata": names}
    ends = [{"x": largest * 1.02, "y": i, "text": _three(value), "showarrow": False, "xanchor": "left", "font": {"size": 12}}
            for i, value in enumerate(kb_after)]
    return figure(
        "Where are the bytes?", "size (KB)", "",
        [
            {**common, "x": kb_before, "marker": {"color": "rgba(118,118,118,0.18)", "line": {"color": OLD, "width": 1.5}},
             "hovertemplate": "%{customdata}: %{x:,.2f} KB before<extra></extra>"},
            {**common, "x": kb_after, "marker": {"color": NEW}, "width": 0.5, "hovertemplate": "%{customdata}: %{x:,.2f} KB after<extra></extra>"},
        ],
        barmode="overlay", annotations=ends, bargap=0.25, subtitle="outline: before · blue: after",
        xaxis={"range": [0, largest * 1.18], "tickformat": ","},
        yaxis={"range": [len(names) - 0.5, -0.5], "automargin": True, "showgrid": False, "zeroline": False, "tickvals": places,
               "ticktext": [f"{_both_ends(name, SHORT)} " for name in names]},
    )


def waterfall(stages: Mapping[str, int]) -> Figure:
    """File size after each stage of a recipe, the last being what is written."""
    names, sizes = [name.replace(" ", "<br>") for name in stages], np.array(list(stages.values())) / 1e3
    steps, top = np.diff(sizes), float(max(sizes.max(), 1e-3))
    falls = {
        "type": "waterfall", "x": [*names, "file"], "y": [sizes[0], *steps, sizes[-1]], "measure": ["absolute", *["relative"] * len(steps), "total"],
        "text": [_three(sizes[0]), *(f"{'−' if s < 0 else '+'}{_three(abs(s))}" if abs(s) > 1e-9 else "0" for s in steps), _three(sizes[-1])],
        "textposition": "outside",
        "decreasing": {"marker": {"color": BEST}}, "increasing": {"marker": {"color": GONE}}, "totals": {"marker": {"color": NEW}},
        "connector": {"line": {"color": OLD, "width": 1, "dash": "dot"}}, "hovertemplate": "%{x}: %{text} KB<extra></extra>", "cliponaxis": False,
    }
    return figure("How did the file shrink?", "", "file (KB)", [falls], bargap=0.35, xaxis={"tickangle": 0},
                  yaxis={"range": [-0.1 * top, 1.16 * top], "tickformat": ","})


def limits(layers: Sequence[str], reached: Sequence[int], rungs: Sequence[str], told: Sequence[str]) -> Figure:
    """How many rungs of a ladder each layer can climb, a bar a layer, with the rung's name and what it costs."""
    every = np.unique(np.linspace(0, len(rungs), min(len(rungs), 8) + 1).astype(int))
    bars = {"type": "bar", "orientation": "h", "x": list(reached), "y": list(layers), "marker": {"color": NEW}, "text": list(told),
            "textposition": "auto", "hovertemplate": "%{y}: %{text}<extra></extra>"}
    return figure("How far can each layer go?", "", "", [bars], bargap=0.3,
                  xaxis={"range": [0, len(rungs)], "tickvals": every, "ticktext": ["original" if i == 0 else rungs[i - 1] for i in every]},
                  yaxis={"autorange": "reversed", "automargin": True, "ticksuffix": " ", "type": "category"})


def curves(layers: Sequence[str], rungs: Sequence[str], accuracy: np.ndarray, half: np.ndarray, baseline: float, chance: float,
           tolerance: float, measure: str, zoom: bool = False) -> Figure:
    """Accuracy along the rungs, one small chart a layer on a shared axis; bars are 95 % intervals.

    The axis goes from chance to the top; zoomed in, only as far as there is something to see.
    """
    data, layout, titles, lines = [], {}, [], []
    low = float(np.nanmin(accuracy - half, initial=baseline - 2 * tolerance)) if zoom else chance - 5
    high = float(np.nanmax(accuracy + half, initial=baseline)) + 0.5 if zoom else 101
    for i, box in enumerate(_grid(len(layers), 0.72, narrowly(len(layers)), 0.12), start=1):
        value, (x, y) = accuracy[i - 1], pair(i)
        error = {"type": "data", "array": half[i - 1], "thickness": 1.2, "width": 3}
        data.append({"type": "scatter", "x": list(rungs), "y": value, "mode": "lines+markers", "error_y": error, "line": {"color": NEW},
                     "marker": {"size": 6}, "hovertemplate": "%{x}: %{y:.1f} %<extra></extra>", "xaxis": x, "yaxis": y})
        layout[axis(x)] = {"domain": box["x"], "anchor": y, "type": "category", "categoryarray": list(rungs), "tickangle": 0,
                               "range": [-0.4, len(rungs) - 0.6], "tickvals": [rungs[0], rungs[-1]], "tickfont": {"size": 11}}
        layout[axis(y)] = {"domain": box["y"], "anchor": x, "range": [max(0.0, low), min(101.0, high)],
                               "showticklabels": box["x"][0] == 0, "title": {"text": f"{measure} (%)" if box["x"][0] == 0 else ""}}
        titles.append({"text": f"<b>{_both_ends(layers[i - 1], CROWDED)}</b>", "x": sum(box["x"]) / 2, "y": box["y"][1], "xref": "paper",
                       "yref": "paper", "xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}})
        for at, color, dash in ((baseline, OLD, "dash"), (baseline - tolerance, GONE, "dot")):
            lines.append({"type": "line", "xref": f"{x} domain", "yref": y, "x0": 0, "x1": 1, "y0": at, "y1": at,
                          "line": {"color": color, "dash": dash, "width": 1}})
    return drawn(data, annotations=titles, shapes=lines, margin={"l": 60, "r": 16, "t": 16, "b": 24}, **layout)


def ladder(labels: Sequence[str], sizes: Sequence[float], sqnr: Sequence[float], here: int | None, dial: str,
           trained: int | None = None) -> Figure:
    """One dial from end to end: the layer's bytes against its error, a dot a rung, the present one marked; trained: bytes before."""
    shown = np.isfinite(sqnr)  # a rung that changes nothing has no error to be drawn at
    kb, error = np.asarray(sizes)[shown] / 1e3, np.asarray(sqnr)[shown]
    at = None if here is None or not shown[here] else int(shown[:here].sum())
    dots = {"type": "scatter", "x": kb, "y": error, "cliponaxis": False, "mode": "lines+markers+text",
            "text": _apart(np.asarray(labels)[shown], kb, error, at), "hovertext": list(np.asarray(labels)[shown]),
            "textposition": "top center", "textfont": {"size": 10}, "line": {"color": NEW}, "marker": {"size": 7},
            "hovertemplate": "%{hovertext}: %{x:,.2f} KB, %{y:.1f} dB<extra></extra>"}
    marked = [{"type": "scatter", "x": [kb[at]], "y": [error[at]], "mode": "markers", "hoverinfo": "skip",
               "marker": {"size": 15, "symbol": "diamond", "color": GONE}}] if at is not None else []
    return figure("What does each setting cost?", "layer (KB)", "SQNR (dB), higher is closer", [dots, *marked],
                  subtitle=f"{dial}, from end to end", xaxis={"rangemode": "tozero"}, **_trained(trained, kb))


def _apart(labels: np.ndarray, x: np.ndarray, y: np.ndarray, first: int | None) -> list[str]:
    """The labels, but for those that would lie on one that is written; the first is always written.

    >>> _apart(np.array(["a", "b", "c"]), np.array([0.0, 1.0, 20.0]), np.array([0.0, 0.1, 5.0]), 1)
    ['', 'b', 'c']
    """
    wide, high = max(float(x.max(initial=0)), 1e-9), max(float(np.ptp(y)) if len(y) else 0, 1e-9)
    written: list[int] = []
    for i in ([first] if first is not None else []) + list(range(len(labels))):
        if all(abs(x[i] - x[j]) > 0.1 * wide or abs(y[i] - y[j]) > 0.08 * high for j in written):
            written.append(i)
    return [str(label) if i in written else "" for i, label in enumerate(labels)]


def _trained(trained: int | None, kb: np.ndarray) -> dict[str, object]:
    """A line where the layer takes as many bytes as before, where a rung comes near: beyond it nothing is saved."""
    if trained is None or kb.max(initial=0) < 0.7 * trained / 1e3:
        return {}
    return {"shapes": [{"type": "line", "x0": trained / 1e3, "x1": trained / 1e3, "yref": "paper", "y0": 0, "y1": 1,
                        "line": {"color": OLD, "width": 1.5, "dash": "dot"}}],
            "annotations": [{"text": "as trained", "x": trained / 1e3, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
                             "font": {"size": 11}}]}
