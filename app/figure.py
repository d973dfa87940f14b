"""What a picture is: Plotly's traces and layout as plain dictionaries and arrays, {"data": [...], "layout": {...}}.

plotly.graph_objects would check each field for 3 to 9 ms a chart, at every move of a dial; the tests check in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Figure = dict[str, Any]
MARGIN = {"l": 60, "r": 16, "t": 44, "b": 48}


def drawn(data: Sequence[Mapping[str, object]], **layout: object) -> Figure:
    """Traces and a layout that is all the picture's own."""
    return {"data": list(data), "layout": {"uirevision": "keep", "showlegend": False} | layout}


def figure(title: str, x: str, y: str, data: Sequence[Mapping[str, object]] = (), subtitle: str = "", *, xaxis: Mapping[str, object] | None = None,
           yaxis: Mapping[str, object] | None = None, margin: Mapping[str, int] | None = None, **layout: object) -> Figure:
    """A picture with a question for its title and one pair of axes; x, y: what they are of."""
    head = {"text": title, "font": {"size": 15}, "subtitle": {"text": subtitle, "font": {"size": 12}}, "x": 0, "xref": "paper", "y": 1,
            "yref": "container", "yanchor": "top", "pad": {"t": 10}}
    room = MARGIN | ({"t": 62} if subtitle else {}) | (margin or {})
    return drawn(data, title=head, xaxis={"title": {"text": x}} | (xaxis or {}), yaxis={"title": {"text": y}} | (yaxis or {}), margin=room,
                 **{"bargap": 0} | layout)


def pair(number: int) -> tuple[str, str]:
    """The names of a pair of axes among several, as traces and anchors call them; Plotly gives the first no number.

    >>> pair(1), pair(12)
    (('x', 'y'), ('x12', 'y12'))
    """
    return (f"x{number}", f"y{number}") if number > 1 else ("x", "y")


def axis(name: str) -> str:
    """What a layout calls an axis.

    >>> axis("x12")
    'xaxis12'
    """
    return f"{name[0]}axis{name[1:]}"
