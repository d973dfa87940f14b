"""The lens by mouse, finger and keyboard: what is let go is told once, and what is taken back makes no echo."""

from lens_hand import ROOT, at, dial, grab, quiet, said, told, turn, wait_until_told


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


def test_tabs_are_tabs(lens):
    page = lens("10k")
    page.locator("#tab-weights").focus()
    for key, name in (("ArrowRight", "grid"), ("ArrowRight", "spectrum"), ("End", "matrix"), ("ArrowRight", "weights"), ("ArrowLeft", "matrix")):
        page.keyboard.press(key)
        assert page.locator("[role=tab][aria-selected=true]").get_attribute("data-view") == name
    assert [dial(page, name).is_visible() for name in ("sparsity", "bits", "rank")] == [True] * 3
    for name in ("sparsity", "bits", "rank"):
        quiet(page, name)
    for name, rung in (("bits", 2), ("rank", 4), ("sparsity", 70)):
        turn(page, name, rung)
        assert said(page)["size"][0] != "–"


def test_views_pressed_faster_than_answers_come(lens):
    """Newer data overtake a call of the component on a slow machine; the lens stays the one it was."""
    page = lens("10k")
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.locator("#tab-weights").focus()
    for _ in range(6):
        for name in ("grid", "spectrum", "matrix", "weights"):
            page.keyboard.press("ArrowRight")
            assert page.locator("[role=tab][aria-selected=true]").get_attribute("data-view") == name
    page.keyboard.press("End")
    page.wait_for_timeout(1000)
    quiet(page)
    assert page.locator("[role=tab][aria-selected=true]").get_attribute("data-view") == "matrix"
    draws = page.evaluate(f"{ROOT}.dataset.draws")
    dial(page, "bits").dispatch_event("input")
    page.wait_for_function(f"before => {ROOT}.dataset.draws !== before", arg=draws)
