"""The Trade-off page in a real browser: a click selects, a button loads, a brush filters the table and dims the marks."""

import os

from playwright.sync_api import TimeoutError, expect

from compression.link import from_link
from compression.recipe import Recipe, step

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
SMALL = "digits-mlp"
CHART = "document.querySelector('.st-key-study-chart .chart-plot')"
ALONE = """() => {  // the mark of the study farthest from every other mark: [its number, x, y] in pixels of the plotting area
    const plot = document.querySelector('.st-key-study-chart .chart-plot'), {xaxis, yaxis} = plot._fullLayout
    const marks = plot._fullData.flatMap(trace => Array.from(trace.x).map((x, i) => [trace.customdata[i], xaxis.d2p(x), yaxis.d2p(trace.y[i])]))
        .filter(mark => Number.isFinite(mark[1] + mark[2]))
    const gap = one => Math.min(...marks.filter(two => two[0] !== one[0]).map(two => Math.hypot(one[1] - two[1], one[2] - two[2])))
    return marks.filter(mark => mark[0] >= 0 && mark[0] < 36).sort((a, b) => gap(b) - gap(a))[0]
}"""
FAINT = f"() => {CHART}._fullData.slice(0, 2).flatMap(trace => Array.from(trace.marker.opacity)).filter(o => o < 1).length"


def brush(page, axis, low, high) -> None:
    """Drag along an axis of the parallel coordinates, from one share of its length to another, once it stands still."""
    axis.scroll_into_view_if_needed()
    box, before = axis.bounding_box(), None
    while box != before:
        page.wait_for_timeout(300)
        box, before = axis.bounding_box(), box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + low * box["height"])
    page.mouse.down()
    for share in ((low + high) / 2, high):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + share * box["height"], steps=3)
    page.mouse.up()


def test_measured_recipes_are_selected_loaded_and_brushed(visit, server, settled):
    page = visit(server, path=f"/trade-off?net={SMALL}", height=1200)
    page.get_by_role("button", name="Measure the recipes").or_(page.get_by_role("button", name="Go on")).click()
    page.get_by_role("button", name="All measured").wait_for(timeout=PATIENCE)
    count = f"() => {CHART}?._fullData?.slice(0, 2).reduce((n, t) => n + Array.from(t.x).filter(Number.isFinite).length, 0)"
    page.wait_for_function(f"() => ({count})() === 36", timeout=PATIENCE)
    names = page.evaluate(f"Array.from({CHART}._fullData).map(t => t.name)")
    assert {"Random pruning", "knee", "original", "on screen"} <= set(names)

    number, x, y = page.evaluate(ALONE)
    bits, sparsity = divmod(number, 6)
    recipe = Recipe((step("pruning.magnitude", sparsity=(0.0, 0.3, 0.5, 0.7, 0.8, 0.9)[sparsity]),
                     step("quantization.uniform", bits=(32, 8, 5, 4, 3, 2)[bits])))
    before = page.url
    page.locator(".st-key-study-chart .nsewdrag").click(position={"x": x, "y": y})
    load = page.get_by_role("button", name="Load", exact=True)
    load.wait_for(timeout=PATIENCE)
    assert page.url == before, "a click selects and changes nothing"
    load.click()
    expect(load).to_be_disabled(timeout=PATIENCE)
    settled(page)
    words = page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")
    assert [s for s in from_link(words)[0].default if not s.off] == [s for s in recipe.default if not s.off]

    kept = page.get_by_text("recipes lie within what is brushed")
    for _ in range(5):  # the recipe just loaded is being judged, and what that says above may push the chart down under the mouse
        brush(page, page.locator(".st-key-study-parallel .axis-brush").nth(0), 0.07, 0.15)  # sparsity
        try:
            kept.wait_for(timeout=PATIENCE / 5)
            break
        except TimeoutError:
            continue
    left, of = (int(word) for word in kept.inner_text().split() if word.isdigit())
    assert (left, of) == (12, 66), "80 % zero, of magnitude and of random pruning"
    page.wait_for_function(f"() => ({FAINT})() === 30", timeout=PATIENCE)
    page.get_by_role("button", name="Clear", exact=True).click()
    page.wait_for_function(f"() => ({FAINT})() === 0", timeout=PATIENCE)

    page.locator('[data-testid="stTopNavLink"]', has_text="Compare").click()
    report = page.get_by_role("button", name="Download the report")
    report.wait_for(timeout=PATIENCE)
    settled(page)
    page.wait_for_timeout(1000)  # drawn right after a question the page asks once more, and with its answer the file gets another address
    with page.expect_download(timeout=PATIENCE) as found:
        report.click()
    text = found.value.path().read_text("utf-8")
    assert "the 36 recipes studied on Trade-off" in text and text.count("<title>") == 1 + 36, "each dot says its recipe"
