"""The pages in a real browser: what is on screen is what plain Python computes, from the first visit to one's own file."""

import io
import os
import pickle
import re
from functools import cache

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from app import words
from compression.apply import compress
from compression.evaluate import evaluate
from compression.export import pack
from compression.link import from_link
from compression.recipe import Recipe, step
from compression.score import changed
from compression.sensitivity import rungs
from compression.zoo import shipped

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
OFF = {"sparsity": step("pruning.magnitude", sparsity=0.0), "bits": step("quantization.uniform", bits=32), "rank": step("lowrank.svd", rank=1.0)}
OPENING = Recipe((step("pruning.magnitude", sparsity=0.5),))
SMALL = "digits-mlp"
FILLED = """() => [...document.querySelectorAll('.js-plotly-plot')].filter(
    plot => [...plot.querySelectorAll('.bars .point path')].filter(path => path.getBoundingClientRect().height > 1).length > 3).length"""


@cache
def memo(network) -> dict:
    return {}


@cache
def expected(network, recipe, split="validation") -> tuple[str, ...]:
    """What the sentence has to say once all examples are judged, from plain Python: sizes, accuracy on what, changed answers."""
    net = shipped.load(network)
    done = compress(net, recipe, memo(network))
    quality = list(evaluate(net, changed(done, done.weights()), net.data[split], memo(network)))[-1].quality
    new, old = len(pack(done)), len(pack(compress(net, Recipe(), memo(network))))
    noun = "text windows" if net.data[split].kind == "text" else "images"
    return (f": {words.size(new)} (was {words.size(old)}, {words.smaller(new, old)}).",
            f"ccuracy {words.within(*quality.accuracy)} on {quality.of:,} {split} {noun}",
            f" {quality.changed:,} of {quality.predictions:,} ")


def said(page) -> str:
    return page.locator(".st-key-claim").inner_text().strip()


def waits_for(page, parts) -> None:
    """Until the sentence says all of it."""
    try:
        page.wait_for_function("parts => parts.every(part => document.querySelector('.st-key-claim')?.innerText.includes(part))",
                               arg=list(parts), timeout=PATIENCE)
    except Exception as late:
        raise AssertionError(f"{said(page)!r} does not say {parts}") from late


def series(page, key, trace) -> list:
    """The numbers that a trace of a chart was drawn from."""
    return page.evaluate("([key, i]) => Array.from(document.querySelector(`.st-key-${key} .chart-plot`)._fullData[i].y)", [key, trace])


def histogram(network, recipe, name) -> list[int]:
    """How many weights of a layer fall into each bin, those that are zero left out."""
    net = shipped.load(network)
    weight = compress(net, recipe, memo(network)).encoded[name].decode().flatten()
    most = float(net.layer(name).weight.abs().max())
    return torch.histc(weight[weight != 0].clamp(-most, most), 100, -most, most).int().tolist()


def shows(page, network, recipe, layer, split="validation") -> None:
    """Sentence, cards, the layer's histogram among those of all, and the lens on it, once all examples are judged."""
    parts = expected(network, recipe, split)
    waits_for(page, parts)
    at = [found.name for found in shipped.load(network).layers].index(layer)
    page.wait_for_function("""([wanted, trace]) => {
        const plot = document.querySelector('.st-key-layers-histograms .chart-plot')
        return plot._fullData && JSON.stringify(Array.from(plot._fullData[trace].y)) === JSON.stringify(wanted)
    }""", arg=[histogram(network, recipe, layer), 2 * at], timeout=PATIENCE)
    stored = compress(shipped.load(network), recipe, memo(network)).encoded[layer].nbytes
    page.locator("[data-fact=size]", has_text=re.compile(f"^{words.size(stored)}$")).wait_for(timeout=PATIENCE)
    cards = page.locator('[data-testid="stMetric"]').all_inner_texts()
    assert parts[0].split(" (")[0].removeprefix(": ") in cards[0], cards
    assert parts[1].split(" ±")[0].removeprefix("ccuracy ") in cards[1], cards


def press(page, dial, key, times=1) -> None:
    page.locator(f".st-key-dial-{dial} input[type=range]").focus()
    for _ in range(times):
        page.keyboard.press(key)


def drawn(page, *keys) -> None:
    for key in keys:
        page.wait_for_selector(".lens[data-state=ready]" if key == "lens" else f".st-key-{key} .chart[data-state=ready]", timeout=PATIENCE)


def numbers(page, key, trace) -> int:
    """How many cells of a heat map are filled."""
    return page.evaluate("""([key, i]) => {
        const plot = document.querySelector(`.st-key-${key} .chart-plot`)
        return plot?._fullData ? plot._fullData[i].z.map(row => Array.from(row)).flat().filter(Number.isFinite).length : 0
    }""", [key, trace])


def go(page, title, settled) -> None:
    page.locator('[data-testid="stTopNavLink"]', has_text=title).or_(page.get_by_role("link", name=title, exact=True)).first.click()
    page.get_by_role("heading", name=title, level=1).wait_for()
    settled(page)


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


class Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/shrinkscope-was-here",)


