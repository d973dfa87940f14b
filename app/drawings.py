"""Pure pictures of the Methods page: what was prepared, a weight before and after, who keeps what. Arrays in, a Plotly figure out."""

from collections.abc import Mapping, Sequence

import numpy as np

from app.figure import Figure, axis, drawn, figure, pair
from app.plots import BEST, FOURTH, GONE, NEW, OLD
from app.plots_cells import cells

DIVERGING = [[0, NEW], [0.5, "#FFFFFF"], [1, GONE]]
SINGLE = 12  # bars that are numbered each
NOTHING = "rgba(118,118,118,0.35)"  # behind entries that are gone
KEPT = ("#DADEE3", GONE, "#56B4E9", "#006B4E")  # by neither, one, the other, both: also told apart by how light they are


def _ticks(at: Sequence[str], most: int = 6) -> dict[str, object]:
    """Names along an axis of numbered places, no more than fit."""
    places = sorted({round(i) for i in np.linspace(0, len(at) - 1, min(len(at), most))})
    return {"tickmode": "array", "tickvals": places, "ticktext": [at[i] for i in places], "tickangle": 0}


def _line_at(x: float) -> dict[str, object]:
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": GONE, "width": 2, "dash": "dash"}}


def found(kind: str, title: str, values: np.ndarray, x: str, y: str, at: Sequence[str] = (), mark: float | None = None,
          gone: np.ndarray | None = None, outline: tuple[np.ndarray, np.ndarray] | None = None, along: np.ndarray | None = None,
          down: Sequence[str] = ()) -> Figure:
    """What a preparation found. kind: "curve", "bars", "spread", "map", "levels" or "stairs"; mark: the present setting, a place along x.

    gone: (n,) what is removed, shown apart from the rest. outline: (edges, counts) of the weights behind the levels. along: (n,) where
    values stand along x; down: names of a map's rows.
    """
    shapes = [] if mark is None else [_line_at(mark)]
    along_x = {"xaxis": {"title": {"text": x}} | (_ticks(at) if at else {"dtick": 1} if kind == "bars" and len(values) <= SINGLE else {})}
    if kind == "map":
        top = float(np.abs(values).max()) or 1.0
        scale = {"colorscale": DIVERGING, "zmin": -top, "zmax": top} if values.min() < 0 else {"colorscale": "Cividis"}
        cells = {"type": "heatmap", "z": values, "colorbar": {"thickness": 10}, **scale,
                 "hovertemplate": f"{y} %{{y}}, {x} %{{x}}: %{{z:.4g}}<extra></extra>"}
        rows = _ticks(down, 16) | {"automargin": True} if down else {}
        return figure(title, x, "" if down else y, [cells], yaxis={"autorange": "reversed", **rows}, shapes=shapes, **along_x)
    if kind == "stairs":
        same = [float(along.min()), float(along.max())]
        dots = {"type": "scatter", "x": along, "y": values, "mode": "markers", "marker": {"size": 4, "color": NEW},
                "hovertemplate": f"{x} %{{x:.4f}}: %{{y:.4f}}<extra></extra>"}
        line = {"type": "scatter", "x": same, "y": same, "mode": "lines", "line": {"color": OLD, "width": 1}, "hoverinfo": "skip"}
        return figure(title, x, y, [line, dots])
    if kind == "levels":
        edges, counts = outline if outline is not None else (np.array([values.min(), values.max()]), np.array([0]))
        lines = [{"type": "line", "x0": v, "x1": v, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": NEW, "width": 1.5}} for v in values]
        behind = {"type": "scatter", "x": (edges[1:] + edges[:-1]) / 2, "y": counts, "mode": "lines",
                  "line": {"color": OLD, "width": 1.5, "shape": "hvh"}, "hovertemplate": "%{y:,} weights near %{x:.4f}<extra></extra>"}
        return figure(title, x, y, [behind], subtitle="blue lines: levels · grey: weights as trained", shapes=lines)
    if kind == "spread":
        edges = np.histogram_bin_edges(values, 60)
        parts = [("all", NEW, values)] if gone is None else [("kept", NEW, values[~gone]), ("removed", GONE, values[gone])]
        bars = [{"type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": np.histogram(each, edges)[0], "name": name, "marker": {"color": colour},
                 "opacity": 1 if gone is None else 0.65, "hovertemplate": f"%{{y:,}} near %{{x:.4g}}<extra>{name}</extra>"}
                for name, colour, each in parts]
        return figure(title, x, y, bars, barmode="overlay", subtitle="" if gone is None else "blue: kept · orange: removed")
    if kind == "bars":
        colours = NEW if gone is None else [GONE if g else NEW for g in gone]
        bars = {"type": "bar", "x": np.arange(len(values)) + (0 if at else 1), "y": values, "marker": {"color": colours},
                "hovertemplate": f"{x} %{{x}}: %{{y:.4g}}<extra></extra>"}
        return figure(title, x, y, [bars], subtitle="" if gone is None else "blue: kept · orange: removed", bargap=0.15, **along_x)
    line = {"type": "scatter", "x": np.arange(len(values)), "y": values, "text": list(at), "mode": "lines+markers" if len(values) <= 40 else "lines",
            "line": {"color": NEW}, "hovertemplate": f"{x} %{{text}}: %{{y:.4g}}<extra></extra>"}
    return figure(title, x, y, [line], shapes=shapes, subtitle="" if mark is None else "dashed: where the dial stands", **along_x)


def matrices(before: np.ndarray, after: np.ndarray) -> Figure:
    """A corner of a weight as trained and as stored, on one scale, and the difference on its own; entries that are exactly zero are grey."""
    top = float(max(np.abs(before).max(), np.abs(after).max())) or 1.0
    off = float(np.abs(after - before).max())
    titles, cells, layout = ("as trained", "as stored", "difference"), [], {}
    for i, values in enumerate((before, after, after - before), start=1):
        shown = np.where(values == 0, np.nan, values) if i < 3 else values
        most, (x, y) = top if i < 3 else off or 1.0, pair(i)
        cells.append({"type": "heatmap", "z": shown, "colorscale": DIVERGING, "zmin": -most, "zmax": most, "showscale": i == 2, "hoverongaps": False,
                      "colorbar": {"thickness": 10}, "hovertemplate": "output %{y}, input %{x}: %{z:.4f}<extra></extra>",
                      "xaxis": x, "yaxis": y})
        left = (i - 1) * 0.345
        layout[axis(x)] = {"domain": (left, left + 0.31), "anchor": y, "showgrid": False, "title": {"text": "input"}, "nticks": 4}
        layout[axis(y)] = {"anchor": x, "autorange": "reversed", "showgrid": False, "title": {"text": "output" if i == 1 else ""},
                           "showticklabels": i == 1}
    named = [{"text": f"<b>{t}</b>", "x": (i * 0.345) + 0.155, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom",
              "showarrow": False, "font": {"size": 12}} for i, t in enumerate(titles)]
    grounds = [{"type": "rect", "xref": f"{x} domain", "yref": f"{y} domain", "x0": 0, "x1": 1, "y0": 0, "y1": 1,
                "fillcolor": NOTHING, "line": {"width": 0}, "layer": "below"} for x, y in map(pair, (1, 2))]
    return drawn(cells, annotations=named, shapes=grounds, margin={"l": 60, "r": 16, "t": 28, "b": 48}, **layout)


def choices(keeps: np.ndarray, first: str, second: str) -> Figure:
    """Who keeps which weight: (outputs, inputs) of 0 neither, 1 the second alone, 2 the first alone, 3 both."""
    names = ("neither", f"only {second}", f"only {first}", "both")
    scale = [[edge, colour] for i, colour in enumerate(KEPT) for edge in (i / 4, (i + 1) / 4)]
    cells = {"type": "heatmap", "z": keeps, "colorscale": scale, "zmin": -0.5, "zmax": 3.5, "customdata": np.array(names)[keeps],
             "hovertemplate": "output %{y}, input %{x}: %{customdata}<extra></extra>", "showscale": False}
    return figure("Which weights does each keep?", "input", "output", [cells], yaxis={"autorange": "reversed"})


def by_size(edges: np.ndarray, counts: Mapping[str, np.ndarray]) -> Figure:
    """Weights by magnitude, stacked by who keeps them."""
    bars = [{"type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": y, "name": name,
             "marker": {"color": colour, "line": {"color": OLD, "width": 0.5}}, "hovertemplate": f"%{{y:,}} near %{{x:.4f}}<extra>{name}</extra>"}
            for (name, y), colour in zip(counts.items(), KEPT, strict=True)]
    return figure("How large are they?", "magnitude of the weight", "weights per bin", bars, barmode="stack")


def rewritten(names: Sequence[str], before: Sequence[float], after: Sequence[float | None]) -> Figure:
    """Largest weight of each layer beside its usual one, before and after a rewriting of the whole network; None: no longer there."""
    common = {"type": "scatter", "y": list(names), "mode": "markers", "hovertemplate": "%{y}: %{x:.2f}<extra></extra>"}
    dots = [{**common, "x": list(before), "name": "before", "marker": {"size": 11, "symbol": "circle-open", "color": OLD, "line": {"width": 2}}},
            {**common, "x": list(after), "name": "after", "marker": {"size": 8, "color": NEW}}]
    return figure("How far does the largest weight stand out?", "largest weight beside the root of the mean square", "", dots,
                  subtitle="ring: before · dot: after; left is easier to quantize", xaxis={"rangemode": "tozero"},
                  yaxis={"autorange": "reversed", "automargin": True, "ticksuffix": " ", "type": "category"})


def emptied(sparsities: Sequence[float], left: Mapping[str, np.ndarray], layers: Mapping[str, Sequence[str]], here: float) -> Figure:
    """By pruning the share left of the emptiest layer, (rungs,), as the network's sparsity rises; a cross where nothing is left."""
    x, lines, above = [100 * s for s in sparsities], [], [line[line > 0].min() for line in left.values() if (line > 0).any()]
    colours = (NEW, OLD, BEST, FOURTH, GONE)
    for (name, share), colour, dash in zip(left.items(), colours, ("solid", "dot", "dash", "dashdot", "longdash"), strict=False):
        lines.append({"type": "scatter", "x": x, "y": np.where(share > 0, 100 * share, np.nan), "customdata": list(layers[name]), "mode": "lines",
                      "name": name, "line": {"color": colour, "width": 2, "dash": dash},
                      "hovertemplate": f"{name} at %{{x:.0f}} %: %{{y:.3g}} % left of %{{customdata}}<extra></extra>"})
        for at in np.flatnonzero(share <= 0)[:1]:
            lines.append({"type": "scatter", "x": [x[at]], "y": [50 * min(above)], "mode": "markers", "showlegend": False,
                          "marker": {"symbol": "x", "size": 10, "color": colour},
                          "hovertemplate": f"{name} at %{{x:.0f}} %: {layers[name][at]} is empty<extra></extra>"})
    return figure("How much is left of the emptiest layer?", "sparsity of the network (%)", "weights left (%)", lines,
                  yaxis={"type": "log", "dtick": 1}, subtitle="cross: empty · dashed orange: where the dial stands", showlegend=True,
                  shapes=[_line_at(100 * here)], legend={"orientation": "h", "y": -0.22}, margin={"b": 90})


def relation(question: str, names: Sequence[str], values: np.ndarray) -> Figure:
    """How layers or units stand to one another: (names, names), nan where two cannot be compared."""
    known = values[np.isfinite(values)]
    top = float(np.abs(known).max(initial=0)) or 1.0
    scale = {"colorscale": DIVERGING, "zmin": -top, "zmax": top} if known.min(initial=0) < 0 else {"colorscale": "Cividis"}
    cells = {"type": "heatmap", "z": values, "x": list(names), "y": list(names), "colorbar": {"thickness": 10}, "hoverongaps": False, **scale,
             "hovertemplate": "%{y} and %{x}: %{z:.3f}<extra></extra>"}
    sides = {"type": "category", "automargin": True, "nticks": 24}
    return figure(question, "", "", [cells], xaxis=sides | {"tickangle": 45}, yaxis=sides | {"autorange": "reversed"})


def pairs_of_bits(bits: Sequence[int], good: np.ndarray, measure: str) -> Figure:
    """Per cent right by bits of weights, downwards, and of activations; nan where not measured yet. good: (widths, widths)."""
    names = [f"{b} bits" for b in bits]
    text = [["" if np.isnan(v) else f"{v:.1f}" for v in row] for row in good]
    drawn = cells(good, names, names, text, "Cividis", 0, 100, f"weights %{{y}}, activations %{{x}}: %{{text}} % {measure}<extra></extra>")
    return figure("How few bits for weights and for activations?", "activations", "weights", drawn, subtitle=f"{measure}, per cent",
                  xaxis={"type": "category", "showgrid": False}, yaxis={"type": "category", "autorange": "reversed", "showgrid": False})


def slices(counts: Mapping[str, int]) -> Figure:
    """What a file holds: its slices one on top of the other, in bytes, up to its length."""
    named, sizes = [word.replace(" ", "<br>") for word in counts], np.array(list(counts.values())) / 1e3
    total = float(sizes.sum())
    bars = {"type": "waterfall", "x": [*named, "file"], "y": [*sizes, total], "measure": ["relative"] * len(sizes) + ["total"],
            "text": [f"{s:,.2f}" for s in (*sizes, total)], "textposition": "outside", "increasing": {"marker": {"color": FOURTH}},
            "totals": {"marker": {"color": NEW}}, "connector": {"line": {"color": OLD, "width": 1, "dash": "dot"}},
            "hovertemplate": "%{x}: %{text} KB<extra></extra>", "cliponaxis": False}
    return figure("What does the file hold?", "", "bytes so far (KB)", [bars], bargap=0.35, xaxis={"tickangle": 0},
                  yaxis={"range": [0, 1.16 * max(total, 1e-3)]})
