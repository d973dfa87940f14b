"""What the browser tests ask of the page Explore, and what plain Python says it has to show."""

import os
import re
from functools import cache

import torch

from app import words
from compression.apply import compress
from compression.evaluate import evaluate
from compression.export import pack
from compression.recipe import Recipe, step
from compression.score import changed
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
