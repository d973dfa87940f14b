"""How long a dial takes to be answered: from the key to the next painted frame, in a real browser, and the server's own work.

    OMP_NUM_THREADS=1 python tests/bench/dials.py [--quick] [--training] [--server-only]

Every press goes to a setting that was not seen before, so that nothing is answered from memory. Times start at the browser's own
stamp of the key or click and end when the frame after the change has been painted: of the sentence, of all charts on screen, of those
scrolled away. The last line is one line of JSON.
"""

import argparse
import json
import logging
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
TARGETS = {"release_to_repaint_ms": 400, "first_accuracy_ms": 1000}
WATCH = """() => {
    const claim = () => document.querySelector('.st-key-claim')?.textContent ?? ''
    const every = [...document.querySelectorAll('[data-testid=stMain] .chart')]
    const on = every.filter(chart => chart.getBoundingClientRect().top < innerHeight), away = every.filter(chart => !on.includes(chart))
    const draws = charts => charts.map(chart => chart.dataset.draws)
    const anew = (charts, before) => draws(charts).every((count, i) => count !== before[i])
    const sizes = text => text.match(/[\\d.,]+ [KM]?B \\(/)?.[0]
    const painted = done => requestAnimationFrame(() => {
        const channel = new MessageChannel()
        channel.port1.onmessage = () => done(performance.now())
        channel.port2.postMessage(0)
    })
    const before = {on: draws(on), away: draws(away), sizes: sizes(claim())}
    window.times = {}
    const seen = new Set()
    let start = null
    const begin = event => { start ??= event.timeStamp }
    for (const kind of ['keydown', 'pointerup']) addEventListener(kind, begin, {capture: true})
    const mark = name => {
        if (seen.has(name)) return
        seen.add(name)
        painted(now => { window.times[name] = now - start })
    }
    window.watcher?.disconnect()
    window.watcher = new MutationObserver(() => {
        if (start === null) return
        if (anew(on, before.on)) mark('charts')
        if (anew(away, before.away)) mark('charts scrolled away')
        const text = claim()
        if (sizes(text) !== before.sizes) {
            mark('sentence')
            if (/ccuracy [\\d.]+ %/.test(text)) mark('accuracy')
        }
    })
    window.watcher.observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ['data-draws']})
}"""
DONE = "() => (said => /changed\\./.test(said) && !/so far/.test(said))(document.querySelector('.st-key-claim')?.textContent)"
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
PATIENCE = 60_000


def serve(log) -> tuple[subprocess.Popen, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "streamlit", "run", "app/main.py", f"--server.port={port}"], cwd=ROOT, stdout=log,
                               stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    url = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
            return process, url
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise SystemExit("the app did not start")


def settle(page) -> None:
    try:
        page.wait_for_function(DONE, timeout=PATIENCE)
    except Exception as late:
        raise SystemExit(f"the accuracy of all examples never came: {page.locator('.st-key-claim').inner_text()!r}") from late
    page.wait_for_selector(IDLE, timeout=PATIENCE)
    page.wait_for_timeout(200)


def moves(page, presses):
    """(dial, what moves it to a setting not seen before), the sparsity moved on unmeasured where a dial has few rungs."""
    def key(dial, name):
        page.locator(f".st-key-dial-{dial} input[type=range]").focus()
        page.keyboard.press(name)

    for _ in range(presses):
        yield "sparsity", lambda: key("sparsity", "ArrowRight")
    widths = ("8", "4", "6", "3", "5", "16", "7", "2")
    for i in range(presses):
        key("sparsity", "ArrowLeft" if i == 0 else "ArrowRight")
        yield "bits", lambda i=i: page.locator(".st-key-dial-bits").get_by_role("radio", name=widths[i % len(widths)], exact=True).click()
    page.locator(".st-key-dial-bits").get_by_role("radio", name="32", exact=True).click()
    for _ in range(presses):
        yield "rank", lambda: key("rank", "ArrowLeft")


def begin_trainings(chrome, url) -> None:
    """Two other people, each with a training that lasts for minutes."""
    for seed in (1, 2):
        page = chrome.new_page()
        page.goto(f"{url}/train?net=lenet-300-100&train=sparse.movement~epochs-40~seed-{seed}")
        page.get_by_role("button", name="Start training").click(timeout=PATIENCE)
        page.get_by_role("button", name="Stop, keep the best").wait_for(timeout=PATIENCE)


