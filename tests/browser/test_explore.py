"""The pages in a real browser: what is on screen is what plain Python computes, from the first visit on."""

import re

import pytest
from explore_page import FILLED, OPENING, PATIENCE, SMALL, drawn, go, numbers, press, said, series, shows

from compression.link import from_link
from compression.recipe import Recipe, step
from compression.sensitivity import rungs
from compression.zoo import shipped


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_is_full_without_a_click(visit, server, scheme):
    page = visit(server, scheme=scheme)
    drawn(page, "lens", "sizes", "layers-histograms", "waterfall")
    page.wait_for_function(f"() => ({FILLED})() >= 2 && document.querySelectorAll('.js-plotly-plot .main-svg').length >= 4", timeout=PATIENCE)
    filled = "key => document.querySelectorAll(`.st-key-${key} .bars .point path, .st-key-${key} .waterfalllayer .point path`).length"
    for key, least in (("sizes", 8), ("layers-histograms", 200), ("waterfall", 5)):
        assert page.evaluate(filled, key) >= least, key
    shows(page, "lenet-5", OPENING, "fc1")
    ground = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
    assert page.locator('[data-testid="stException"], [data-testid="stAlert"]').count() == 0


def test_each_dial_moves_the_weights_the_size_and_the_answers(visit, server, settled):
    page = visit(server)
    drawn(page, "lens", "sizes")
    shows(page, "lenet-5", OPENING, "fc1")
    first = said(page)

    press(page, "sparsity", "ArrowRight", 5)
    recipe = Recipe((step("pruning.magnitude", sparsity=0.55),))
    shows(page, "lenet-5", recipe, "fc1")
    assert page.evaluate("document.activeElement.type") == "range", "the focus stays on the dial"

    page.locator(".st-key-dial-bits").get_by_role("radio", name="4", exact=True).click()
    recipe = recipe.with_default(step("quantization.uniform", bits=4))
    shows(page, "lenet-5", recipe, "fc1")

    press(page, "rank", "ArrowLeft", 10)
    recipe = recipe.with_default(step("lowrank.svd", rank=0.5))
    shows(page, "lenet-5", recipe, "fc1")

    page.locator(".st-key-huffman label").first.click()
    recipe = recipe.with_default(step("coding.huffman"))
    shows(page, "lenet-5", recipe, "fc1")

    bars = page.locator(".st-key-sizes .nsewdrag")
    box = bars.bounding_box()
    bars.click(position={"x": 0.01 * box["width"], "y": box["height"] * 1.5 / 4})
    page.wait_for_function("new URLSearchParams(location.search).get('layer') === 'conv2'", timeout=PATIENCE)
    shows(page, "lenet-5", recipe, "conv2")
    assert page.locator(".st-key-layer input").input_value() == "conv2"
    assert page.locator('.st-key-layers [data-testid="stDataFrame"]').is_visible()

    link = page.url
    assert from_link(dict(re.findall(r"(\w+)=([^&]*)", link.split("?")[1])))[0] == recipe
    again = visit(server, path=link.removeprefix(server.url))
    shows(again, "lenet-5", recipe, "conv2")
    drawn(again, "lens", "sizes")
    for trace in (0, 1):
        assert series(again, "layers-histograms", trace) == series(page, "layers-histograms", trace)

    page.get_by_role("button", name="Reset", exact=True).click()
    shows(page, "lenet-5", OPENING, "conv2")
    assert said(page) == first
    settled(page)


def test_every_network_opens_with_charts_and_an_accuracy(visit, server):
    page = visit(server, path=f"/?net={shipped.available()[0]}")
    for name in shipped.available():
        page.goto(f"{server.url}/?net={name}")
        drawn(page, "lens", "sizes", "layers-histograms", "waterfall")
        page.wait_for_function("/ccuracy [0-9.]+ % ± [0-9.]+ on/.test(document.querySelector('.st-key-claim').innerText)", timeout=PATIENCE)
        assert page.evaluate(FILLED) >= 2, name
        assert page.locator('[data-testid="stException"], [data-testid="stAlert"]').count() == 0, name
    title = shipped.ZOO[SMALL].title
    page.locator(".st-key-pick input").click()
    page.get_by_role("option", name=title, exact=True).click()
    page.wait_for_function(f"new URLSearchParams(location.search).get('net') === '{SMALL}'", timeout=PATIENCE)
    layer = max(shipped.load(SMALL).layers, key=lambda layer: layer.weight.numel()).name
    shows(page, SMALL, OPENING, layer)


