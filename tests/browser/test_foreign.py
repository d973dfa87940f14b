"""Files and links from elsewhere in a real browser: one's own network opens, and what is wrong gets a sentence."""

import io
import os
import pickle
import re

import torch
from explore_page import PATIENCE, SMALL, drawn, expected, press, waits_for
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from compression.recipe import Recipe, step
from compression.zoo import shipped


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


def test_a_hostile_link_fetches_nothing_and_the_page_goes_on(visit, server, settled):
    page = visit(server, path="/?net=![x](http://example.org/x.png)&do=<img src=http://example.org/y.png>&layer=<b>fc1</b>&on=holdout")
    page.locator('[data-testid="stAlert"]').first.wait_for(timeout=PATIENCE)
    assert page.locator('[data-testid="stAlert"] img, [data-testid="stAlert"] b').count() == 0
    assert "![x](http://example.org/x.png)" in page.locator('[data-testid="stAlert"]').first.inner_text()
    press(page, "sparsity", "End")
    waits_for(page, expected("lenet-5", Recipe((step("pruning.magnitude", sparsity=0.99),))))
    settled(page)
