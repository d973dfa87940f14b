"""A person's own functions that make a network and data, and the check of what a network answers."""

import json

import pytest
import torch
from files import refused
from torch import nn

from compression.data import Data
from compression.models import check, open_function, own, own_network
from compression.own.examples import fitting

OWN = '''
import numpy as np
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Dropout(0.5), nn.Linear(5, 3)).half().train()

def data():
    return torch.zeros(50, 1, 4, 4), [i % 3 for i in range(50)]

def unlabelled():
    return np.zeros((8, 1, 4, 4), np.float32), None

def splits():
    return {"train": data(), "test": data()}

def strange_splits():
    return {"dev": data()}

def wide():
    return torch.zeros(50, 1, 5, 5), None

def ragged():
    return [[1.0], [1.0, 2.0]], None

def seven():
    return 7

def fails():
    raise RuntimeError("no disk\\nmore lines")

def leaves():
    raise SystemExit(3)

constant = 3
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "own_code_for_tests.py").write_text(OWN)
    (tmp_path / "own_broken_for_tests.py").write_text("import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "own_code_for_tests:"


def test_own_functions_make_a_network(mine):
    network = own_network(mine + "model", mine + "data")
    assert not network.module.training and network.name == f"own-{network.digest[:8]}" and network.title == "model"
    assert {split: len(part) for split, part in network.data.items()} == {"validation": 25, "test": 25}
    assert all(layer.weight.dtype is torch.float32 for layer in network.layers)
    card = check(network, network.data["validation"])
    assert (card.parameters, card.layers, card.outputs) == (16 * 5 + 5 + 5 * 3 + 3, 2, (3,)) and len(card.skipped) == 2
    assert any("few" in note for note in card.notes)
    assert set(own_network(mine + "model", mine + "splits").data) == {"train", "test"}
    assert own_network(mine + "model", mine + "unlabelled").data["validation"].labels is None
    assert own_network(mine + "model").example is None
    assert open_function(mine + "seven") == 7


def test_own_functions_that_fail_say_how(mine):
    refused(lambda: open_function("lenet"), "package.module:function")
    refused(lambda: open_function(":model"), "package.module:function")
    refused(lambda: open_function("no_such_package_here:model"), "no_such_package_here", "ModuleNotFoundError", "PYTHONPATH")
    refused(lambda: open_function("own_broken_for_tests:model"), "nothing_of_that_name")
    refused(lambda: open_function(mine + "absent"), "no function 'absent'")
    refused(lambda: open_function(mine + "constant"), "no function 'constant'")
    refused(lambda: open_function(mine + "fails"), "RuntimeError: no disk")
    refused(lambda: open_function(mine + "leaves"), "SystemExit: 3")
    refused(lambda: own_network(mine + "seven"), "int", "torch.nn.Module")
    refused(lambda: own_network(mine + "model", mine + "seven"), "int", "(inputs, labels)")
    refused(lambda: own_network(mine + "model", mine + "strange_splits"), "dev", "validation")
    refused(lambda: own_network(mine + "model", mine + "wide"), "1 × 5 × 5", "shapes cannot be multiplied")
    refused(lambda: own_network(mine + "model", mine + "ragged"), "no array")


class Answers(nn.Module):
    """Answers with whatever a function makes of a plain layer's scores."""

    def __init__(self, then) -> None:
        super().__init__()
        self.fc, self.then = nn.Linear(4, 3), then

    def forward(self, x):
        return self.then(self.fc(x))


def test_the_check_finds_what_a_network_answers():
    torch.manual_seed(0)
    data = Data("mine", "validation", torch.randn(60, 4), None, ())
    refused(lambda: check(own(Answers(lambda y: (y, y)), "mine"), data), "tuple", "one tensor")
    refused(lambda: check(own(Answers(lambda y: y[0]), "mine"), data), "3 numbers", "examples × classes")
    refused(lambda: check(own(Answers(lambda y: y / 0), "mine"), data), "finite")
    refused(lambda: check(own(Answers(lambda y: y > 0), "mine"), data), "finite scores")
    refused(lambda: check(own(Answers(lambda y: y), "mine"), Data("mine", "validation", torch.ones(5, 9), None, ())), "9", "cannot answer")
    assert check(own(Answers(lambda y: y), "mine"), data).notes == ("The data has no labels: agreement with the original network takes "
                                                                    "the place of accuracy.",)
    assert any("softmax" in note for note in check(own(Answers(lambda y: y.softmax(-1)), "mine"), data).notes)
    assert any("random" in note for note in check(own(Answers(lambda y: y + torch.rand(())), "mine"), data).notes)
    assert any("No layer" in note for note in check(own(nn.Flatten(), "mine"), data).notes)


def test_labels_are_held_against_what_the_network_answers():
    network = own(Answers(lambda y: y), "mine")
    data = Data("mine", "validation", torch.randn(4, 4), torch.tensor([0, 1, 2, 0]), ("0", "1", "2"))
    assert fitting(network, data) is data
    refused(lambda: fitting(network, Data("mine", "validation", data.inputs, torch.tensor([0, 1, 3, 0]), ())), "up to 3", "0 to 2")
    assert json.dumps(check(network, data).outputs) == "[3]"
