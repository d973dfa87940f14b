"""The Compare page in a real browser: full, drawn, and exchanged by one click; and its report, opened and printed without a network."""

import os
import re

import pytest

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
DRAWN = """() => {
  const charts = [...document.querySelectorAll('[data-testid=stMain] .chart')]
  return charts.length >= 5 && charts.every(chart => chart.dataset.state === 'ready') && document.querySelectorAll('.card').length
}"""


def claim(page):
    return page.locator(".st-key-compared").inner_text()


def test_a_and_b_side_by_side_and_exchanged(visit, server, settled):
    page = visit(server, path="/compare?net=lenet-5&a=light&b=extreme")
    page.wait_for_function(DRAWN, timeout=PATIENCE)
    settled(page)
    worse, better = re.search(r"([\d,]+) newly wrong, ([\d,]+) newly right", claim(page)).groups()
    assert page.locator(".card", has_text="newly wrong").count() == 12
    page.get_by_role("button", name="Swap").click()
    page.wait_for_function("said => document.querySelector('.st-key-compared')?.innerText.includes(said)",
                           arg=f"{better} newly wrong, {worse} newly right", timeout=PATIENCE)
    page.wait_for_function("() => location.search.includes('a=extreme')", timeout=PATIENCE)
    page.wait_for_function(DRAWN, timeout=PATIENCE)
    assert page.locator('[data-testid="stException"]').count() == 0


@pytest.mark.parametrize("net", ["resnet-20", "char-lstm"])
def test_the_report_stands_alone_and_prints_on_two_sheets(visit, server, settled, tmp_path, net):
    page = visit(server, path=f"/compare?net={net}&a=original&b=extreme")
    page.get_by_role("button", name="Download the report").wait_for(timeout=2 * PATIENCE)
    settled(page)
    with page.expect_download(timeout=PATIENCE) as found:
        page.get_by_role("button", name="Download the report").click()
    found.value.save_as(tmp_path / "report.html")
    said = claim(page)
    alone = page.context.browser.new_context(offline=True).new_page()
    asked = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(f"file://{tmp_path / 'report.html'}")
    text = alone.inner_text("body")
    assert said.split(".")[0] in text and "net=" + net in text and "Seeds" in text and "Intervals are 95 %" in text
    assert alone.locator("svg").count() == 2 and alone.locator(".card").count() == 12 and alone.locator("svg circle").count() >= 4
    assert all(url.startswith(("file:", "data:")) for url in asked)
    sheets = len(re.findall(rb"/Type\s*/Page[^s]", alone.pdf(format="A4")))
    assert sheets <= 2, sheets
    alone.screenshot(path=tmp_path / "report.png", full_page=True)
    alone.close()
