"""What ships is what the cards say: hashes, sizes, parameters, and every accuracy computed again."""

import hashlib

import pytest
import torch

from compression.data import Data
from compression.evaluate import evaluate
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO
from compression.zoo.data import ASSETS, DATA, alphabet, austen, digits, encode, fashion

PARAMETERS = {"lenet-300-100": 266_610, "lenet-5": 431_080, "vgg-small": 70_330, "resnet-20": 272_186, "row-lstm": 82_186}
FLOORS = {"lenet-300-100": 0.90, "lenet-5": 0.92, "vgg-small": 0.92, "resnet-20": 0.92, "depthwise": 0.915, "vit": 0.90, "row-lstm": 0.89}


def test_every_network_ships():
    assert shipped.available() == tuple(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_the_card_is_true(name):
    card, net = shipped.card(name), shipped.load(name)
    raw = (shipped.WEIGHTS / f"{name}.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(raw).hexdigest()
    assert card["parameters"] == net.parameters == PARAMETERS.get(name, net.parameters)
    assert card["licence"] and card["origin"] and card["training"]
    *_, last = evaluate(net, None, net.data["test"])
    told, found = card["test"], last.quality
    assert told["n"] == found.n == len(net.data["test"]) and told["data"] == found.data
    assert found.accuracy.value == pytest.approx(told["accuracy"], abs=3e-4)
    assert [found.accuracy.low, found.accuracy.high] == pytest.approx(told["interval"], abs=5e-4)
    assert found.loss == pytest.approx(told["loss"], abs=1e-3)
    assert found.accuracy.value >= FLOORS.get(name, 0)
    assert name != "char-gpt" or found.bits <= 1.9


def test_the_splits_are_balanced_and_disjoint():
    seen = set()
    for split, n in (("test", 10_000), ("validation", 5_000), ("train", 10_000)):
        data = fashion(split)
        assert torch.bincount(data.labels).tolist() == [n // 10] * 10
        rows = {row.numpy().tobytes() for row in data.inputs}
        assert len(rows & seen) <= 2, "the same picture stands in two splits"  # Fashion-MNIST itself holds a few duplicates
        seen |= rows
    assert sum(len(digits(s)) for s in ("train", "validation", "test")) == 1797


def test_the_novels_are_windows_of_what_comes_next():
    data = austen("test")
    assert torch.equal(data.inputs[:, 1:], data.labels[:, :-1])
    assert torch.equal(data.inputs[1:, 0], data.labels[:-1, -1])
    assert len(alphabet()) == 80 and isinstance(data, Data)
    with pytest.raises(ValueError, match="'€'"):
        encode("5 €")


def test_the_data_has_cards_and_everything_fits():
    card = shipped.card("data")
    for name, told in card["files"].items():
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == told["sha256"], name
        assert told["licence"] and told["origin"]
    assert set(card["files"]) == {p.name for p in DATA.iterdir() if p.suffix in (".npz", ".gz") or p.name == "alphabet.txt"}
    assert sum(p.stat().st_size for p in ASSETS.rglob("*") if p.is_file()) < 25e6


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValueError, match="lenet-5"):
        shipped.load("alexnet")