def test_a_scan_fills_stops_and_pins(visit, server, settled):
    page = visit(server, path=f"/?net={SMALL}")
    drawn(page, "lens")
    go(page, "Sensitivity", settled)
    page.get_by_role("button", name=re.compile("Start scan|Go on")).click()
    page.get_by_role("button", name="Scan again").wait_for(timeout=PATIENCE)
    drawn(page, "scan-heat", "scan-curves")
    layers, columns = [layer.name for layer in shipped.load(SMALL).layers], rungs("pruning.magnitude", "sparsity")
    page.wait_for_function("wanted => Array.from(document.querySelector('.st-key-scan-heat .chart-plot')._fullData[0].z)"
                           ".map(row => Array.from(row)).flat().filter(Number.isFinite).length === wanted",
                           arg=len(columns) * len(layers), timeout=PATIENCE)
    cells = page.locator(".st-key-scan-heat .nsewdrag")
    box = cells.bounding_box()
    cells.click(position={"x": box["width"] * 4.5 / len(columns), "y": box["height"] * (len(layers) - 0.5) / len(layers)})
    pin = step("pruning.magnitude", sparsity=columns[4])
    page.get_by_text("1 pinned").wait_for(timeout=PATIENCE)
    page.wait_for_function("location.search.includes('pin=')", timeout=PATIENCE)
    go(page, "Explore", settled)
    recipe = OPENING.with_pin(layers[-1], pin)
    shows(page, SMALL, recipe, layers[-1])
    assert page.locator(".st-key-layer input").input_value() == layers[-1]

    other = visit(server, path="/?net=resnet-20")
    drawn(other, "lens")
    go(other, "Sensitivity", settled)
    other.get_by_role("button", name=re.compile("Start scan|Go on")).click()
    drawn(other, "scan-heat")
    other.wait_for_function("() => Array.from(document.querySelector('.st-key-scan-heat .chart-plot')?._fullData?.[0].z ?? [])"
                            ".some(row => Array.from(row).some(Number.isFinite))", timeout=PATIENCE)
    other.get_by_role("button", name="Stop, keep what there is").click()
    other.get_by_role("button", name=re.compile("Go on|Scan again")).wait_for(timeout=PATIENCE)
    other.wait_for_function("() => document.querySelector('.st-key-scan-heat .chart-plot')._fullData", timeout=PATIENCE)
    kept = numbers(other, "scan-heat", 0)
    assert kept > 0
    go(other, "Explore", settled)
    go(other, "Sensitivity", settled)
    drawn(other, "scan-heat")
    assert numbers(other, "scan-heat", 0) == kept


APP = """<div data-testid="stApp" data-test-script-state="notRunning"><button>Undo</button>
<a data-testid="stTopNavLink" href="/">Explore</a><a data-testid="stTopNavLink" href="/budget">Budget</a></div>"""


def test_a_page_asks_for_nothing_once_another_one_is_pressed(chromium):
    """A question that comes after the order for another page would take that one away again."""
    page = chromium.new_page()
    page.route("**/*", lambda route: route.fulfill(body=APP, content_type="text/html"))
    page.goto("http://app.example/")
    page.add_script_tag(path="app/chart/settled.js")
    page.evaluate("document.addEventListener('click', event => event.preventDefault())")

    def may_ask() -> list[str]:
        return page.evaluate("['', 'budget', 'train'].filter(settled)")

    assert may_ask() == ["", "budget", "train"]
    page.get_by_text("Budget").click()
    assert may_ask() == ["budget"]
    page.get_by_text("Explore").click()
    assert may_ask() == [""]
    page.get_by_role("button").click()
    assert may_ask() == ["", "budget", "train"]
    page.evaluate("document.querySelector('[data-testid=stApp]').dataset.testScriptState = 'running'")
    assert may_ask() == []
    page.close()
