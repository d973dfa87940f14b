"""The Compare page says of two recipes what plain Python finds, exchanges exactly, and of equals nothing."""

import random
import time

import torch
from screen import cold, healthy, nobody_left, opened, press  # noqa: F401

from app import gallery, words
from app.comparing import said
from compression.apply import compress
from compression.compare import WORSE, compare, places
from compression.evaluate import ask, skeleton
from compression.presets import preset
from compression.score import changed, size_of
from compression.zoo import shipped

NET = "lenet-300-100"


def compared(**link):
    """The page once both sides have answered all examples."""
    at = opened("compare", **link)
    for _ in range(600):
        if not any("Measuring" in m.value or "so far" in m.value for m in at.markdown):
            return healthy(at)
        time.sleep(0.1)
        at.run()
    raise AssertionError([m.value for m in at.markdown])


def rows(at):
    """The table: what is compared → (A, B, B − A)."""
    text = next(m.value for m in at.markdown if m.value.startswith("| | A | B |"))
    cells = [[c.strip().replace("\\", "") for c in line.split("|")[1:-1]] for line in text.splitlines()[2:]]
    return {name: tuple(rest) for name, *rest in cells}


def plain(net, recipe, data):
    done = compress(net, recipe)
    return size_of(done), ask(skeleton(net.module), changed(done, done.weights()), data, torch.arange(len(data)))


def test_the_table_is_what_plain_python_finds_and_an_exchange_flips_every_sign():
    net = shipped.load(NET)
    data = net.data["validation"]
    (small, a), (tiny, b) = (plain(net, preset(name, net), data) for name in ("light", "extreme"))
    found = compare(data, torch.arange(len(data)), a, b)
    at = compared(net=NET, a="light", b="extreme")
    there = rows(at)
    assert there["Size of the file"][:2] == (words.size(small), words.size(tiny)) and there["Size of the file"][2].startswith("−")
    assert there["Accuracy"][2].startswith(said.difference(100 * found.quality.change.value, 2, "points"))
    claim = next(m.value for m in at.markdown if m.value.startswith("B takes"))
    assert f"{found.quality.changed:,} of 5,000 answers differ" in claim
    assert f"{found.worse:,} newly wrong, {found.better:,} newly right" in claim
    press(at, "Swap")
    back = rows(at)
    assert {name: (y, x) for name, (x, y, _) in there.items()} == {name: cells[:2] for name, cells in back.items()}
    flip = str.maketrans("+−", "−+")
    for name, (_, _, apart) in there.items():
        assert back[name][2].split(",")[0].split(" (")[0] == apart.translate(flip).split(",")[0].split(" (")[0], name
    assert at.query_params["a"] == "extreme" and at.query_params["b"] == "light"


def test_equals_differ_by_exactly_nothing_and_say_so():
    at = compared(net=NET, a="light", b="light")
    assert {cells[2] for cells in rows(at).values()} == {"0"}
    shown = [m.value for m in at.markdown]
    assert any("B takes" in m and "as A does" in m and "No answers changed" in m for m in shown) and "No answer differs." in shown


def test_a_link_compares_what_it_says_and_tells_what_is_not_there():
    at = compared(net=NET, a="balanced", b="original")
    assert at.selectbox(key="side.a").value == "balanced" and at.selectbox(key="side.b").value == "the original"
    at = healthy(opened("compare", net=NET, a="7", b="<b>"))
    assert sum("The link compares" in w.value for w in at.warning) == 2 and at.selectbox(key="side.a").value == "the original"


def test_five_newly_wrong_cards_are_newly_wrong_in_plain_python():
    net = shipped.load(NET)
    data = net.data["validation"]
    recipes = [preset(name, net) for name in ("light", "extreme")]
    (_, a), (_, b) = (plain(net, recipe, data) for recipe in recipes)
    chosen = places(compare(data, torch.arange(len(data)), a, b), a, b, WORSE)
    cards, wide = gallery.cards(data, a, b, torch.arange(len(data)), chosen, gallery.CARDS)
    assert not wide and len(cards) == gallery.CARDS
    for pixels, truth, (old, p), (new, q), verdict in random.Random(0).sample(cards, 5):
        row = next(i for i in range(len(data)) if torch.allclose(data.inputs[i, 0] * data.std + data.mean, torch.from_numpy(pixels)))
        one, two = (plain_one(net, recipe, data, row) for recipe in recipes)
        assert verdict == "✗ newly wrong" and truth == old == data.classes[one.top] and new == data.classes[two.top] != truth
        assert abs(p - one.confidence) < 1e-4 and abs(q - two.confidence) < 1e-4


def plain_one(net, recipe, data, row):
    done = compress(net, recipe)
    return ask(skeleton(net.module), changed(done, done.weights()), data, torch.tensor([row]))


def test_both_go_on_from_the_same_words():
    at = compared(net="char-lstm", a="original", b="extreme")
    assert any("part at character" in m.value for m in at.markdown) and sum("<mark>" in h.value for h in at.html) == 2
    at.text_input(key="compare.start").set_value("café").run()
    assert any("'é'" in w.value for w in at.warning) and not at.exception


def test_a_difference_is_zero_only_where_nothing_differs():
    assert said.difference(0.0) == "0" and said.difference(-0.001, 2) == "−0.00" and said.bytes_apart(5, 5) == "0"
