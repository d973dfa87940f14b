"""The Budget page in a real browser: a wish, a click on a layer, and a proposal that is applied and taken back."""

import os

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
READY = """count => {
  const charts = [...document.querySelectorAll('[data-testid=stMain] .chart')]
  return charts.length >= count && charts.every(chart => chart.dataset.state === 'ready')
}"""


def test_a_wish_is_carried_out_asked_why_applied_and_taken_back(visit, server, settled):
    page = visit(server, path="/budget?net=digits-mlp&v=1")
    settled(page)
    wish = page.get_by_label("File at most (KB)", exact=True)
    wish.fill("2.6")
    wish.press("Enter")
    settled(page)
    page.get_by_role("button", name="Find the best recipe").click()
    page.get_by_text("Done after").wait_for(timeout=2 * PATIENCE)
    page.wait_for_function(READY, arg=2, timeout=PATIENCE)
    settled(page)
    main = page.get_by_test_id("stMain")
    assert "Measured together: loses" in page.locator(".st-key-budget-claim").inner_text()
    page.locator(".st-key-budget-allocation .barlayer .point path").nth(1).click(force=True)
    main.get_by_text("Why fc2 got").wait_for(timeout=PATIENCE)
    page.get_by_role("button", name="Apply to 2 layers").click()
    main.get_by_text("The recipe on screen is this one already.").wait_for(timeout=PATIENCE)
    page.wait_for_function("() => location.search.includes('pin=')", timeout=PATIENCE)
    page.get_by_role("button", name="budget 2").click()
    main.get_by_role("button", name="Apply to 2 layers").wait_for(timeout=PATIENCE)
    assert page.locator('[data-testid="stException"]').count() == 0
