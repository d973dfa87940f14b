"""Colours stand out from what they lie on in both themes: text by 4.5 to 1, marks and the ring of the focus by 3 to 1 (WCAG 2.2)."""

import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from plotly.colors import get_colorscale, hex_to_rgb, sample_colorscale

from app import drawings, plots, plots_budget, plots_compare
from app.plots_cells import cells, ink, luminance

ROOT = Path(__file__).parents[1]
THEMES = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
CHARTS = {name: getattr(plots, name) for name in ("NEW", "GONE", "BEST", "OLD", "FOURTH")}


def rgb(color) -> tuple:
    return tuple(c / 255 for c in hex_to_rgb(color)) if isinstance(color, str) else color


def contrast(a, b) -> float:
    light, dark = sorted((luminance(rgb(a)), luminance(rgb(b))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#0072B2", "#ffffff") == pytest.approx(5.19, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_marks_and_focus_stand_out(name):
    theme = THEMES[name]
    sidebar = theme | theme["sidebar"]
    for place in (theme, sidebar):
        for ground in (place["backgroundColor"], place["secondaryBackgroundColor"]):
            for text in ("textColor", "grayTextColor", "linkColor"):
                assert contrast(theme[text], ground) >= 4.5, (text, ground)
            assert contrast(theme["primaryColor"], ground) >= 3
    assert contrast(theme["codeTextColor"], theme["codeBackgroundColor"]) >= 4.5
    lens = {which: theme[f"{which}Color"] for which in ("blue", "green", "orange", "gray")}
    marks = dict(enumerate(theme["chartCategoricalColors"])) | CHARTS | lens
    for which, color in marks.items():
        assert contrast(color, theme["backgroundColor"]) >= 3, which


@pytest.mark.parametrize("scale", ["Cividis", "Greys", [[0, plots_compare.A], [0.5, "#f7f7f7"], [1, plots_compare.B]]], ids=str)
def test_a_number_can_be_read_on_every_cell(scale):
    shades = sample_colorscale(get_colorscale(scale) if isinstance(scale, str) else scale, np.linspace(0, 1, 200), colortype="tuple")
    assert min(contrast(shade, letters) for shade, letters in zip(shades, ink(shades), strict=True)) >= 4.5


def test_cells_without_a_value_have_no_number_or_a_dash_in_grey():
    grid, letters = cells(np.array([[0.0, np.nan], [np.nan, 5.0]]), ["a", "b"], ["c", "d"], [["0.0", ""], ["–", "5.0"]], "Cividis", 0, 10, "")
    assert letters["text"] == ["0.0", "–", "5.0"] and (letters["x"], letters["y"]) == (["a", "a", "b"], ["c", "d", "d"])
    assert letters["textfont"]["color"] == ["#ffffff", plots.OLD, "#000000"] and not grid["showscale"]


def test_searches_are_told_apart_by_dash_as_well():
    looks = {(plots_budget.LINES[i], plots_budget.DASHES[i // 2]) for i in range(len(plots_budget.LINES))}
    assert len(looks) == len(plots_budget.LINES)


def test_who_keeps_a_weight_is_told_apart_without_colour():
    light = sorted(luminance(rgb(colour)) for colour in drawings.KEPT)
    assert all((b + 0.05) / (a + 0.05) >= 1.5 for a, b in pairwise(light))
