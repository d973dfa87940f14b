"""A plain chain of layers is read off a file of weights, or a sentence says why not."""

from collections import OrderedDict

import pytest
import torch
from files import SMALL, npz, pt, refused, safe
from torch import nn

from compression.models import guessed, own
from compression.own.chain import infer_chain
from compression.own.examples import read_data
from compression.own.reading import read_tensors
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO
from compression.zoo.data import fashion

IMAGES = fashion("test").inputs[:64]


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5"])
@pytest.mark.parametrize("write", [pt, safe])
def test_a_chain_is_read_off_the_shipped_weights(name, write):
    original = shipped.load(name)
    tensors = read_tensors("x", write(dict(original.module.state_dict())))
    guess = infer_chain(tensors, (1, 28, 28), fashion("validation"))
    assert torch.equal(guess.module(IMAGES), original.module(IMAGES))
    assert {layer.name for layer in own(guess.module, "x").layers} == {layer.name for layer in original.layers}
    assert any("256 validation examples" in line for line in guess.assumptions)
    if name == "lenet-5":
        told = " ".join(guess.assumptions)
        assert "none after convolutions" in told and "Max pooling by 2 after every convolution" in told and "No padding" in told
        assert "after every layer but the last" in " ".join(infer_chain(tensors, (1, 28, 28)).assumptions)


def convolutional(names: bool) -> nn.Sequential:
    """conv-norm-ReLU-pool twice, then averaging; statistics that are not the defaults."""
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
              nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
              nn.Flatten(), nn.Linear(8 * 7 * 7, 10)]
    for norm in (layers[1], layers[5]):
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 2)
    if not names:
        return nn.Sequential(*layers).eval()
    called = ["conv1", "bn1", "relu1", "pool1", "conv2", "bn2", "relu2", "pool2", "flatten", "classifier"]
    return nn.Sequential(OrderedDict(zip(called, layers))).eval()


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("write", [pt, safe])
def test_a_chain_with_normalisation_is_read(names, write):
    module = convolutional(names)
    guess = infer_chain(read_tensors("x", write(module.state_dict())), (1, 28, 28))
    assert torch.allclose(guess.module(IMAGES), module(IMAGES), atol=1e-5)
    assert own(guess.module, "x").parameters == sum(p.numel() for p in module.parameters())


def test_a_chain_keeps_dotted_names_and_features_come_before_the_classifier():
    torch.manual_seed(0)
    module = nn.Module()
    module.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    module.classifier = nn.Sequential(nn.Linear(4 * 13 * 13, 12), nn.ReLU(), nn.Linear(12, 3))
    guess = infer_chain(read_tensors("x", safe(module.state_dict())), (1, 28, 28))
    assert [layer.name for layer in own(guess.module, "x").layers] == ["features.0", "classifier.0", "classifier.2"]
    assert torch.equal(guess.module(IMAGES), module.classifier(module.features(IMAGES).flatten(1)))


def test_chains_of_one_axis_of_numbered_layers_and_of_layer_norms():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4 * 8, 3))
    x = torch.randn(5, 2, 16)
    assert torch.equal(infer_chain(one.state_dict(), (2, 16)).module(x), one(x))
    deep = nn.Sequential(OrderedDict((key, value) for i in range(1, 12) for key, value in
                                     ((f"fc{i}", nn.Linear(7, 7)), (f"relu{i}", nn.ReLU()))))[:-1]
    x = torch.randn(5, 7)
    assert torch.equal(infer_chain(read_tensors("x", safe(deep.state_dict()))).module(x), deep(x))  # fc10 after fc9
    norm = nn.Sequential(nn.Linear(7, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2))
    assert torch.equal(infer_chain(norm.state_dict()).module(x), norm(x))
    depthwise = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.Flatten(), nn.Linear(6 * 36, 2))
    guess = infer_chain(depthwise.state_dict(), (3, 8, 8))
    assert any("depthwise" in line for line in guess.assumptions) and guess.module(torch.randn(2, 3, 8, 8)).shape == (2, 2)


def test_chains_that_cannot_be_read_say_why():
    refused(lambda: infer_chain({"a.weight": torch.ones(5, 4), "b.weight": torch.ones(3, 6)}), "b takes 6 inputs", "a gives 5")
    refused(lambda: infer_chain({"fc.weight": torch.ones(5, 784)}, (1, 8, 8)), "fc takes 784", "1 × 8 × 8")
    refused(lambda: infer_chain({"c.weight": torch.ones(5, 1, 3, 3)}), "shape of one example")
    refused(lambda: infer_chain({"c.weight": torch.ones(5, 3, 3, 3)}, (1, 9, 9)), "c takes 3 channels", "1 × 9 × 9")
    refused(lambda: infer_chain({"c.weight": torch.ones(5, 1, 8, 8)}, (1, 4, 4)), "c needs at least 8 × 8", "1 × 4 × 4")
    refused(lambda: infer_chain({"c.weight": torch.ones(5, 1, 3, 3), "e.weight": torch.ones(2, 7)}, (1, 8, 8)), "e takes 7", "c gives 5 × 4 × 4")
    refused(lambda: infer_chain(ZOO["row-lstm"].build().state_dict(), (1, 28, 28)), "lstm", "plain chain")
    refused(lambda: infer_chain(ZOO["resnet-20"].build().state_dict(), (1, 28, 28)), "plain chain")
    refused(lambda: infer_chain({"embed.weight": torch.ones(80, 16)}), "embed", "plain chain")
    refused(lambda: infer_chain({"n.weight": torch.ones(4), "n.bias": torch.ones(4)}), "plain chain")
    refused(lambda: infer_chain({"c.weight": torch.ones(4, 1, 3, 3), "n.weight": torch.ones(4), "n.bias": torch.ones(4)}, (1, 9, 9)),
            "n normalises", "group")
    refused(lambda: infer_chain({"w": torch.ones(4, 4)}), "`w`")
    refused(lambda: infer_chain({}), "0 layers")
    refused(lambda: infer_chain({"a.weight": torch.ones(4, 4), "a.bias": torch.ones(3)}), "do not belong together")
    refused(lambda: infer_chain({"a.weight": torch.ones(4, 4, dtype=torch.int8)}), "integers")
    refused(lambda: infer_chain({"a.weight": torch.ones(4, 4), "a.num_batches_tracked": torch.tensor(1)}), "`a`")


def test_names_torch_reserves_do_not_break_a_chain():
    held = {f"{name}.weight": torch.eye(3) for name in ("append", "training", "forward", "a..b", "relu_relu", "relu")} | {"weight": torch.eye(3)}
    network = own(infer_chain(held).module, "x")
    assert len(network.layers) == 7
    assert torch.equal(network.module(torch.ones(2, 3)), torch.ones(2, 3))


def test_a_guessed_network_carries_its_data_in_halves():
    data = read_data(npz(inputs=IMAGES.numpy(), labels=fashion("test").labels[:64].numpy()), "mine.npz")
    network, told = guessed(dict(shipped.load("lenet-300-100").module.state_dict()), "Mine", data)
    assert [(split, len(part), len(part.classes)) for split, part in network.data.items()] == [("validation", 32, 10), ("test", 32, 10)]
    assert told and network.example.shape == (1, 1, 28, 28)
    assert guessed(SMALL, "Mine")[0].example.shape == (1, 3)
