"""The Methods and Coverage pages in a real browser: each family on each kind of layer, and from a row of the list to its method."""

import os
import re

import pytest
from playwright.sync_api import TimeoutError

from app import words
from compression.apply import compress, encode
from compression.link import chain_text
from compression.recipe import step
from compression.registry import method, methods, rewrites
from compression.score import size_of
from compression.zoo import shipped
from compression.zoo.recipes import DEEP_COMPRESSION, PAPER

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
KINDS = {
    "convolution": ("vgg-small", "conv4"),
    "linear": ("lenet-300-100", "fc2"),
    "embedding": ("char-lstm", "embed"),
    "lstm": ("row-lstm", "lstm.weight_hh_l0"),
    "attention": ("vit", "blocks.3.attention.in_proj_weight"),
}
FAMILY = {"lowrank": "Low rank", "pruning": "Pruning", "sharing": "Sharing", "quantization": "Quantization", "coding": "Coding"}
FAILS = ("lowrank.svd", "pruning.obd", "sharing.product", "quantization.gptq", "coding.huffman")  # one of each family; the last works after others
# Drawn: the script has run, the page is of this method, nothing is stale or prepares, and every chart there is has been drawn.
DRAWN = """
summary => {
  const all = s => [...document.querySelectorAll(`[data-testid=stMain] ${s}`)]
  return document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning' && !document.querySelector('[data-stale=true]')
    && all('p').some(p => p.textContent.startsWith(summary)) && all('[data-testid=stMetric], [data-testid=stAlert]').length
    && !all('[data-testid=stProgress], [data-testid=stSpinner], [data-testid=stSkeleton]').length
    && all('.chart').every(chart => chart.dataset.state === 'ready')
}
"""


def pick(page, key, title, settled) -> None:
    """Choose in a box by typing, as a person would."""
    box = page.locator(f".st-key-{key} input")
    if box.input_value() == title:
        return
    box.click()
    box.fill(title)
    page.get_by_role("option", name=title, exact=True).click()
    page.wait_for_function("([key, title]) => document.querySelector(`.st-key-${key} input`)?.value === title", arg=[key, title], timeout=PATIENCE)
    settled(page)


def family(page, name, settled) -> None:
    page.locator(".st-key-bench-family").get_by_role("radio", name=name, exact=True).click()
    page.locator('.st-key-bench-family [aria-checked="true"]', has_text=name).wait_for(timeout=PATIENCE)
    settled(page)


def whole(page) -> None:
    """No traceback, no box of an error, every chart that is there drawn."""
    assert page.locator('[data-testid="stException"]').count() == 0, page.locator('[data-testid="stException"]').first.inner_text()
    drawn = "() => [...document.querySelectorAll('[data-testid=stMain] .chart')].every(chart => chart.dataset.state === 'ready')"
    page.wait_for_function(drawn, timeout=PATIENCE)


def until_drawn(page, name) -> None:
    """Wait for the page of a method. While it says that the method prepares, nothing is wrong: a machine with other work takes long over it."""
    for attempt in range(6):
        try:
            page.wait_for_function(DRAWN, arg=method(name).summary[:40], timeout=PATIENCE, polling=50)
            return
        except TimeoutError as late:
            if attempt == 5 or not page.locator('[data-testid="stProgress"]').count():
                raise AssertionError(f"{name} was never drawn: {page.locator('[data-testid=stMain]').inner_text()}") from late


def start(visit, server, settled, **link):
    page = visit(server, path="/methods?" + "&".join(f"{key}={value}" for key, value in link.items()))
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    return page


def card(page, label) -> str:
    return page.locator('[data-testid="stMetric"]', has_text=label).locator('[data-testid="stMetricValue"]').inner_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_opens_on_a_kind_of_layer(visit, server, settled, kind):
    """It works, with figures and all charts drawn, or says in one sentence why not; on all kinds: tests/test_methods.py, without a browser."""
    network, layer = KINDS[kind]
    page, worked = start(visit, server, settled, net=network, layer=layer), 0
    for of in FAMILY:
        mine = [n for n in methods() if n.startswith(f"{of}.")][list(KINDS).index(kind) :: len(KINDS)]
        if mine:
            family(page, FAMILY[of], settled)
        for name in mine:
            pick(page, f"bench-method-{of}", method(name).title, settled)
            until_drawn(page, name)
            assert page.locator('[data-testid="stException"]').count() == 0, name
            refused = page.locator('[data-testid="stAlert"]')
            if refused.count():
                said = refused.first.inner_text()
                assert refused.count() == 1 and said.endswith(".") and page.locator('[data-testid="stMetric"]').count() == 0, (name, said)
                continue
            worked += 1
            assert re.fullmatch(r"[\d.,]+ (B|KB|MB)", card(page, "This layer")), name
            assert re.fullmatch(r"exact|-?[\d.]+ dB", card(page, "Weight error")), name
            assert page.locator(".st-key-bench-corner .chart").count() == 1, name
    assert worked > 3