def browser(presses, training=False) -> dict[str, dict[str, list[float]]]:
    """Dial -> what -> milliseconds, one figure a press."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    found = {dial: {what: [] for what in ("charts", "sentence", "both", "charts scrolled away", "accuracy")} for dial in ("sparsity", "bits", "rank")}
    with tempfile.TemporaryFile() as log, sync_playwright() as playwright:
        process, url = serve(log)
        try:
            chrome = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            if training:
                begin_trainings(chrome, url)
            page = chrome.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
            page.goto(url)
            page.wait_for_selector(".st-key-layers-histograms .chart[data-state=ready]", timeout=PATIENCE)
            for dial, move in moves(page, presses):
                settle(page)
                page.evaluate(WATCH)
                move()
                page.wait_for_function("() => Object.keys(window.times).length === 4", timeout=PATIENCE)
                times = page.evaluate("window.times")
                for what, spent in (times | {"both": max(times["charts"], times["sentence"])}).items():
                    found[dial][what].append(spent)
        finally:
            process.terminate()
            process.wait(20)
    return found


def server() -> dict[str, dict[str, float]]:
    """Network -> dial -> CPU milliseconds that pictures and costs take for a setting not seen before; prepared layers are there."""
    logging.disable(logging.WARNING)
    from app import compute
    from compression.recipe import Recipe, step
    from compression.zoo import shipped

    compute.warm()
    methods = {"sparsity": "pruning.magnitude", "bits": "quantization.uniform", "rank": "lowrank.svd"}
    rungs = {"sparsity": [i / 100 for i in range(30, 90, 5)], "bits": [2, 3, 4, 5, 6, 7, 8, 16], "rank": [i / 20 for i in range(3, 19)]}
    found = {}
    for name in shipped.available():
        net, found[name] = shipped.load(name), {}
        compute.costs(net, Recipe())
        for dial, values in rungs.items():
            spent = []
            for i, value in enumerate(values):
                recipe = Recipe((step(methods[dial], **{dial: value}),))
                begin = time.process_time()
                compute.pictures(net, recipe)
                compute.costs(net, recipe)
                if i:  # the first one prepares
                    spent.append(1e3 * (time.process_time() - begin))
            found[name][dial] = round(statistics.median(spent), 1)
    return found


def middles(found) -> dict[str, int]:
    """Medians over all presses of all dials."""
    return {name: round(statistics.median([t for rows in found.values() for t in rows[what]]))
            for name, what in (("release_to_repaint_ms", "both"), ("first_accuracy_ms", "accuracy"))}


def table(title, found) -> None:
    print(f"{title:24}{'median':>9}{'p95':>9}{'min':>9}{'presses':>9}")
    for dial, rows in found.items():
        for what, times in rows.items():
            print(f"{dial + ' → ' + what:24}{statistics.median(times):9.0f}{p95(times):9.0f}{min(times):9.0f}{len(times):9}")


def p95(times) -> float:
    return sorted(times)[max(0, -(-len(times) * 95 // 100) - 1)]


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--quick", action="store_true", help="5 presses of each dial")
    ask.add_argument("--training", action="store_true", help="after that while two other people train, and how many times longer it takes")
    ask.add_argument("--server-only", action="store_true", help="no browser")
    asked = ask.parse_args()
    result: dict[str, object] = {"load_average_before": os.getloadavg()[0]}
    presses = 5 if asked.quick else 20
    if not asked.server_only:
        found = browser(presses)
        table("LeNet-5, ms", found)
        result |= middles(found)
        result["dials"] = {dial: {what: {"median": round(statistics.median(t)), "p95": round(p95(t)), "min": round(min(t))}
                                  for what, t in rows.items()} for dial, rows in found.items()}
    if asked.training and not asked.server_only:
        found = browser(presses, training=True)
        table("while two train, ms", found)
        result["while_two_train"] = middles(found)
        result["times_idle"] = {name: round(took / result[name], 2) for name, took in middles(found).items()}
        print(f"\nwhile two train, times idle: {result['times_idle']}, target 2 at most")
    result["server_cpu_ms"] = server()
    print(f"\n{'server, CPU ms a move':24}{'sparsity':>9}{'bits':>9}{'rank':>9}")
    for name, row in result["server_cpu_ms"].items():
        print(f"{name:24}{row['sparsity']:9.1f}{row['bits']:9.1f}{row['rank']:9.1f}")
    result["load_average_after"] = os.getloadavg()[0]
    print(f"\nload average {result['load_average_before']:.1f} before, {result['load_average_after']:.1f} after; targets {TARGETS}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
