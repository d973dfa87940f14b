"""Pure pictures: plain arrays in, a Plotly figure out. The palette lives here only.

Text, grid and background colours are set where the figure is shown, so that one figure suits both themes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

NEW, GONE, BEST, OLD, FOURTH = "#0072B2", "#D55E00", "#009E73", "#767676", "#CC79A7"
COLUMNS = 4


def across(count: int) -> int:
    """How many small charts stand side by side."""
    return 2 if count <= 4 else 3 if count <= 6 else COLUMNS


def _figure(title: str, x: str, y: str, **layout: object) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(title={"text": title, "font": {"size": 15}}, xaxis_title=x, yaxis_title=y, uirevision="keep",
                         showlegend=False, margin={"l": 60, "r": 16, "t": 44, "b": 48}, bargap=0, **layout)
    return figure


def histogram(edges: np.ndarray, before: np.ndarray, after: np.ndarray, zeros: float, count: int, threshold: float | None) -> go.Figure:
    """One layer's weights before (grey outline) and after (blue); entries that are zero are a number, not a bar."""
    figure = _figure("What happened to the weights?", "weight", "weights per bin", barmode="overlay")
    middle = (edges[1:] + edges[:-1]) / 2
    figure.add_bar(x=middle, y=after, marker_color=NEW, name="after", hovertemplate="%{y:,} weights near %{x:.4f}<extra>after</extra>")
    figure.add_scatter(x=middle, y=before, mode="lines", line={"color": OLD, "width": 1.5, "shape": "hvh"}, name="before",
                       hovertemplate="%{y:,} weights near %{x:.4f}<extra>before</extra>")
    if threshold:
        figure.add_vrect(-threshold, threshold, fillcolor=GONE, opacity=0.18, line_width=0)
        for side in (-threshold, threshold):
            figure.add_vline(side, line={"color": GONE, "width": 1.5, "dash": "dash"})
    if zeros > 0:
        figure.add_annotation(text=f"{100 * zeros:.0f} % of {count:,} weights are zero", x=0.99, y=0.97, xref="paper", yref="paper",
                              showarrow=False, xanchor="right", font={"color": GONE, "size": 13})
    figure.add_annotation(text="grey outline: before · blue: after", x=0.01, y=0.97, xref="paper", yref="paper", showarrow=False,
                          xanchor="left", font={"size": 12})
    top = max(before.max(initial=1), after.max(initial=1))
    figure.update_yaxes(range=[0, 1.12 * float(top)])
    figure.update_xaxes(range=[float(edges[0]), float(edges[-1])])
    return figure


