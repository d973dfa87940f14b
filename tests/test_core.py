"""Recipes carried out on the shipped networks: what is stored, what is written, what comes back."""

import json

import pytest
import torch
from torch import nn

from compression import export, measure
from compression.apply import compress, encode, really_smaller, smaller
from compression.encoded import Factored
from compression.layers import find
from compression.network import network
from compression.recipe import Override, Recipe, step
from compression.score import score, size_of, stages
from compression.zoo import shipped

NAMES = shipped.available()
DEEP = Recipe((step("pruning.magnitude", sparsity=0.8), step("sharing.kmeans", bits=4), step("coding.huffman")))
LOWRANK = Recipe((step("lowrank.svd", rank=0.3), step("quantization.uniform", bits=8)))


def same(a, b, tolerance=1e-4):
    return float((a - b).abs().max()) <= tolerance * float(a.abs().max())


@pytest.mark.parametrize("recipe", [Recipe(), DEEP, LOWRANK], ids=["original", "deep", "lowrank"])
@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_as_long_as_said_and_gives_the_same_network_back(name, recipe):
    net = shipped.load(name)
    done = compress(net, recipe)
    data = export.pack(done)
    assert len(data) == size_of(done) == sum(export.file_size(done).values())
    tensors = export.unpack(data)
    assert set(tensors) == set(net.module.state_dict())
    for key, value in done.weights().items():
        assert torch.equal(tensors[key], value), key
    for key, value in net.module.state_dict().items():
        if key not in done.weights():
            assert torch.equal(tensors[key], value) and tensors[key].dtype == value.dtype, key


