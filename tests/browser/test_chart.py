"""The chart component in a browser: it changes in place, keeps its zoom, follows the theme and reports clicks."""

import re
import shutil

import pytest

from app import chart

SCRIPT = '''
import numpy as np
import streamlit as st

from app import chart
from app.chart.ticker import tick
from app.figure import drawn, figure

st.set_page_config(page_title="Charts", page_icon="📊")


def clicked(mark):
    st.session_state.mark = mark


def first():
    @st.fragment
    def panel():
        level = st.slider("Level", 0, 50, 10, key="level")
        bars = {"type": "bar", "x": np.arange(50.0), "y": np.where(np.arange(50) < level, 1.0, 0.5)}
        chart.show(figure("What is kept?", "", "", [bars], yaxis={"range": [0, 1.2]}, meta={"level": level // 2}), "bars", "Weights kept")
        runs = st.session_state.runs = st.session_state.get("runs", 0) + 1
        tick(runs < 4, runs, 10, "tick")
        st.markdown(f"runs: {runs}")

    panel()
    levels = [f"{n} %" for n in range(10)]
    cells = np.arange(50.0).reshape(5, 10)
    heat = {"type": "heatmap", "z": cells, "x": levels, "y": list("abcde"), "customdata": [levels] * 5}
    chart.show(drawn([heat]), "heat", "Sensitivity", height=240, on_click=clicked)
    st.markdown(f"mark: {st.session_state.get('mark')}")
    with st.expander("More"):
        chart.show(drawn([{"type": "scatter", "y": [1, 3, 2]}]), "folded", "A folded line", height=200)


def second():
    chart.show(drawn([{"type": "scatter", "y": [1, 3, 2]}]), "line", "A line")


pages = [st.Page(first, title="First", default=True), st.Page(second, title="Second", url_path="second")]
st.navigation(pages, position="top").run()
'''
PLOT = "document.querySelector('.st-key-{} .chart-plot')"


@pytest.fixture(scope="module")
def gallery(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    shutil.copytree(chart.STATIC / "fonts", folder / "static" / "fonts")
    chart.install(folder / "static")
    script = folder / "gallery.py"
    script.write_text(SCRIPT, "utf-8")
    return serve(script)


def ready(page, key):
    return page.wait_for_selector(f".st-key-{key} .chart[data-state=ready]")


def ask(page, key, expression):
    return page.evaluate(f"{PLOT.format(key)}{expression}")


def draws(page, key):
    return ask(page, key, ".parentElement.dataset.draws")


def wait_for_draws(page, key, number):
    page.wait_for_function(f"{PLOT.format(key)}.parentElement.dataset.draws == {number}")


def test_the_same_node_changes_and_the_zoom_stays(visit, gallery, settled):
    page = visit(gallery)
    ready(page, "bars")
    page.get_by_text("runs: 4").wait_for()
    assert draws(page, "bars") == "1", "the ticker's runs sent the same figure"
    page.evaluate(f"{PLOT.format('bars')}.querySelector('.main-svg').marked = true")
    box = page.locator(".st-key-bars .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_function(f"{PLOT.format('bars')}.layout.xaxis.range[0] > 1")
    zoomed = ask(page, "bars", ".layout.xaxis.range")

    dial = page.locator(".st-key-level input[type=range]")
    dial.focus()
    page.keyboard.press("ArrowRight")
    wait_for_draws(page, "bars", 2)
    assert ask(page, "bars", ".layout.meta.level") == 5
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{PLOT.format('bars')}.layout.meta.level == 7")
    settled(page)
    assert ask(page, "bars", ".querySelector('.main-svg').marked"), "the chart was mounted anew"
    assert ask(page, "bars", ".layout.xaxis.range") == zoomed
    assert page.evaluate("document.activeElement.type") == "range"


def test_the_node_stays_where_figures_overtake_each_other(visit, gallery, settled):
    page = visit(gallery)
    ready(page, "bars")
    page.get_by_text("runs: 4").wait_for()
    page.evaluate(f"{PLOT.format('bars')}.querySelector('.main-svg').marked = true")
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.locator(".st-key-level input[type=range]").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(20)
    page.wait_for_function(f"{PLOT.format('bars')}.layout.meta.level == 15")
    settled(page)
    assert ask(page, "bars", ".querySelector('.main-svg')?.marked"), "the chart was mounted anew"


def test_a_clicked_cell_reaches_python(visit, gallery, settled):
    page = visit(gallery)
    ready(page, "heat")
    cells = page.locator(".st-key-heat .nsewdrag")
    box = cells.bounding_box()
    for column in (3, 7, 7):
        cells.click(position={"x": box["width"] * (column + 0.5) / 10, "y": box["height"] / 2})
        level = f"'{column} %'"
        told = f"'point': [2, {column}], 'x': {level}, 'y': 'c', 'customdata': {level}"
        page.get_by_text(re.compile(re.escape(told))).wait_for()
        page.wait_for_timeout(400)  # a second click sooner would be a double click
    settled(page)


def test_it_follows_the_theme_while_open(visit, gallery):
    page = visit(gallery, scheme="dark")
    ready(page, "bars")
    tick = "document.querySelector('.st-key-bars .xtick text').style.fill"
    assert page.evaluate(tick) == "rgb(237, 239, 242)"
    assert ask(page, "bars", "._fullLayout.paper_bgcolor") == "rgba(0,0,0,0)"
    assert "Inter" in ask(page, "bars", "._fullLayout.font.family")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{tick} == 'rgb(20, 23, 27)'")


def test_it_is_as_wide_as_its_container(visit, gallery):
    page = visit(gallery)
    ready(page, "bars")
    page.set_viewport_size({"width": 500, "height": 900})
    plot = PLOT.format("bars")
    page.wait_for_function(f"{plot}.clientWidth < 500 && {plot}.layout.width == {plot}.clientWidth")
    page.get_by_text("More", exact=True).click()
    ready(page, "folded")
    assert page.locator(".st-key-folded .chart").bounding_box()["height"] == 200


def test_it_has_a_name_and_can_be_saved(visit, gallery):
    page = visit(gallery)
    ready(page, "bars")
    assert page.get_by_role("img", name="Weights kept", exact=True).count() == 1
    page.locator(".st-key-bars .chart").hover()
    with page.expect_download() as download:
        page.locator(".st-key-bars").get_by_role("button", name="Download as PNG").click()
    assert download.value.suggested_filename == "weights-kept.png"


def test_one_copy_of_the_library_on_every_page(visit, gallery, settled):
    page = visit(gallery, path="/second")
    ready(page, "line")
    page.get_by_role("link", name="First").first.click()
    ready(page, "bars")
    ready(page, "heat")
    loaded = "performance.getEntriesByType('resource').map(entry => entry.name).filter(name => name.includes('plotly'))"
    assert [url.split("?")[0] for url in page.evaluate(loaded)] == [f"{gallery.url}/app/static/plotly.min.js"]


def test_it_says_when_the_library_cannot_be_had(visit, gallery):
    page = visit(gallery, path="/second")
    page.context.route("**/plotly.min.js*", lambda route: route.abort())
    page.reload()
    page.get_by_text("The charts could not be loaded; reload the page.").wait_for()
    assert page.errors
    page.errors.clear()


def test_the_library_is_copied_once_and_replaced_when_old(tmp_path):
    target = chart.install(tmp_path / "a")
    assert target.stat().st_size == chart.LIBRARY.stat().st_size
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "plotly.min.js").write_text("old")
    assert chart.install(tmp_path / "b").stat().st_size == chart.LIBRARY.stat().st_size
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["plotly.min.js"]
