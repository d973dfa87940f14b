"""What is pressed before the last answer has arrived counts once, and takes nothing back: the browser's message is of an older page."""

import os

import pytest
from explore_page import OPENING

from app import words
from compression.apply import compress
from compression.presets import preset
from compression.recipe import Recipe, step
from compression.score import size_of
from compression.zoo import shipped
from compression.zoo.recipes import DEEP_COMPRESSION

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
STORM = 40  # changes, one every 70 ms
QUICK = 120  # ms from one press to the next of a person in a hurry; an answer takes three times as long


def redo(page):
    return page.get_by_role("button", name="Redo", exact=True)


def waits_for_size(page, recipe, name="lenet-5") -> None:
    net = shipped.load(name)
    length = words.size(size_of(compress(net, recipe)))
    page.wait_for_function("said => document.querySelector('.st-key-claim')?.innerText.includes(`: ${said} (was `)", arg=length, timeout=PATIENCE)


def choose(page, title) -> None:
    page.locator(".st-key-preset").get_by_role("radio", name=title, exact=True).click()


def whole(page) -> None:
    assert page.locator('[data-testid="stException"]').count() == 0, page.locator('[data-testid="stException"]').first.inner_text()


def test_two_undos_and_two_redos_without_a_pause_are_two(visit, server, settled):
    page, net = visit(server, path="/?net=lenet-5"), shipped.load("lenet-5")
    settled(page)
    for title in ("Light", "Balanced", "Extreme"):
        choose(page, title)
        waits_for_size(page, preset(title.lower(), net))
        settled(page)
    for _ in range(3):
        page.keyboard.press("Alt+z")
        page.wait_for_timeout(QUICK)
        page.keyboard.press("Alt+z")
        waits_for_size(page, preset("light", net))
        settled(page)
        assert redo(page).is_enabled()
        redo(page).click()
        page.wait_for_timeout(QUICK)
        redo(page).click()
        waits_for_size(page, preset("extreme", net))
        settled(page)
        assert redo(page).is_disabled(), "nothing was done anew on the way"
    whole(page)


def test_a_storm_of_changes_ends_with_the_last(visit, server, settled):
    page, net = visit(server, path="/?net=lenet-5"), shipped.load("lenet-5")
    settled(page)
    titles = ("Light", "Extreme", "Balanced")
    for i in range(STORM):
        choose(page, titles[i % 3])
        if i % 5 == 4:
            page.keyboard.press("Alt+z")
        page.wait_for_timeout(70)
    settled(page)
    choose(page, "Original")
    waits_for_size(page, Recipe())
    choose(page, "Extreme")
    waits_for_size(page, preset("extreme", net))
    settled(page)
    whole(page)


def test_a_network_opened_while_answers_are_measured_stays_open(visit, server, settled):
    """Each beat of the cards carries the network picker's value, of the page the beat was sent from."""
    page = visit(server, path="/methods?net=lenet-300-100&method=deep-compression")
    for name in ("lenet-5", "lenet-300-100") * 4:
        net = shipped.load(name)
        page.get_by_role("button", name=f"Open {net.title}", exact=True).click()
        length = size_of(compress(net, DEEP_COMPRESSION[name]))
        page.get_by_text(f"The slices add up to {length:,} bytes").wait_for(timeout=PATIENCE)
        page.locator('[data-testid="stMetric"]', has_text="Size of the file").filter(has_text=words.size(length)).wait_for(timeout=PATIENCE)
        page.wait_for_function("name => location.search.includes(`net=${name}&`)", arg=name, timeout=PATIENCE)
    whole(page)


@pytest.fixture(scope="module")
def late(serve):
    """The app where beats are heard after what is pressed half a second later."""
    return serve("app/main.py", streamlit=("tests/browser/late_beats.py",))


def test_a_choice_made_between_a_beat_and_its_answer_is_shown(visit, late, settled):
    """The page drawn for it may still be of the choice before; the next beat finds that out."""
    page = visit(late, path="/methods?net=resnet-20")
    page.get_by_role("heading", name="Methods", level=1).wait_for(timeout=PATIENCE)
    settled(page)
    for turn in range(8):
        family = ("Sharing", "Pruning")[turn % 2]
        page.locator(".st-key-bench-family").get_by_role("radio", name=family, exact=True).click()
        page.locator(f".st-key-bench-method-{family.lower()}").wait_for(timeout=PATIENCE)
        page.wait_for_timeout(350 + 90 * turn)
    whole(page)


def test_every_press_of_a_dial_counts_between_beats(visit, late, settled):
    page = visit(late, path="/?net=lenet-5")
    settled(page)
    for turn in range(3):
        page.locator(".st-key-dial-rank input[type=range]").focus()
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(40 + 30 * turn)
        waits_for_size(page, OPENING.with_default(step("lowrank.svd", rank=round(1 - 0.25 * (turn + 1), 2))))
    whole(page)


def test_a_preset_pressed_between_a_beat_and_its_answer_stays(visit, late, settled):
    page, net = visit(late, path="/?net=resnet-20"), shipped.load("resnet-20")
    settled(page)
    for turn in range(8):
        name = ("light", "balanced")[turn % 2]
        choose(page, name.capitalize())
        waits_for_size(page, preset(name, net), "resnet-20")
        page.wait_for_timeout(350 + 90 * turn)
    whole(page)
