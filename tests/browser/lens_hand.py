"""A hand on the lens, for its tests: it opens a layer, takes hold of dials, and reads what the lens says and what Python was told."""

import shutil

import lens_page
import pytest

from app import chart

ROOT = "[...document.querySelectorAll('*')].map(e => e.shadowRoot?.querySelector('.lens')).find(Boolean)"
WATCH = f"""() => {{
  const [root, send] = [{ROOT}, WebSocket.prototype.send]
  window.watched = {{ at: [], draws: [], sent: 0 }}
  WebSocket.prototype.send = function (...args) {{ watched.sent++; return send.apply(this, args) }}
  const look = now => {{ watched.at.push(now); watched.draws.push(Number(root.dataset.draws)); requestAnimationFrame(look) }}
  requestAnimationFrame(look)
}}"""


@pytest.fixture(scope="session")
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


def quiet(page, name=None):
    """Wait until every setting of the dial on screen, or of one that is named, is known and drawn."""
    if name:
        dial(page, name).dispatch_event("input")
    page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
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
