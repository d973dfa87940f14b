"""The Methods and Coverage pages in a real browser: each family on each kind of layer, and from a row of the list to its method."""

import os
import re

import pytest

from app import words
from compression.apply import encode
from compression.recipe import step
from compression.registry import method, methods, rewrites
from compression.zoo import shipped

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "60"))  # ms until a page that does not answer fails
KINDS = {
    "convolution": ("vgg-small", "conv4"),
    "linear": ("lenet-300-100", "fc2"),
    "embedding": ("char-lstm", "embed"),
    "lstm": ("row-lstm", "lstm.weight_hh_l0"),
    "attention": ("vit", "blocks.0.attention.in_proj_weight"),
}
FAMILY = {"lowrank": "Low rank", "pruning": "Pruning", "sharing": "Sharing", "quantization": "Quantization", "coding": "Coding"}
STEP = len(KINDS)  # every method is opened on one kind of layer here, and on all of them in tests/test_methods.py


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


def expected(network, layer, name) -> tuple[str, str]:
    """(bytes on the card, nothing) where the method applies; (nothing, the sentence) where it does not."""
    net = shipped.load(network)
    chain = (step("quantization.uniform", bits=4), step(name)) if method(name).consumes == "codes" else (step(name),)
    form, refused = encode(net.layer(layer), chain, {}, net.digest)
    return ("", refused[-1]) if refused else (words.size(form.nbytes), "")


@pytest.mark.parametrize("kind", KINDS)
def test_methods_open_on_every_kind_of_layer(visit, server, settled, kind):
    network, layer = KINDS[kind]
    page = visit(server, path=f"/methods?net={network}&layer={layer}")
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    start = list(KINDS).index(kind)
    for name in list(methods())[start::STEP]:
        of = name.split(".")[0]
        family(page, FAMILY[of], settled)
        pick(page, f"bench-method-{of}", method(name).title, settled)
        nbytes, sentence = expected(network, layer, name)
        where = page.locator('[data-testid="stAlert"]' if sentence else '[data-testid="stMetric"]', has_text=sentence or "This layer")
        where.filter(has_text=sentence or nbytes).first.wait_for(timeout=PATIENCE)
        whole(page)
        if not sentence:
            page.wait_for_selector(".st-key-bench-corner .chart[data-state=ready]", timeout=PATIENCE)
            assert page.locator(".st-key-bench-histogram .bars .point").count() > 3, name


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