def saved(held) -> bytes:
    stream = io.BytesIO()
    torch.save(held, stream)
    return stream.getvalue()


def wrong_files() -> dict[str, tuple[str, bytes, str]]:
    weights = load_file(shipped.WEIGHTS / f"{SMALL}.safetensors")
    first = next(name for name, tensor in weights.items() if tensor.ndim > 1)
    holed = {name: tensor.clone() for name, tensor in weights.items()}
    holed[first][0, 0] = float("nan")
    good = to_safetensors(weights)
    return {
        "empty": ("empty.safetensors", b"", "is empty"),
        "text": ("notes.pt", b"these are no weights at all\n" * 20, "neither"),
        "cut": ("cut.safetensors", good[: len(good) // 2], "cut short"),
        "code": ("model.pt", pickle.dumps({"fc.weight": Code()}), "needs code"),
        "code in a zip": ("model.bin", saved({"fc.weight": Code()}), "needs code"),
        "NaN": ("holed.safetensors", to_safetensors(holed), "not finite"),
        "stray": ("stray.safetensors", to_safetensors({"alpha": torch.ones(3), "beta": torch.ones(2, 2, 2, 2, 2)}), "alpha"),
        "list": ("list.pt", saved([torch.ones(2)]), "list"),
        "zip": ("other.pt", b"PK\x03\x04" + bytes(200), "damaged"),
    }


STILL = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"


def open_files(page, name, content) -> None:
    page.locator('[role="dialog"] input[type=file]').first.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
    page.locator('[role="dialog"]').get_by_text(name).first.wait_for(timeout=PATIENCE)
    page.wait_for_selector(STILL, timeout=PATIENCE)  # the button is drawn anew after an upload
    page.wait_for_timeout(300)
    page.locator('[role="dialog"]').get_by_role("button", name="Open the files").click()


def test_ones_own_file_opens_and_a_wrong_one_gets_a_sentence(visit, server, settled):
    page = visit(server)
    drawn(page, "lens")
    for name, content, told in wrong_files().values():
        page.get_by_role("button", name="Open your own").click()
        open_files(page, name, content)
        error = page.locator('[role="dialog"] [data-testid="stAlert"]')
        page.wait_for_function("told => [...document.querySelectorAll('[role=dialog] [data-testid=stAlert]')].some(e => e.innerText.includes(told))",
                               arg=told, timeout=PATIENCE)
        text = error.inner_text()
        assert 30 < len(text) < 300 and text.strip().endswith("."), text
        assert not re.search(r"Traceback|Error:|weights_only|Exception", text), text
        page.keyboard.press("Escape")
        page.locator('[role="dialog"]').wait_for(state="detached")
    press(page, "sparsity", "ArrowRight")
    waits_for(page, expected("lenet-5", Recipe((step("pruning.magnitude", sparsity=0.51),))))

    page.get_by_role("button", name="Open your own").click()
    path = shipped.WEIGHTS / "lenet-300-100.safetensors"
    dialog = page.locator('[role="dialog"]')
    open_files(page, "mine.safetensors", path.read_bytes())
    dialog.get_by_text("266,610 parameters").wait_for(timeout=PATIENCE)
    dialog.get_by_role("button", name="Use this network").click()
    dialog.wait_for(state="detached", timeout=PATIENCE)
    page.wait_for_function("new URLSearchParams(location.search).get('net').startsWith('own-')", timeout=PATIENCE)
    recipe = Recipe((step("pruning.magnitude", sparsity=0.51),))
    waits_for(page, expected("lenet-300-100", recipe)[1:])  # but the size: the file's header holds the network's name
    assert page.locator(".st-key-pick input").input_value() == "mine"
    settled(page)


def test_nothing_is_wider_than_a_phone(visit, server, settled):
    page = visit(server, path=f"/?net={SMALL}", width=390, height=844)
    for title in ("Explore", "Sensitivity", "Trade-off"):
        if title != "Explore":
            page.goto(f"{server.url}/{title.lower()}?net={SMALL}")
            page.get_by_role("heading", name=title, level=1).wait_for(timeout=PATIENCE)
        else:
            drawn(page, "lens", "sizes")
        settled(page)
        wide = page.evaluate("""() => ['html', '[data-testid=stMain]', '[data-testid=stMainBlockContainer]']
            .map(which => document.querySelector(which)).map(e => [e.scrollWidth, e.clientWidth])""")
        assert all(inner <= outer + 1 for inner, outer in wide), (title, wide)


def test_a_hostile_link_fetches_nothing_and_the_page_goes_on(visit, server, settled):
    page = visit(server, path="/?net=![x](http://example.org/x.png)&do=<img src=http://example.org/y.png>&layer=<b>fc1</b>&on=holdout")
    page.locator('[data-testid="stAlert"]').first.wait_for(timeout=PATIENCE)
    assert page.locator('[data-testid="stAlert"] img, [data-testid="stAlert"] b').count() == 0
    assert "![x](http://example.org/x.png)" in page.locator('[data-testid="stAlert"]').first.inner_text()
    press(page, "sparsity", "End")
    waits_for(page, expected("lenet-5", Recipe((step("pruning.magnitude", sparsity=0.99),))))
    settled(page)