def test_each_family_is_seen_to_fail_and_what_does_better_beside_it(visit, server, settled):
    page = start(visit, server, settled, net="vit")
    for name in FAILS:
        told, of = method(name).fails, name.split(".")[0]
        family(page, FAMILY[of], settled)
        pick(page, f"bench-method-{of}", method(name).title, settled)
        until_drawn(page, name)  # or the button would still be that of the method before
        before = tuple(step(n, **dict(knobs)) for n, knobs in told.after)
        net = shipped.load(told.network)
        page.get_by_role("button", name="See it fail").click()
        for button, last in (("See it fail", step(name, **dict(told.knobs))), (None, step(told.instead[0], **dict(told.instead[1])))):
            if button is None:
                page.get_by_role("button", name=f"See {method(told.instead[0]).title} instead").click()
            nbytes = words.size(encode(net.layer(told.layer), (*before, last), {}, net.digest)[0].nbytes)
            try:  # it may wait for its turn behind what others prepare
                page.locator('[data-testid="stMetric"]', has_text="This layer").filter(has_text=nbytes).wait_for(timeout=3 * PATIENCE)
            except TimeoutError as error:
                raise AssertionError(f"{last} never took {nbytes}: {page.locator('[data-testid=stMain]').inner_text()}") from error
            until_drawn(page, last.method)
            assert page.locator(".st-key-layer input").input_value() == told.layer and f"net={told.network}" in page.url
            assert f"method={chain_text((*before, last))}" in page.url
            if button:
                page.locator('[data-testid="stAlert"]', has_text=told.why[:40]).wait_for(timeout=PATIENCE)
        whole(page)


def test_rewritings_are_tried_on_the_network(visit, server, settled):
    page = visit(server, path="/methods?net=resnet-20")
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    family(page, "Whole network", settled)
    net = shipped.load("resnet-20")
    for name in rewrites():
        pick(page, "bench-method-rewriting", rewrites()[name].title, settled)
        why = rewrites()[name].refuses(net)
        page.get_by_text(why or re.compile(rf"of {len(net.layers)} layers change")).first.wait_for(timeout=PATIENCE)
        whole(page)


def test_deep_compression_is_written_read_back_and_held_against_the_paper(visit, server, settled):
    page = start(visit, server, settled, net="lenet-300-100", method="deep-compression")
    for name in ("lenet-300-100", "lenet-5"):
        net = shipped.load(name)
        if name == "lenet-5":
            page.get_by_role("button", name=f"Open {net.title}").click()
        length = size_of(compress(net, DEEP_COMPRESSION[name]))
        page.get_by_text(f"The slices add up to {length:,} bytes").wait_for(timeout=PATIENCE)
        settled(page)
        assert card(page, "Size of the file") == words.size(length) and card(page, "The paper’s file") == f"{PAPER[name].after} KB"
        assert page.get_by_text("stored numbers are the same, bit for bit").count() == 1 and "method=deep-compression" in page.url
        whole(page)
        bars = page.locator(".st-key-papers-slices .waterfalllayer .point")
        assert bars.count() == 7, "six slices and the file"


def test_a_row_of_the_list_opens_its_method(visit, server, settled):
    page = visit(server, path="/coverage")
    page.get_by_role("heading", name="Coverage", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    page.locator(".st-key-coverage-badges").get_by_role("button", name="runs live").click()
    page.wait_for_function("Array.from(document.querySelectorAll('.listing tbody tr')).every(row => row.innerText.includes('runs live'))",
                           timeout=PATIENCE)
    page.locator(".listing").get_by_role("button", name="Wanda", exact=True).click()
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    page.wait_for_function("document.querySelector('.st-key-bench-method-pruning input')?.value === 'Wanda'", timeout=PATIENCE)
    whole(page)
    page.locator('[data-testid="stTopNavLink"]', has_text="Coverage").click()
    page.get_by_role("heading", name="Coverage", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    page.locator(".listing").get_by_role("button", name="Truncated SVD", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    page.wait_for_function("document.querySelector('.st-key-bench-method-lowrank input')?.value === 'Truncated SVD'", timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(visit, server, settled, scheme):
    page = visit(server, path="/coverage", width=390, height=844, scheme=scheme)
    for path, title in (("/coverage", "Coverage"), ("/methods?net=lenet-5&layer=fc1", "Methods")):
        page.goto(f"{server.url}{path}")
        page.get_by_role("heading", name=title, level=1).wait_for(timeout=PATIENCE)
        settled(page)
        wide = page.evaluate("""() => ['html', '[data-testid=stMain]', '[data-testid=stMainBlockContainer]']
            .map(which => document.querySelector(which)).map(e => [e.scrollWidth, e.clientWidth])""")
        assert all(inner <= outer + 1 for inner, outer in wide), (title, wide)
