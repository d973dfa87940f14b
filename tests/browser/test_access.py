"""Every page is readable, also on a small screen, and usable by keyboard: axe finds nothing serious in either theme, and keys do what buttons do."""

from pathlib import Path

import axe_playwright_python
import pytest

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
SERIOUS = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations
    .filter(v => ['serious', 'critical'].includes(v.impact)).map(v => [v.id, ...v.nodes.map(node => node.html.slice(0, 120))]))"""


PAGES = ("/", "/methods", "/coverage", "/sensitivity", "/trade-off", "/budget?net=digits-mlp", "/compare?b=balanced", "/train", "/distil")
SMALL = {640: "1280 pixels at 200 %", 390: "a phone"}
CUT = """() => {  // what is wider than the screen, and letters of charts that are cut off
    const wide = ['html', '[data-testid=stMain]', '[data-testid=stMainBlockContainer]'].map(which => document.querySelector(which))
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => [e.dataset.testid ?? 'html', e.scrollWidth, e.clientWidth])
    const cut = [...document.querySelectorAll('.chart-plot')].filter(plot => plot.clientWidth && !plot.querySelector('.parcoords')).flatMap(plot => {
        const box = plot.getBoundingClientRect(), out = r => r.width && (r.left < box.left - 2 || r.right > box.right + 2)
        return [...plot.querySelectorAll('text')].filter(text => out(text.getBoundingClientRect())).map(text => [plot.ariaLabel, text.textContent])
    })
    return [...wide, ...cut]
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page_and_each_fits_a_small_screen(visit, server, settled, scheme):
    page = visit(server, scheme=scheme)
    for path in PAGES:
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(server.url + path)
        settled(page)
        page.evaluate(AXE.read_text("utf-8"))
        assert page.evaluate(SERIOUS) == [], (path, scheme)
        for width in SMALL if scheme == "light" else ():
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_function("[...document.querySelectorAll('.chart-plot')].every(p => !p.layout || p.layout.width === p.clientWidth)")
            settled(page)
            assert page.evaluate(CUT) == [], (path, SMALL[width])


def test_keys_undo_redo_and_bring_snapshots_back_but_not_while_typing(visit, server, settled):
    page = visit(server, path="/?net=digits-mlp&do=magnitude-sparsity-0.5&v=1")
    asked = "text => new URLSearchParams(location.search).get('do') === `magnitude-sparsity-${text}`"
    settled(page)
    page.get_by_role("button", name="Snapshot", exact=True).click()
    page.locator(".st-key-snapshot-1 button").first.wait_for()
    page.locator(".st-key-dial-sparsity input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(asked, arg="0.51")
    settled(page)
    page.keyboard.press("Alt+z")
    page.wait_for_function(asked, arg="0.5")
    page.locator(".st-key-redo button:enabled").first.wait_for()  # a key does what its button does, so not before there is one
    settled(page)
    page.keyboard.press("Alt+y")
    page.wait_for_function(asked, arg="0.51")
    settled(page)
    page.locator(".st-key-find input").fill("1")
    page.wait_for_timeout(500)
    assert "0.51" in page.url, "a 1 typed into a field is a 1"
    page.get_by_role("heading", name="Explore", level=1).click()
    settled(page)
    page.keyboard.press("1")
    page.wait_for_function("() => new URLSearchParams(location.search).get('do') === 'magnitude-sparsity-0.5'")


def test_the_back_row_reads_it_and_the_class_sees_what_it_should(visit, server):
    page = visit(server, path="/?present=1&hide=bits~rank~table&v=1&do=magnitude-sparsity-0.5", width=1280, height=720)
    size = "() => parseFloat(getComputedStyle(document.querySelector('.st-key-claim p')).fontSize)"
    assert page.evaluate(size) >= 20 and page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.locator(".st-key-dial-sparsity").count() == 1 and page.locator(".st-key-dial-bits, .st-key-dial-rank, .st-key-layers").count() == 0
