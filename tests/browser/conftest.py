"""A real browser on a real server: one Chromium for the session, a server per script, and every complaint recorded."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from lens_hand import lens, say, served  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]
ADVICE = "install Chromium, for example: apt-get install chromium (and the Python package playwright)"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails; nothing waits for it
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"][data-test-connection-state="CONNECTED"]'
# Opened at /page, Streamlit first asks whether the app lives under /page, and takes 404 for the answer.
BASE_PATH_GUESS = re.compile(r"/[\w-]+/_stcore/(health|host-config)$")
COMPLAINT = re.compile(r"Traceback|deprecated|Session State API|will be removed", re.IGNORECASE)


def unavailable(advice: str = ADVICE):
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(advice)


@dataclass
class Server:
    """A running Streamlit server and what it has said so far."""

    url: str
    process: subprocess.Popen
    path: Path

    @property
    def log(self) -> str:
        return self.path.read_text("utf-8", "replace")

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
                    if answer.read() == b"ok":
                        return
            except OSError:
                pass
            assert time.monotonic() < end, f"no answer after {seconds} s\n{self.log}"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """serve(script, *flags) runs the script with Streamlit, from the project's root on a free port, until the end.

    streamlit: what Python runs for it.
    """
    servers = []

    def start(script, *flags: str, streamlit=("-m", "streamlit")) -> Server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        path = tmp_path_factory.mktemp("server") / "log.txt"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *streamlit, "run", str(script), f"--server.port={port}", *flags],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = Server(f"http://127.0.0.1:{port}", process, path)
        servers.append(server)
        server.wait(120)
        return server

    yield start
    for server in servers:
        server.process.terminate()
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def server(serve):
    """The app itself."""
    return serve("app/main.py")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable()
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not path:
        unavailable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """visit(server, path="/", scheme="light") opens a page in a fresh profile, `script` before all others, and waits until it has settled.

    At the end of the test the page must have logged no error, asked no other machine for anything, and left no
    complaint in the server's log. A test that provokes an error clears `page.errors`.
    """
    visits = []

    def open_page(server: Server, path: str = "/", scheme: str = "light", width: int = 1280, height: int = 900, script: str = ""):
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE)
        context.add_init_script(script)
        page = context.new_page()
        page.errors, page.outside = [], []
        visits.append((page, context, server))

        def console(message):
            if message.type == "error" and not BASE_PATH_GUESS.search(message.location.get("url", "")):
                page.errors.append(f"{message.text} {message.location.get('url', '')}")

        def request(request):
            if not request.url.startswith((server.url, "data:", "blob:", "about:")):
                page.outside.append(request.url)

        page.on("console", console)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", request)
        page.goto(server.url + path)
        settle(page)
        return page

    yield open_page
    found = []
    for page, context, server in visits:
        found += [f"browser: {error}" for error in page.errors] + [f"outside: {url}" for url in page.outside]
        found += [f"server: {line}" for line in server.log.splitlines() if COMPLAINT.search(line)]
        context.close()
    assert not found, "\n".join(found)


@pytest.fixture
def page(visit, server):
    """The app in a fresh profile, light."""
    return visit(server)


def settle(page):
    page.wait_for_selector(IDLE)
    page.wait_for_function("() => !document.querySelector('[data-stale=true], [data-testid=stSkeleton]')")
    return page


@pytest.fixture
def settled():
    """settled(page) waits until the script has run, the page is connected and nothing on it is stale."""
    return settle
