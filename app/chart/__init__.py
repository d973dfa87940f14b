"""A Plotly figure on screen that changes in place: no remount, zoom kept, cells and marks that can be clicked."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import plotly
import plotly.io as pio
import streamlit as st

from app.figure import Figure

HERE = Path(__file__).parent
LIBRARY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
STATIC = HERE.parent / "static"

HTML = """
<div class="chart" data-state="waiting">
  <div class="chart-plot" role="img"></div>
  <div class="chart-skeleton" aria-hidden="true"></div>
  <p class="chart-lost" role="status" hidden></p>
  <button class="chart-save" type="button" title="Download as PNG" aria-label="Download as PNG"></button>
</div>
"""

# Plotly writes its own style rules into the document, where a shadow root would not see them.
_mount = st.components.v2.component(
    "chart",
    html=HTML,
    css=(HERE / "chart.css").read_text("utf-8"),
    js="\n".join((HERE / name).read_text("utf-8") for name in ("leaving.js", "chart.js")),
    isolate_styles=False,
)


@cache
def install(folder: Path = STATIC) -> Path:
    """The browser's one copy of plotly.js, in the folder served as app/static; copied where it is missing or old.

    >>> install().name
    'plotly.min.js'
    """
    target = folder / LIBRARY.name
    if not target.is_file() or target.stat().st_size != LIBRARY.stat().st_size:
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        shutil.copyfile(LIBRARY, partial)
        partial.replace(target)
    return target


def show(
    figure: Figure, key: str, alt: str, height: int = 320, on_click: Callable[[dict], None] | None = None, narrow: int = 0,
    on_brush: Callable[[list[list[list[float]] | None]], None] | None = None,
) -> None:
    """Draw `figure` under `key`, `height` pixels high and as wide as its container.

    On a screen too narrow for it, a figure is `narrow` pixels high, and what its layout's meta["narrow"] says takes the place of the rest.

    Text, grid, axes and fonts follow the light or dark theme: they come from a template made in the browser, which
    takes the place of the figure's own. Whatever the layout or the traces set themselves stays. Zoom survives new data
    unless `layout.uirevision` changes.

    `alt` is what a screen reader says. It should not change with the data; put live values in a caption.

    `on_click` is called before the next run with the mark that was clicked: {"curve", "point", "x", "y", "customdata"};
    "point" is an index, or [row, column] on a heat map.

    `on_brush` is called in the same way when axes of parallel coordinates are brushed, with the intervals of each axis,
    or None for an axis that is not brushed.
    """
    install()
    _mount(
        key=key,
        data={
            "figure": pio.json.to_json_plotly(figure),
            "alt": alt,
            "height": height,
            "narrow": narrow or height,
            "click": on_click is not None,
            "source": f"app/static/{LIBRARY.name}?v={plotly.__version__}",
        },
        height="content" if narrow else height,
        on_click_change=lambda: on_click(st.session_state[key]["click"]) if on_click else None,
        on_brush_change=lambda: on_brush(st.session_state[key]["brush"]) if on_brush else None,
    )
