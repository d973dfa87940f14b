"""Pure pictures of tables: a number in every cell, in the ink that can be read on the cell's colour. No colour bar: the numbers say it."""

from collections.abc import Mapping, Sequence

import numpy as np
from plotly.colors import get_colorscale, sample_colorscale

from app.figure import Figure, figure
from app.plots import GONE, OLD, SHORT, _both_ends

LETTERS = 11  # pixels


def cells(z: np.ndarray, x: Sequence[str], y: Sequence[str], text: Sequence[Sequence[str]], scale: str | Sequence[Sequence[object]], low: float,
          high: float, hover: str, gap: int = 2) -> list[dict[str, object]]:
    """A heat map (rows, columns) and what is written on it; nan: no cell. A click is on the cell, never on its number."""
    scale = get_colorscale(scale) if isinstance(scale, str) else [list(stop) for stop in scale]
    grid = {"type": "heatmap", "z": z, "x": list(x), "y": list(y), "colorscale": scale, "zmin": low, "zmax": high, "text": text, "xgap": gap,
            "ygap": gap, "hoverongaps": False, "hovertemplate": hover, "showscale": False}
    there = [(i, j) for i, row in enumerate(text) for j, note in enumerate(row) if note]
    shares = [(float(z[i, j]) - low) / max(high - low, 1e-12) for i, j in there]
    known = np.clip([s for s in shares if s == s], 0, 1)
    inks = iter(ink(sample_colorscale(scale, known, colortype="tuple") if len(known) else []))
    letters = {"type": "scatter", "mode": "text", "x": [x[j] for _, j in there], "y": [y[i] for i, _ in there], "hoverinfo": "skip",
               "text": [text[i][j] for i, j in there], "cliponaxis": False,
               "textfont": {"size": LETTERS, "color": [next(inks) if s == s else OLD for s in shares]}}
    return [grid, letters]


def heat(layers: Sequence[str], rungs: Sequence[str], lost: np.ndarray, notes: Sequence[Sequence[str]], safe: Mapping[str, int],
         ranked: bool = False) -> Figure:
    """Points lost, layer by rung, or a ranking in nats; cells not measured are hatched; the last safe cell of each layer is outlined."""
    unit, told = ("nats", "a first ranking, in nats") if ranked else ("points", "points lost")
    top = float(np.nanmax(lost, initial=0.1 if ranked else 10.0))
    drawn = cells(lost, rungs, layers, notes, "Greys" if ranked else "Cividis", 0, top, f"%{{y}} at %{{x}}: %{{text}} {unit}<extra></extra>")
    missing = [(rungs[j], layers[i]) for i, row in enumerate(notes) for j, note in enumerate(row) if not note and np.isnan(lost[i, j])]
    hatch = {"type": "scatter", "x": [x for x, _ in missing], "y": [y for _, y in missing], "mode": "markers",
             "marker": {"symbol": "line-ne-open", "size": 12, "color": OLD, "line": {"width": 1, "color": OLD}, "opacity": 0.6},
             "hoverinfo": "skip"}
    frames = []
    for layer, column in safe.items():
        row = list(layers).index(layer)
        frames.append({"type": "rect", "x0": column - 0.48, "x1": column + 0.48, "y0": row - 0.48, "y1": row + 0.48,
                       "line": {"color": GONE, "width": 3}})
    return figure("Which layers can take it?", "", "", [*drawn, hatch] if missing else drawn, subtitle=told, shapes=frames,
                  yaxis={"autorange": "reversed", "automargin": True, "showgrid": False, "type": "category", "tickvals": list(layers),
                          "ticktext": [f"{_both_ends(name, SHORT)} " for name in layers], "tickfont": {"size": 12}},
                   xaxis={"type": "category", "range": [-0.5, len(rungs) - 0.5], "showgrid": False})


def ink(colours: Sequence[tuple[float, float, float]]) -> list[str]:
    """Black or white, whichever stands out more on each colour (shares of red, green and blue): never less than 4.5 to 1.

    >>> ink([(0, 0.13, 0.3), (0.5, 0.5, 0.5), (1, 0.91, 0.22)])
    ['#ffffff', '#000000', '#000000']
    """
    return ["#000000" if luminance(colour) > 0.179 else "#ffffff" for colour in colours]


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance of a colour in sRGB, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
