"""A dial moves the charts in place: each is drawn once, none is ever empty, nothing on the page moves, and the focus stays."""

from explore_page import OPENING, PATIENCE, drawn, expected, press, waits_for

# At every frame: which charts are empty or mounted anew, where each stands, how long the page is and how far it is scrolled.
WATCH = """() => {
  const main = document.querySelector('[data-testid=stMain]')
  const charts = () => [...main.querySelectorAll('.chart')]
  const seen = window.seen = { frames: 0, empty: 0, before: charts(), places: new Set(), draws: charts().map(chart => Number(chart.dataset.draws)) }
  const look = () => {
    seen.frames++
    const now = charts()
    const whole = chart => chart.dataset.state === 'ready' && chart.querySelector('.cartesianlayer *')
    if (now.length !== seen.before.length || now.some((chart, i) => chart !== seen.before[i] || !whole(chart))) seen.empty++
    seen.places.add(JSON.stringify([main.scrollTop, main.scrollHeight, ...now.map(chart => chart.getBoundingClientRect().top)].map(Math.round)))
    if (!seen.over) requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
}"""
SEEN = """() => {
  seen.over = true
  const draws = seen.before.map((chart, i) => Number(chart.dataset.draws) - seen.draws[i])
  return { frames: seen.frames, empty: seen.empty, places: [...seen.places], draws, focus: document.activeElement.type }
}"""


def test_a_release_draws_each_chart_once_and_nothing_jumps(visit, server, settled):
    page = visit(server, path="/?net=lenet-5")
    drawn(page, "lens", "sizes", "layers-histograms", "waterfall")
    waits_for(page, expected("lenet-5", OPENING))
    page.locator(".card").first.wait_for(timeout=PATIENCE)
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop = 900")
    page.locator(".st-key-dial-sparsity input[type=range]").focus()
    settled(page)
    page.wait_for_timeout(1200)  # charts that are scrolled away are drawn when nothing else is to be done
    one, many = (watched(page, presses, f"{50 + after} %", settled) for presses, after in ((1, 1), (6, 7)))
    assert one["draws"] == [1, 1, 1] and max(many["draws"]) <= 6, (one, many)
    for found in (one, many):
        assert found["frames"] > 10 and found["empty"] == 0 and len(found["places"]) == 1 and found["focus"] == "range", found


def watched(page, presses, sparsity, settled):
    """What is seen while a dial is pressed so often, faster than answers arrive, and until all are there."""
    page.evaluate(WATCH)
    for _ in range(presses):
        press(page, "sparsity", "ArrowRight")
        page.wait_for_timeout(150)
    page.get_by_text(f"Answers for {sparsity} zero.", exact=True).wait_for(timeout=PATIENCE)
    page.wait_for_function("() => !/so far|stimated|easuring/.test(document.querySelector('.st-key-claim').innerText)", timeout=PATIENCE)
    settled(page)
    page.wait_for_timeout(1200)
    return page.evaluate(SEEN)
