"""The lens in a browser: it redraws while its dial is dragged and says once, when it is let go, what was dialled."""

import itertools
import shutil
import statistics
from pathlib import Path

import axe_playwright_python
import lens_page
import pytest
from lens_page import LAYERS, RECIPES

from app import chart, words
from app.lens.steps import ladder, place, running, settings, turned
from compression import measure
from compression.apply import encode

ROOT = "[...document.querySelectorAll('*')].map(e => e.shadowRoot?.querySelector('.lens')).find(Boolean)"
SIZES = ("10k", "400k", "2.4M")
DECIMALS = {"10k": 4, "400k": 4, "2.4M": 4}  # of a threshold: three digits of the largest weight
WATCH = f"""() => {{
  const [root, send] = [{ROOT}, WebSocket.prototype.send]
  window.watched = {{ at: [], draws: [], sent: 0 }}
  WebSocket.prototype.send = function (...args) {{ watched.sent++; return send.apply(this, args) }}
  const look = now => {{ watched.at.push(now); watched.draws.push(Number(root.dataset.draws)); requestAnimationFrame(look) }}
  requestAnimationFrame(look)
}}"""


@pytest.fixture(scope="module")
def served(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lens")
    shutil.copytree(chart.STATIC / "fonts", folder / "static" / "fonts")
    shutil.copy(lens_page.__file__, folder)
    return serve(folder / "lens_page.py")


@pytest.fixture
def lens(visit, served, settled):
    """lens(of="400k", do="half", view="weights", still=True, ...) opens a layer under a recipe, and waits until all is measured."""

    def open_lens(of="400k", do="half", view="weights", still=True, **kwargs):
        page = visit(served, path=f"/?of={of}&do={do}", **kwargs)
        page.locator(".lens[data-state=ready]").wait_for()
        page.locator(f"#tab-{view}").click()
        if still:
            quiet(page)
        return settled(page)

    return open_lens


@pytest.fixture
def say(request, capsys):
    """say(text) writes a line of the test's output."""

    def write(text):
        with capsys.disabled():
            request.config.pluginmanager.get_plugin("terminalreporter").write_line(f"  {text}")

    return write


def quiet(page):
    """Wait until every setting of the dial on screen is known and drawn."""
    page.wait_for_function(f"() => {ROOT}?.dataset.open === '0'")
    page.wait_for_timeout(100)


def told(page):
    """What Python was told: how often, and the layer's chain now."""
    return page.get_by_text("told ").inner_text()


def wait_until_told(page, count):
    page.get_by_text(f"told {count}:").wait_for()
    page.wait_for_timeout(300)  # one more would be a fault
    assert told(page).startswith(f"told {count}:")


def dial(page, name="sparsity"):
    return page.locator(f"#lens-{name}")


def at(page, name="sparsity"):
    return int(dial(page, name).input_value())


def said(page):
    """What the lens says of size, error, and its own view."""
    return {name: (page.locator(f"[data-fact={name}]").inner_text(), page.locator(f"[data-more={name}]").inner_text())
            for name in ("size", "error", "own")}


def grab(page, name="sparsity"):
    """Take hold of a dial's thumb; gives its place and how far it can be moved."""
    box, share = dial(page, name).bounding_box(), at(page, name) / int(dial(page, name).get_attribute("max"))
    x, y = box["x"] + 10 + share * (box["width"] - 20), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y, box["width"] - 20


def turn(page, name, rung):
    """Move a dial as a hand that holds it does, without letting it go."""
    dial(page, name).evaluate("""(e, rung) => {
      e.dispatchEvent(new PointerEvent("pointerdown"))
      e.value = rung
      e.dispatchEvent(new Event("input"))
    }""", rung)
    page.wait_for_function(f"([name, rung]) => {ROOT}.querySelector('#lens-' + name).style.getPropertyValue('--here') == "
                           f"rung / {ROOT}.querySelector('#lens-' + name).max", arg=[name, rung])
    page.wait_for_timeout(60)


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


def test_keys_turn_a_dial_and_are_told_once_they_rest(lens, settled):
    page = lens("10k")
    while page.evaluate(f"{ROOT}.getRootNode().activeElement?.id") != "lens-sparsity":
        page.keyboard.press("Tab")
    assert page.evaluate(f"getComputedStyle({ROOT}.querySelector('#lens-sparsity')).outlineStyle") == "solid"
    for key, there in (("ArrowRight", 51), ("ArrowRight", 52), ("ArrowLeft", 51), ("PageUp", 61), ("PageDown", 51), ("Home", 0), ("End", 99),
                       ("ArrowDown", 98)):
        page.keyboard.press(key)
        assert at(page) == there
    assert told(page).startswith("told 0:")
    wait_until_told(page, 1)
    assert "('sparsity', 0.98)" in told(page) and page.evaluate(f"{ROOT}.getRootNode().activeElement.id") == "lens-sparsity"
    spoken = dial(page).get_attribute("aria-valuetext")
    assert spoken.startswith("98 %; removed 98 %, 10,035 of 10,240 set to zero, magnitude up to") and "smaller; error" in spoken
    page.keyboard.press("ArrowUp")
    page.locator("#tab-grid").click()  # leaving says it at once
    wait_until_told(page, 2)
    assert "('sparsity', 0.99)" in told(page)


def test_a_finger_does_what_the_mouse_does(lens):
    page = lens("10k")
    box = dial(page).bounding_box()
    y = box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def finger(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x in points]})

    finger("touchStart", box["x"] + box["width"] / 2)
    for i in range(1, 16):
        finger("touchMove", box["x"] + box["width"] * (0.5 + 0.02 * i))
        page.wait_for_timeout(16)
    assert 75 <= at(page) <= 85 and told(page).startswith("told 0:")
    rung = at(page)
    finger("touchEnd")
    wait_until_told(page, 1)
    assert f"('sparsity', {rung / 100})" in told(page)


