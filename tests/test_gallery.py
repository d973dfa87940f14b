"""The cards of changed answers say what both networks really said."""

import torch

from app import gallery
from compression.apply import compress
from compression.evaluate import ask, evaluate, skeleton
from compression.recipe import Recipe, step
from compression.score import changed
from compression.zoo import shipped


def judged(name, recipe):
    net = shipped.load(name)
    done = compress(net, recipe)
    weights = changed(done, done.weights())
    return net, weights, next(iter(evaluate(net, weights, net.data["validation"])))


def test_five_newly_wrong_pictures_are_newly_wrong_in_plain_python():
    net, weights, progress = judged("lenet-300-100", Recipe((step("pruning.magnitude", sparsity=0.8),)))
    data = net.data["validation"]
    cards, wide = gallery.changed_cards(data, progress, 5)
    assert not wide and len(cards) == 5
    for pixels, truth, (old, p), (new, q), said in cards:
        row = next(i for i in progress.places.tolist() if torch.allclose(data.inputs[i, 0] * data.std + data.mean, torch.from_numpy(pixels)))
        before, after = ask(net.module, None, data, torch.tensor([row])), ask(skeleton(net.module), weights, data, torch.tensor([row]))
        assert said == "✗ newly wrong" and truth == old == data.classes[data.labels[row]] == data.classes[before.top] != new
        assert new == data.classes[after.top]
        assert abs(p - before.confidence) < 1e-4 and abs(q - after.confidence) < 1e-4


def test_text_cards_come_from_different_windows_and_have_something_before_them():
    net, _, progress = judged("char-lstm", Recipe((step("quantization.uniform", bits=3),)))
    cards, wide = gallery.changed_cards(net.data["validation"], progress, 12)
    assert wide and len(cards) == 12 and len({card[0] for card in cards}) == 12
    assert all(len(card[0]) >= gallery.READABLE and card[2][0] != card[3][0] for card in cards)


def test_names_from_outside_are_text_and_not_markup():
    assert "<script>" not in gallery.image_card(None, "<script>", ("<script>", 0.5), ("b", 0.5), "x")
    assert "<img" not in gallery.text_card("<img src=x>", "<", ("<", 0.5), ("b", 0.5), "x")
