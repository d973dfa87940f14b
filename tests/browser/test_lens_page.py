"""The lens in a browser: it redraws while its dial is dragged and says once, when it is let go, what was dialled."""

import itertools
import statistics
from pathlib import Path

import axe_playwright_python
import pytest
from lens_hand import ROOT, WATCH, at, dial, grab, quiet, said, told, turn, wait_until_told
from lens_page import LAYERS, RECIPES

from app import words
from app.lens.steps import ladder, place, running, settings, turned
from compression import measure
from compression.apply import encode

SIZES = ("10k", "400k", "2.4M")
DECIMALS = {"10k": 4, "400k": 4, "2.4M": 4}  # of a threshold: three digits of the largest weight


@pytest.mark.parametrize("of", SIZES)
def test_it_redraws_while_it_is_dragged_and_nothing_is_sent_before_it_is_let_go(lens, settled, say, of):
    page = lens(of)
    x, y, width = grab(page)
    page.evaluate(WATCH)
    for i in range(60):
        page.mouse.move(x + (0.9 * i / 59 - 0.45) * width, y)
    there, watched = at(page), page.evaluate("watched")
    frames = [b - a for a, b in itertools.pairwise(watched["at"])]
    drawn, seconds = watched["draws"][-1] - watched["draws"][0], (watched["at"][-1] - watched["at"][0]) / 1000
    say(f"{of} weights: {drawn} redraws in {seconds:.2f} s of dragging, {drawn / seconds:.0f} a second; median frame "
        f"{statistics.median(frames):.1f} ms, longest {max(frames):.0f} ms; {watched['sent']} messages")
    assert drawn >= 15 and watched["sent"] == 0
    page.mouse.up()
    wait_until_told(page, 1)
    settled(page)
    assert f"('sparsity', {there / 100})" in told(page) and at(page) == there


def test_nothing_is_asked_for_while_a_dial_is_held_even_if_rungs_are_still_being_measured(lens):
    page = lens(do="wanda", still=False)
    assert page.locator(".note").inner_text().endswith("measured so far.")
    x, y, width = grab(page)
    page.evaluate(WATCH)
    for i in range(12):
        page.mouse.move(x + 0.02 * (i % 5) * width, y)
        page.wait_for_timeout(100)
    assert page.evaluate("watched.sent") == 0
    page.mouse.up()
    wait_until_told(page, 1)
    quiet(page)
    assert page.evaluate("watched.sent") > 1, "what was still to be measured was asked for afterwards"


@pytest.mark.parametrize("of", SIZES)
@pytest.mark.parametrize(("do", "which", "view", "values"), [
    ("half", "sparsity", "weights", (0.0, 0.64, 0.9, 0.99)), ("deep", "sparsity", "weights", (0.3, 0.95)),
    ("deep", "bits", "grid", (2, 5, 32)), ("svd", "rank", "spectrum", (0.02, 0.5, 1.0))])
def test_its_numbers_are_those_that_python_computes(lens, say, of, do, which, view, values):
    page = lens(of, do, view)
    net, name = LAYERS[of]()
    layer, steps = net.layer(name), settings(RECIPES[do], name)
    whole = 4 * layer.weight.numel()
    for value in values:
        turn(page, which, ladder(steps[place(steps, which)]).index(value))
        form, _ = encode(layer, running(turned(steps, place(steps, which), value)), {})
        decoded, found = form.decode(), said(page)
        wrong = measure.error(layer.weight, decoded)
        say(f"{of} {do} {which} {value}: {' | '.join(' '.join(each) for each in found.values())}")
        assert found["size"] == (words.size(len(form.to_bytes())), f"of {words.size(whole)}, {words.smaller(form.nbytes, whole)}")
        exact = wrong.sqnr == float("inf")
        assert found["error"] == (("exact", "nothing is lost") if exact else (
            f"{wrong.sqnr:.1f} dB".replace("-", "−"), f"SQNR, relative error {words.share(wrong.relative)}"))
        if which == "sparsity":
            form, _ = encode(layer, running(turned(steps, place(steps, which), value)[: place(steps, which) + 1]), {})
            gone, size = form.decode() == 0, layer.weight.abs()
            until = f", |w| ≤ {float(size[gone].max()):.{DECIMALS[of]}f}" if value else ""
            assert found["own"] == (words.share(value, 0), f"{int(gone.sum()):,} of {layer.weight.numel():,} set to zero{until}")
        elif which == "bits" and value < 32:
            assert found["own"][0] == str(2**value)
        elif which == "rank":
            full = min(len(layer.weight), layer.weight[0].numel())
            assert found["own"][0] == f"{max(1, round(value * full)):,} of {full:,}"


def test_a_layer_without_a_matrix_or_locked_says_so(lens):
    page = lens("depthwise", view="spectrum")
    assert "share no inputs" in page.locator(".note").inner_text() and dial(page, "rank").is_disabled()
    page = lens("conv", do="locked")
    assert page.locator(".note").inner_text() == "This layer is locked: it stays as it was trained."
    assert dial(page).is_disabled() and said(page)["error"] == ("exact", "nothing is lost")


def test_nothing_jumps_while_it_is_dragged(lens):
    """The picture keeps its place and size, and so does the lens, at every rung."""
    for width in (1280, 390):
        page = lens("400k", do="deep", width=width)
        places = set()
        for rung in (0, 1, 33, 50, 68, 99):
            turn(page, "sparsity", rung)
            places.add(str([page.locator(q).bounding_box() for q in (".lens", "canvas", "#lens-sparsity")]))
        assert len(places) == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_draw_in_the_page_s_colours(lens, scheme):
    page = lens("400k", scheme=scheme)
    turn(page, "sparsity", 30)
    colours = page.evaluate(f"""() => {{
      const [root, found] = [{ROOT}, {{}}]
      const canvas = root.querySelector("canvas")
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) {{
        const key = [data[i], data[i + 1], data[i + 2]].join()
        found[key] = (found[key] ?? 0) + 1
      }}
      return Object.entries(found).sort((a, b) => b[1] - a[1]).map(e => e[0])
    }}""")
    assert colours[0] == {"light": "0,114,178", "dark": "86,180,233"}[scheme]
    drawn = int(page.evaluate(f"{ROOT}.dataset.draws"))
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    page.wait_for_function(f"drawn => Number({ROOT}.dataset.draws) > drawn", arg=drawn)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(lens, scheme):
    source = Path(axe_playwright_python.__file__).with_name("axe.min.js")
    page = lens("400k", scheme=scheme)
    page.evaluate(source.read_text("utf-8"))
    for view in ("weights", "grid", "spectrum", "matrix"):
        page.locator(f"#tab-{view}").click()
        quiet(page)
        found = page.evaluate("axe.run({ include: [['.st-key-lens']] }).then(r => r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html)]))")
        assert not [each for each in found if each[0] in ("serious", "critical")], found