def test_the_threshold_and_the_cut_can_be_dragged_in_the_picture(lens):
    page = lens("400k")
    box = page.locator("canvas").bounding_box()
    middle = box["x"] + (52 + box["width"] - 16) / 2
    page.mouse.move(middle + 20, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(middle + 140, box["y"] + 80, steps=6)
    assert at(page) > 60 and told(page).startswith("told 0:")
    page.mouse.up()
    wait_until_told(page, 1)
    page.locator("#tab-spectrum").click()
    quiet(page)
    page.mouse.move(box["x"] + 300, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 52 + 0.25 * (box["width"] - 68), box["y"] + 80, steps=4)
    page.mouse.up()
    wait_until_told(page, 2)
    assert "('rank', 0.25)" in told(page)


LOSE = """window.lost = 0
window.WebSocket = class extends WebSocket {
  send(message) {
    if (!window.lost && new TextDecoder("latin1").decode(message).includes('"event":"turn"')) return void window.lost++
    super.send(message)
  }
}"""


def test_a_release_that_gets_lost_is_said_again_and_heard_once(lens):
    page = lens("400k", script=LOSE)
    grab(page)
    page.mouse.move(*(lambda b: (b["x"] + 0.9 * b["width"], b["y"] + 10))(dial(page).bounding_box()), steps=5)
    page.mouse.up()
    page.wait_for_function("window.lost")
    wait_until_told(page, 1)
    page.wait_for_timeout(4000)
    wait_until_told(page, 1)


def test_python_moves_it_without_an_echo(lens, settled):
    page = lens("400k")
    grab(page)
    page.mouse.move(*(lambda b: (b["x"] + 0.9 * b["width"], b["y"] + 10))(dial(page).bounding_box()), steps=5)
    page.mouse.up()
    wait_until_told(page, 1)
    assert at(page) > 85
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(f"() => {ROOT}?.querySelector('#lens-sparsity').value === '50'")
    settled(page)
    wait_until_told(page, 1)
    assert said(page)["own"][0] == "50 %"


def test_a_layer_without_a_matrix_or_locked_says_so(lens):
    page = lens("depthwise", view="spectrum")
    assert "share no inputs" in page.locator(".note").inner_text() and dial(page, "rank").is_disabled()
    page = lens("conv", do="locked")
    assert page.locator(".note").inner_text() == "This layer is locked: it stays as it was trained."
    assert dial(page).is_disabled() and said(page)["error"] == ("exact", "nothing is lost")


def test_tabs_are_tabs(lens):
    page = lens("10k")
    page.locator("#tab-weights").focus()
    for key, name in (("ArrowRight", "grid"), ("ArrowRight", "spectrum"), ("End", "matrix"), ("ArrowRight", "weights"), ("ArrowLeft", "matrix")):
        page.keyboard.press(key)
        assert page.locator("[role=tab][aria-selected=true]").get_attribute("data-view") == name
    assert [dial(page, name).is_visible() for name in ("sparsity", "bits", "rank")] == [True] * 3
    quiet(page)
    for name, rung in (("bits", 2), ("rank", 4), ("sparsity", 70)):
        turn(page, name, rung)
        assert said(page)["size"][0] != "–"


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