@pytest.mark.parametrize("name", NAMES)
def test_compressing_leaves_the_network_alone(name):
    net = shipped.load(name)
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    score(net, DEEP, None)
    assert all(torch.equal(v, before[k]) for k, v in net.module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_the_smaller_module_computes_what_the_decoded_weights_do(name):
    net = shipped.load(name)
    recipe = Recipe((step("lowrank.svd", rank=0.5),))
    done = compress(net, recipe)
    inputs = net.data["test"].inputs[:4]
    with torch.inference_mode():
        assert same(torch.func.functional_call(net.module, done.weights(), (inputs,)), smaller(done)(inputs), 1e-3)
    if any(really_smaller(net, layer) and isinstance(done.encoded[layer.name], Factored) for layer in net.layers):
        assert sum(p.numel() for p in smaller(compress(net, Recipe((step("lowrank.svd", rank=0.1),)))).parameters()) < net.parameters


def test_tucker_convolutions_become_three():
    net = shipped.load("lenet-5")
    done = compress(net, Recipe((step("lowrank.tucker2", rank=0.5),)))
    module = smaller(done)
    assert [type(m).__name__ for m in module.conv2] == ["Conv2d"] * 3
    inputs = net.data["test"].inputs[:4]
    with torch.inference_mode():
        assert same(torch.func.functional_call(net.module, done.weights(), (inputs,)), module(inputs))
    assert done.refused["fc1"], "a linear layer is no convolution"
    assert measure.multiply_adds(module, net.example) < measure.multiply_adds(net.module, net.example)


def test_multiply_adds_are_the_textbook_ones():
    assert measure.multiply_adds(shipped.load("lenet-300-100").module, torch.zeros(1, 1, 28, 28)) == 784 * 300 + 300 * 100 + 100 * 10
    conv = 24 * 24 * 20 * 25 + 8 * 8 * 50 * 20 * 25 + 800 * 500 + 500 * 10
    assert measure.multiply_adds(shipped.load("lenet-5").module, torch.zeros(1, 1, 28, 28)) == conv
    lstm, attention = nn.LSTM(5, 7, batch_first=True), nn.MultiheadAttention(8, 2, batch_first=True)
    assert measure.multiply_adds(lstm, torch.zeros(1, 3, 5)) == 3 * 4 * 7 * (5 + 7)

    class Self(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = attention

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    assert measure.multiply_adds(Self().eval(), torch.zeros(1, 6, 8)) == 6 * 8 * 8 * 4 + 2 * 6 * 6 * 8


def test_deep_compression_is_three_steps_that_each_save():
    net = shipped.load("lenet-300-100")
    sizes = stages(net, DEEP)
    assert sizes["original"] > sizes["pruned"] > sizes["fewer bits"] > sizes["coded"] == size_of(compress(net, DEEP))
    assert sizes["original"] - 1_066_440 < 500, "4 bytes for each of 266,610 parameters, and a header"


def test_bytes_are_itemised():
    done = compress(shipped.load("lenet-300-100"), DEEP)
    for form in done.encoded.values():
        assert sum(measure.itemised(form).values()) == form.nbytes
    assert {"codes", "places", "codebooks", "code tables"} <= {w for f in done.encoded.values() for w in measure.itemised(f)}


def test_a_tied_weight_is_stored_once_and_changed_everywhere():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x):
            return self.head(self.embed(x))

    torch.manual_seed(0)
    net = network("tied", "Tied", Tied())
    assert [layer.names for layer in net.layers] == [("embed.weight", "head.weight")]
    done = compress(net, Recipe((step("quantization.uniform", bits=4),)))
    weights = done.weights()
    assert weights["embed.weight"] is weights["head.weight"]
    assert size_of(done) < 30 * 8 * 4
    factored = compress(net, Recipe((step("lowrank.svd", rank=0.5),)))
    text = torch.arange(30)[None]
    with torch.inference_mode():
        assert same(torch.func.functional_call(net.module, factored.weights(), (text,)), smaller(factored)(text))


def test_locks_overrides_and_memory():
    net = shipped.load("lenet-300-100")
    recipe = Recipe(DEEP.default, (Override("fc1", (step("pruning.magnitude", sparsity=0.9),)),), ("fc3",))
    memo = {}
    done = compress(net, recipe, memo)
    assert torch.equal(done.weights()["fc3.weight"], net.layer("fc3").weight)
    assert float((done.weights()["fc1.weight"] == 0).float().mean()) == pytest.approx(0.9, abs=1e-3)
    assert [s.method for s in recipe.chain("fc1")] == ["pruning.magnitude", "sharing.kmeans", "coding.huffman"]
    again = compress(net, recipe, memo)
    assert all(again.encoded[k] is done.encoded[k] for k in ("fc1", "fc2"))
    whole = Recipe(DEEP.default, (Override("fc*", (step("quantization.uniform", bits=2),), whole=True),))
    assert [s.method for s in whole.chain("fc2")] == ["quantization.uniform"]


def test_a_step_that_does_not_apply_says_so():
    form, refused = encode(find(nn.Linear(4, 3)).layers[0], (step("lowrank.tucker2", rank=0.5),))
    assert len(refused) == 1 and refused[0].endswith(".") and form.nbytes == 48


def test_a_step_that_meets_what_it_cannot_take_passes_over_and_says_so():
    layer = find(nn.Conv2d(6, 8, 3)).layers[0]
    pruned, decomposed, coded = step("pruning.magnitude", sparsity=0.5), step("lowrank.tucker2", rank=0.5), step("coding.huffman")
    form, refused = encode(layer, (pruned, decomposed))
    assert torch.equal(form.decode(), encode(layer, (pruned,))[0].decode()) and len(refused) == 1 and refused[0].endswith(".")
    _, refused = encode(layer, (decomposed, coded))
    assert refused == ("Huffman coding finds no codes to work on here; share or quantize the weights first.",)


@pytest.mark.parametrize("spoil, says", [
    (lambda d: b"", "does not begin with SHRK"),
    (lambda d: b"PK" + d, "does not begin with SHRK"),
    (lambda d: d[:4] + b"\x09" + d[5:], "version 9"),
    (lambda d: d[:40], "damaged"),
    (lambda d: d[:-7], "needed"),
    (lambda d: d + b"more", "given"),
    (lambda d: d[:9] + b"\x00" * 30 + d[39:], "damaged"),
])
def test_a_damaged_file_says_what_is_wrong(spoil, says):
    data = export.pack(compress(shipped.load("digits-mlp"), DEEP))
    with pytest.raises(ValueError, match=says):
        export.unpack(spoil(data))


def test_a_file_cannot_name_a_form_that_is_not_there():
    import struct
    import zlib

    header = zlib.compress(json.dumps({"network": "x", "tensors": [{"names": ["w"], "form": "os.system"}]}).encode())
    with pytest.raises(ValueError, match="unknown stored form"):
        export.unpack(b"SHRK" + struct.pack("<BI", 1, len(header)) + header)
