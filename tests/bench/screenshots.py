"""Pictures of the pages for the README, each in a state that shows something. Run by hand; needs Chromium and Playwright:

python tests/bench/screenshots.py [--only explore,compare] [--patience 300]
"""

import argparse
import os
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from dials import serve  # noqa: E402

WIDE, HIGH, COLOURS, MOST = 1280, 860, 160, 150_000  # pixels, pixels, colours, bytes of a file
SETTLED = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && document.querySelector('[data-testid=stMain] h1') && !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')
    && [...document.querySelectorAll('.chart')].every(chart => chart.dataset.state === 'ready')
    && !/so far|stimated|easuring…/.test(document.querySelector('.st-key-claim')?.innerText ?? '')"""


class Shot(NamedTuple):
    """One page: its address, what is pressed there, what it then says, and the heading or chart at the top of the picture."""

    path: str
    press: str = ""
    says: str = ""
    top: str = ""


SHOTS = {
    "explore": Shot("/"),
    "methods": Shot("/methods?net=lenet-5&layer=fc1&method=kmeans-bits-3"),
    "sensitivity": Shot("/sensitivity?net=lenet-300-100", "Start scan", "Scan again", ".st-key-scan-heat"),
    "trade-off": Shot("/trade-off?net=lenet-300-100", ".st-key-study-begin button", "", ".st-key-study-chart"),
    "budget": Shot("/budget?net=lenet-300-100", "Find the best recipe", "Done after"),
    "compare": Shot("/compare?net=lenet-5&a=original&b=balanced"),
    "coverage": Shot("/coverage"),
    "train": Shot("/train?net=digits-mlp&train=sparse.variational", "Start training", "Train again"),
    "distil": Shot("/distil?net=lenet-300-100"),
}


def taken(browser, url: str, shot: Shot, patience: float) -> bytes:
    """The picture of a page as a PNG of few colours."""
    page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, reduced_motion="reduce")
    page.set_default_timeout(1000 * patience)
    page.goto(url + shot.path)
    page.wait_for_function(SETTLED, polling=500)
    kept = bool(shot.says) and page.get_by_text(shot.says).count() > 0  # measured in an earlier start
    if shot.press and not kept:
        button = page.locator(shot.press) if shot.press.startswith(".") else page.get_by_role("button", name=shot.press)
        button.first.click()
        page.wait_for_timeout(1500)
        page.wait_for_function("() => ![...document.querySelectorAll('button')].some(b => /^Stop/.test(b.innerText))", polling=500)
        if shot.says:
            page.get_by_text(shot.says).first.wait_for()
        page.wait_for_function(SETTLED, polling=500)
    if shot.top:
        page.locator(shot.top).first.evaluate("e => e.scrollIntoView({block: 'center'})")
    page.mouse.move(5, 5)
    page.wait_for_timeout(800)
    small, file = Image.open(BytesIO(page.screenshot())).convert("RGB"), BytesIO()
    small.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    page.close()
    return file.getvalue()


def main() -> None:
    """Write assets/<page>.png for each page asked for."""
    from playwright.sync_api import sync_playwright

    ask = argparse.ArgumentParser()
    ask.add_argument("--only", default=",".join(SHOTS), help="pages, separated by commas")
    ask.add_argument("--patience", type=float, default=300, help="seconds until a page that does not get ready fails")
    ask.add_argument("--into", type=Path, default=ROOT / "assets")
    given = ask.parse_args()
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryFile() as log, sync_playwright() as playwright:
        process, url = serve(log)
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            for name in given.only.split(","):
                try:
                    found = taken(browser, url, SHOTS[name], given.patience)
                except Exception as error:  # the other pages can still be shown
                    print(f"{name:14}not taken: {str(error).splitlines()[0]}")
                    continue
                if len(found) > MOST:
                    print(f"{name:14}not taken: {len(found):,} bytes, more than {MOST:,}")
                    continue
                (given.into / f"{name}.png").write_bytes(found)
                print(f"{name:14}{len(found):,} bytes", flush=True)
        finally:
            process.terminate()
            process.wait(20)


if __name__ == "__main__":
    main()