def all_layers(layers: Sequence[Mapping[str, object]]) -> go.Figure:
    """Small multiples in network order: each {"name", "said", "edges", "before", "after"} with its own scales."""
    columns = across(len(layers))
    rows = -(-len(layers) // columns)
    figure = make_subplots(rows, columns, subplot_titles=[f"{row['name']}<br><sub>{row['said']}</sub>" for row in layers],
                           vertical_spacing=min(0.34 / rows, 0.3), horizontal_spacing=0.03)
    for i, row in enumerate(layers):
        edges, before, after = (np.asarray(row[k]) for k in ("edges", "before", "after"))
        place = {"row": i // columns + 1, "col": i % columns + 1}
        middle = (edges[1:] + edges[:-1]) / 2
        figure.add_bar(x=middle, y=after, marker_color=NEW, customdata=[row["name"]] * len(after), hoverinfo="skip", **place)
        figure.add_scatter(x=middle, y=before, mode="lines", line={"color": OLD, "width": 1, "shape": "hvh"},
                           customdata=[row["name"]] * len(before), hovertemplate="%{y:,} before, near %{x:.3f}<extra></extra>", **place)
        top = max(before.max(initial=1), after.max(initial=1))
        figure.update_yaxes(range=[0, 1.08 * float(top)], showticklabels=False, **place)
        figure.update_xaxes(range=[float(edges[0]), float(edges[-1])], nticks=4, **place)
    figure.update_annotations(font_size=12)
    figure.update_layout(showlegend=False, bargap=0, uirevision="keep", margin={"l": 12, "r": 12, "t": 52, "b": 32})
    return figure


def size_bars(names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> go.Figure:
    """Bytes of each layer: outline before, fill after, network order from the top."""
    figure = _figure("Where are the bytes?", "size (KB)", "", barmode="overlay")
    kb_before, kb_after = np.asarray(before) / 1e3, np.asarray(after) / 1e3
    figure.add_bar(y=list(names), x=kb_before, orientation="h", marker={"color": "rgba(118,118,118,0.18)", "line": {"color": OLD, "width": 1.5}},
                   customdata=list(names), hovertemplate="%{y}: %{x:,.2f} KB before<extra></extra>")
    figure.add_bar(y=list(names), x=kb_after, orientation="h", marker_color=NEW, customdata=list(names), width=0.5,
                   hovertemplate="%{y}: %{x:,.2f} KB after<extra></extra>")
    largest = float(max(kb_before.max(initial=0), kb_after.max(initial=0), 1e-3))
    for name, value in zip(names, kb_after, strict=True):
        figure.add_annotation(x=largest * 1.02, y=name, text=f"{value:,.1f}", showarrow=False, xanchor="left", font={"size": 12})
    figure.update_xaxes(range=[0, largest * 1.18])
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix=" ")
    figure.update_layout(bargap=0.25)
    return figure


def waterfall(stages: Mapping[str, int]) -> go.Figure:
    """File size after each stage of a recipe, the last being what is written."""
    figure = _figure("How did the file shrink?", "", "file (KB)")
    names, sizes = [name.replace(" ", "<br>") for name in stages], np.array(list(stages.values())) / 1e3
    steps = np.diff(sizes)
    measure = ["absolute", *["relative"] * len(steps), "total"]
    figure.add_waterfall(
        x=[*names, "file"], y=[sizes[0], *steps, sizes[-1]], measure=measure,
        text=[f"{sizes[0]:,.0f}", *(f"{s:+,.1f}" if abs(s) > 1e-9 else "·" for s in steps), f"{sizes[-1]:,.1f}"], textposition="outside",
        decreasing={"marker": {"color": BEST}}, increasing={"marker": {"color": GONE}}, totals={"marker": {"color": NEW}},
        connector={"line": {"color": OLD, "width": 1, "dash": "dot"}}, hovertemplate="%{x}: %{text} KB<extra></extra>", cliponaxis=False,
    )
    figure.update_yaxes(range=[0, 1.16 * float(max(sizes.max(), 1e-3))])
    figure.update_xaxes(tickangle=0)
    figure.update_layout(bargap=0.35)
    return figure


def heat(layers: Sequence[str], rungs: Sequence[str], lost: np.ndarray, notes: Sequence[Sequence[str]], safe: Mapping[str, int]) -> go.Figure:
    """Points lost, layer by rung; cells not measured are empty; the last safe cell of each layer is outlined."""
    figure = _figure("Which layers can take it? Points lost", "", "", plot_bgcolor="rgba(0,0,0,0)")
    figure.add_heatmap(
        z=lost, x=list(rungs), y=list(layers), colorscale="Cividis", zmin=0, zmax=max(10.0, float(np.nanmax(lost, initial=10.0))),
        text=notes, texttemplate="%{text}", hovertemplate="%{y} at %{x}: %{z:.1f} points lost<extra></extra>", xgap=2, ygap=2,
        colorbar={"title": {"text": "points"}, "thickness": 12}, hoverongaps=False,
    )
    for layer, column in safe.items():
        row = list(layers).index(layer)
        figure.add_shape(type="rect", x0=column - 0.48, x1=column + 0.48, y0=row - 0.48, y1=row + 0.48, line={"color": GONE, "width": 3})
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix=" ", showgrid=False)
    figure.update_xaxes(type="category", range=[-0.5, len(rungs) - 0.5], showgrid=False)
    return figure


def curves(layers: Sequence[str], rungs: Sequence[str], accuracy: np.ndarray, low: np.ndarray, high: np.ndarray, baseline: float,
           chance: float, tolerance: float, measure: str) -> go.Figure:
    """Accuracy along the rungs, one small chart a layer on a shared axis from chance to the top; bars are 95 % intervals."""
    rows = -(-len(layers) // COLUMNS)
    figure = make_subplots(rows, COLUMNS, subplot_titles=list(layers), shared_yaxes=True, vertical_spacing=min(0.3 / rows, 0.25),
                           horizontal_spacing=0.03)
    for i in range(len(layers)):
        place = {"row": i // COLUMNS + 1, "col": i % COLUMNS + 1}
        error = {"type": "data", "symmetric": False, "array": high[i] - accuracy[i], "arrayminus": accuracy[i] - low[i],
                 "thickness": 1.2, "width": 3}
        figure.add_scatter(x=list(rungs), y=accuracy[i], mode="lines+markers", error_y=error, line={"color": NEW}, marker={"size": 6},
                           hovertemplate="%{x}: %{y:.1f} %<extra></extra>", **place)
        figure.add_hline(baseline, line={"color": OLD, "dash": "dash", "width": 1}, **place)
        figure.add_hline(baseline - tolerance, line={"color": GONE, "dash": "dot", "width": 1}, **place)
        figure.update_xaxes(type="category", categoryarray=list(rungs), range=[-0.4, len(rungs) - 0.6], **place)
        figure.update_yaxes(range=[max(0.0, chance - 5), 101], **place)
    for row in range(rows):
        figure.update_yaxes(title_text=f"{measure} (%)", row=row + 1, col=1)
    figure.update_layout(showlegend=False, uirevision="keep", margin={"l": 60, "r": 16, "t": 36, "b": 40})
    return figure


def tradeoff(dots: Sequence[Mapping[str, object]], front: Sequence[int], knee: int | None, here: Mapping[str, object] | None,
             original: Mapping[str, object] | None, tolerance: float, measure: str) -> go.Figure:
    """Accuracy against file size. Each dot {"kb", "good", "low", "high", "said"} in shares; front joined by steps."""
    figure = _figure("What is the best deal?", "file size (KB), logarithmic", f"{measure} (%)", hovermode="closest")
    if original:
        figure.add_hline(100 * original["good"] - tolerance, line={"color": OLD, "dash": "dot", "width": 1},
                         annotation_text="allowed drop", annotation_position="bottom right", annotation_font_size=12)

    def scatter(rows: Sequence[Mapping[str, object]], numbers: Sequence[int], **style: object) -> None:
        good = np.array([100 * float(r["good"]) for r in rows])
        error = {"type": "data", "symmetric": False, "array": np.array([100 * float(r["high"]) for r in rows]) - good,
                 "arrayminus": good - np.array([100 * float(r["low"]) for r in rows]), "thickness": 1, "width": 2, "color": OLD}
        figure.add_scatter(x=[r["kb"] for r in rows], y=good, error_y=error, customdata=list(numbers), text=[r["said"] for r in rows],
                           hovertemplate="%{text}<br>%{x:,.1f} KB, %{y:.1f} %<extra></extra>", **style)

    rest = [i for i in range(len(dots)) if i not in set(front)]
    scatter([dots[i] for i in rest], rest, mode="markers", name="dominated",
            marker={"size": 8, "color": "rgba(0,0,0,0)", "line": {"color": OLD, "width": 1.5}})
    scatter([dots[i] for i in front], front, mode="lines+markers", name="front", line={"color": BEST, "shape": "hv"},
            marker={"size": 9, "color": BEST})
    if knee is not None:
        scatter([dots[knee]], [knee], mode="markers", name="knee",
                marker={"size": 19, "symbol": "circle-open", "color": GONE, "line": {"width": 2.5}})
    if original:
        scatter([original], [-2], mode="markers+text", name="original", textposition="top center", marker={"size": 15, "symbol": "star", "color": OLD})
    if here:
        scatter([here], [-1], mode="markers", name="you are here", marker={"size": 14, "symbol": "diamond", "color": NEW})
    figure.update_xaxes(type="log")
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.2}, margin={"l": 60, "r": 16, "t": 44, "b": 80})
    return figure
