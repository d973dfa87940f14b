"""A person's own weights, examples and code: what is right opens, what is wrong gets one clear sentence."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors
from torch import nn

from compression.data import Data
from compression.models import check, guessed, matching_architectures, open_function, own, own_network, shipped_architecture
from compression.own.chain import infer_chain
from compression.own.examples import fitting, own_splits, read_data
from compression.own.reading import open_file, read_tensors
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO
from compression.zoo.data import fashion

IMAGES = fashion("test").inputs[:64]
SMALL = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2)}


def pt(held) -> bytes:
    stream = io.BytesIO()
    torch.save(held, stream)
    return stream.getvalue()


def safe(tensors) -> bytes:
    return to_safetensors({key: tensor.clone().contiguous() for key, tensor in tensors.items()})


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def repacked(data: bytes, how: int = zipfile.ZIP_STORED, **replaced) -> bytes:
    """A zip with some members' content replaced, by the end of their names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", how) as new:
        for entry in old.infolist():
            ending = next((key for key in replaced if entry.filename.endswith(key.replace("__", "/"))), None)
            new.writestr(entry.filename, old.read(entry) if ending is None else replaced[ending])
    return stream.getvalue()


def refused(call, *words: str) -> str:
    """The message of the ValueError, which has to be a sentence or two for the screen."""
    with pytest.raises(ValueError) as caught:
        call()
    text = str(caught.value)
    for word in words:
        assert word.lower() in text.lower(), text
    assert len(text) < 300 and "\n" not in text and text.endswith("."), text
    assert "weights_only" not in text and "Traceback" not in text and "size mismatch" not in text, text
    return text


class Built:
    """Pickled as a call to something with no arguments, or those given."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_every_kind_of_wrong_file_gets_one_clear_sentence():
    weights = {"fc.weight": torch.ones(300, 200)}
    cut = to_safetensors(weights)
    wide = torch.ones(1, 1).expand(100_000, 100_000)
    cases = {
        "empty": (b"", "0 bytes"),
        "text": (b"these are no weights at all", "neither"),
        "one byte": (b"\x80", "pickle"),
        "random": (bytes(range(256)) * 40, "neither"),
        "cut safetensors": (cut[: len(cut) // 2], "cut short"),
        "cut pt": (pt(weights)[:-200], "cut short"),
        "pt cut in half": (pt(weights)[: 100_000], "cut short"),
        "stride 0": (pt({"big.weight": wide}), "big.weight", "claims 40,000,000,000 bytes"),
        "sparse": (pt({"fc.weight": torch.eye(4).to_sparse()}), "sparse"),
        "complex pt": (pt({"fc.weight": torch.ones(2, dtype=torch.complex64)}), "complex64", "fc.weight"),
        "complex safetensors": (to_safetensors({"fc.weight": torch.ones(2, dtype=torch.complex64)}), "complex64"),
        "eight bits": (to_safetensors({"fc.weight": torch.ones(2).to(torch.float8_e4m3fn)}), "float8"),
        "nothing": (pt({}), "no tensors"),
        "nothing, safetensors": (to_safetensors({}), "no tensors"),
        "no tensors": (pt({"epoch": 3, "name": "x"}), "`epoch`", "int"),
        "numbered": (pt({0: torch.ones(2)}), "`0`"),
        "a list": (pt([torch.ones(2)]), "list"),
        "one tensor": (pt(torch.ones(2)), "Tensor"),
        "no elements": (pt({"fc.weight": torch.ones(0, 3)}), "fc.weight", "empty"),
        "NaN": (pt({"fc.weight": torch.tensor([1.0, float("nan")])}), "fc.weight", "1 values", "NaN"),
        "infinity": (safe({"fc.weight": torch.tensor([1.0, float("inf")])}), "fc.weight", "finite"),
        "too large": (pt({"fc.weight": torch.tensor([1e300], dtype=torch.float64)}), "fc.weight", "32 bits"),
        "meta": (pt({"fc.weight": torch.ones(2, device="meta")}), "code"),
        "quantized": (pt({"w": Built(torch._utils._rebuild_qtensor)}), "quantized"),
        "numpy": (pt({"w": np.ones(3)}), "code", "numpy"),
        "before 1.6": (legacy(weights), "1.6"),
        "another zip": (npz(x=np.ones(3)), "zip"),
        "bomb": (repacked(pt({"w": torch.zeros(20_000_000)}), zipfile.ZIP_DEFLATED), "unpack", "MB"),
        "too little stored": (repacked(pt(weights), data__0=b"1234"), "damaged"),
        "instructions damaged": (repacked(pt(weights), **{"data.pkl": b"\x80\x02}q\x00X\xff\xff"}), "damaged"),
        "long name": (pt({"a." * 500 + "weight": torch.ones(2)}), "1,006 characters"),
        "header": (struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9999999],"data_offsets":[0,8]}}' + bytes(8), "damaged"),
    }
    for name, (data, *words) in cases.items():
        for ending in (".pt", ".safetensors"):
            refused(lambda d=data, e=ending, n=name: read_tensors(n + e, d), *words)


def legacy(held) -> bytes:
    stream = io.BytesIO()
    torch.save(held, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def test_two_parts_of_one_name_are_refused():
    stream = io.BytesIO(pt(SMALL))
    with zipfile.ZipFile(stream, "a") as archive:
        name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        archive.writestr(name.upper(), b"")
    refused(lambda: read_tensors("twice.pt", stream.getvalue()), "same name")


def test_memory_that_was_never_written_is_not_taken_for_weights():
    """torch.load(weights_only=True) would call this and return four numbers of the process's memory."""
    refused(lambda: read_tensors("x.pt", pt({"w": Built(torch.FloatTensor, 4)})), "needs code", "FloatTensor")


@pytest.mark.parametrize("write", [pickle.dumps, pt, lambda held: pickle.dumps(held, 0), lambda held: pickle.dumps(held, 5)])
def test_code_in_a_file_is_not_run(tmp_path, write):
    trace = tmp_path / "ran"
    data = write({"fc.weight": Built(os.system, f"touch {trace}")})
    refused(lambda: read_tensors("model.pt", data), *(["needs code", "safetensors"] if data[:1] in (b"P", b"\x80") else ["neither"]))
    assert not trace.exists()


def test_whole_modules_and_scripts_are_not_opened():
    refused(lambda: read_tensors("whole.pt", pt(nn.Linear(2, 2))), "needs code", "state_dict()")
    refused(lambda: read_tensors("whole.bin", pickle.dumps(nn.Linear(2, 2))), "needs code")


def test_a_name_from_a_file_cannot_spill_over_the_screen():
    text = refused(lambda: read_tensors("a\nb\x1b[31m" + "x" * 500 + ".pt", b""), "empty")
    assert "\x1b" not in text


@pytest.mark.parametrize("name", ["lenet-300-100", "lenet-5"])
def test_the_shipped_weights_open_from_every_wrapping(name):
    original = shipped.load(name)
    state = {key: value.clone() for key, value in original.module.state_dict().items()}
    ways = {
        "a.pt": pt(state), "a.safetensors": safe(state), "a.bin": pt(OrderedDict(state)), "b.pt": pt({"state_dict": state, "epoch": 3}),
        "c.pt": pt({"model": state}), "d.pt": pt({f"module.{key}": value for key, value in state.items()}),
        "e.pt": pt({key: nn.Parameter(value) for key, value in state.items()}),
        "wrong ending.txt": safe(state), "f.pt": pt({key: value.double() for key, value in state.items()}),
    }
    for file, data in ways.items():
        opened = open_file(file, data)
        assert set(opened.tensors) == set(state) and not any(t.requires_grad for t in opened.tensors.values())
        made = shipped_architecture(opened.tensors, name)
        assert made.digest == original.digest and made.name == f"own-{original.digest[:8]}", file
        assert bool(opened.notes) == (file[0] in "bcdf" and file != "a.bin" and file[1] == "."), (file, opened.notes)
        assert matching_architectures(opened.tensors) == [name]
    assert set(made.data) == {"train", "validation", "test"}
    assert torch.equal(made.module(IMAGES), original.module(IMAGES))


def test_half_precision_is_said():
    opened = open_file("half.pt", pt({key: value.half() for key, value in SMALL.items()}))
    assert opened.tensors["fc.weight"].dtype is torch.float32 and "float16" in opened.notes[0]
    assert open_file("full.pt", pt(SMALL)).notes == ()


def test_every_architecture_matches_itself_alone():
    for name, entry in ZOO.items():
        assert matching_architectures(entry.build().state_dict()) == [name]


def test_weights_that_do_not_fit_an_architecture():
    state = dict(shipped.load("lenet-300-100").module.state_dict())
    text = refused(lambda: shipped_architecture({"encoder.0.weight": torch.ones(2), "x": torch.ones(1)}, "lenet-5"))
    assert text == ("This file holds 2 tensors but none match LeNet-5. First unknown: `encoder.0.weight`. Pick another architecture or "
                    "see the list.")
    refused(lambda: shipped_architecture(state, "lenet-5"), "none match LeNet-5", "does fit LeNet-300-100")
    refused(lambda: shipped_architecture(state | {"fc2.weight": torch.ones(100, 200)}, "lenet-300-100"), "`fc2.weight` is 100 × 200", "100 × 300")
    refused(lambda: shipped_architecture(state | {"extra": torch.ones(1)}, "lenet-300-100"), "1 tensors", "`extra`")
    less = {key: value for key, value in state.items() if key != "fc2.bias"}
    refused(lambda: shipped_architecture(less, "lenet-300-100"), "lacks 1 of the 6", "`fc2.bias`")
    refused(lambda: shipped_architecture(state | {"fc1.bias": torch.ones(300, dtype=torch.int8)}, "lenet-300-100"), "int8", "`fc1.bias`")
    refused(lambda: shipped_architecture(state, "alexnet"), "alexnet", "lenet-5")


def test_tied_weights_may_come_once_or_twice_but_not_differ():
    module = ZOO["char-gpt"].build().eval()
    state = dict(module.state_dict())
    digest = own(module, "x").digest
    for left_out in (None, "head.weight", "embed.weight"):
        part = {key: value.clone() for key, value in state.items() if key != left_out}
        made = shipped_architecture(part, "char-gpt", data={})
        assert made.digest == digest and made.module.head.weight is made.module.embed.weight
    refused(lambda: shipped_architecture(state | {"head.weight": state["head.weight"] + 1}, "char-gpt"), "`embed.weight`", "`head.weight`", "differ")


# ------------------------------------------------------------------ chains


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


# ------------------------------------------------------------------ examples


LENET = shipped.load("lenet-300-100")
PIXELS = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
TRUTH = np.arange(50) % 10


def test_pixels_are_scaled_and_normalised():
    data = read_data(npz(inputs=PIXELS, labels=TRUTH, mean=0.25, std=0.5), "mine.npz", LENET)
    assert data.inputs.shape == (50, 1, 28, 28) and data.inputs.dtype is torch.float32 and data.labels.dtype is torch.int64
    assert torch.allclose(data.inputs[3, 0], (torch.from_numpy(PIXELS[3]) / 255 - 0.25) / 0.5)
    assert (data.name, data.kind, data.mean, data.std, data.classes) == ("mine", "images", 0.25, 0.5, tuple("0123456789"))
    plain = read_data(npz(images=PIXELS[:, None].astype(">f8")), "mine.npz", LENET)
    assert plain.labels is None and torch.equal(plain.inputs[:, 0], torch.from_numpy(PIXELS).float()) and len(plain.classes) == 10
    assert read_data(npz(X=PIXELS, y=TRUTH), "mine.npz").inputs.shape == (50, 1, 28, 28)
    assert read_data(npz(x=np.ones((5, 2, 16), np.float32)), "mine.npz", shape=(2, 16)).inputs.shape == (5, 2, 16)


def test_text_is_read_for_networks_that_embed():
    torch.manual_seed(0)
    network = own(ZOO["char-lstm"].build(), "Mine")
    symbols = np.arange(200, dtype=np.uint8).reshape(4, 50) % 80
    data = read_data(npz(inputs=symbols, labels=symbols), "mine.npz", network)
    assert data.kind == "text" and data.inputs.dtype is torch.int64 and data.labels.shape == (4, 50) and len(data.classes) == 80
    refused(lambda: read_data(npz(inputs=symbols + 3), "mine.npz", network), "0 to 79", "82")
    refused(lambda: read_data(npz(inputs=symbols, labels=symbols[:, :9]), "mine.npz", network), "4 × 9", "4 × 50")
    refused(lambda: read_data(npz(inputs=symbols.astype(np.int64) - 5), "mine.npz", network), "-5")


def test_wrong_examples_get_one_clear_sentence():
    good = PIXELS / np.float32(255)
    hole = good.copy()
    hole[3, 1, 1] = np.nan
    claims = npz(inputs=np.ones((2, 28, 28)))
    claims = repacked(claims, **{"inputs.npy": header({"descr": "<f4", "fortran_order": False, "shape": (10**6, 28, 28)}) + bytes(64)})
    objects = io.BytesIO()
    np.savez(objects, inputs=np.array([{"a": 1}, None], dtype=object))
    cases = {
        "empty file": (b"", "0 bytes"),
        "text": (b"hello", "NPZ"),
        "cut": (npz(inputs=good)[:-50], "cut short"),
        "objects": (objects.getvalue(), "Python objects", "`inputs`"),
        "strings": (npz(inputs=good, labels=np.array(["cat"] * 50)), "`labels`", "<U3"),
        "pickled member": (repacked(npz(inputs=good), **{"inputs.npy": pickle.dumps([1])}), "`inputs`", "no array"),
        "claims": (claims, "claims", "1,000,000 × 28 × 28"),
        "bomb": (bomb(), "unpack"),
        "nothing": (npz(), "no arrays"),
        "other names": (npz(pictures=good), "pictures", "inputs"),
        "two inputs": (npz(x=good, images=good), "one array"),
        "no examples": (npz(inputs=good[:0]), "no examples"),
        "one number": (npz(inputs=np.float32(3)), "one number"),
        "NaN": (npz(inputs=hole), "1 of 50 examples", "finite"),
        "complex": (npz(inputs=good.astype(np.complex64)), "complex64"),
        "three channels": (npz(inputs=np.ones((5, 3, 28, 28), np.float32)), "3 channels", "takes 1"),
        "channels last": (npz(inputs=np.ones((5, 28, 28, 1), np.float32)), "28 channels", "last"),
        "size": (npz(inputs=np.ones((5, 1, 8, 8), np.float32)), "1 × 8 × 8", "1 × 28 × 28"),
        "axes": (npz(inputs=np.ones((5, 784), np.float32)), "784", "1 × 28 × 28"),
        "integers": (npz(inputs=PIXELS.astype(np.int32)), "int32", "uint8"),
        "fewer labels": (npz(inputs=good, labels=TRUTH[:9]), "50 inputs", "shape 9"),
        "out of range": (npz(inputs=good, labels=TRUTH + 1), "up to 10", "0 to 9"),
        "negative": (npz(inputs=good, labels=TRUTH - 1), "-1"),
        "enormous": (npz(inputs=good, labels=TRUTH.astype(np.uint64) + np.uint64(2**63)), "classes"),
        "real labels": (npz(inputs=good, labels=TRUTH / 2), "float64", "integers"),
        "one-hot": (npz(inputs=good, labels=np.eye(10, dtype=np.int64)[TRUTH]), "50 × 10", "argmax"),
        "mean by channel": (npz(inputs=PIXELS, mean=np.ones(3)), "mean", "one finite number"),
        "std": (npz(inputs=PIXELS, std=np.float32(0)), "std", "above zero"),
    }
    for name, (data, *words) in cases.items():
        refused(lambda d=data, n=name: read_data(d, f"{n}.npz", LENET), *words)
    refused(lambda: read_data(npz(inputs=good, labels=TRUTH * 10**9), "no network.npz"), "classes")


def header(fields: dict) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def bomb() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, inputs=np.zeros((100, 1000, 1000), np.uint8))
    return stream.getvalue()


def test_halves_are_shuffled_disjoint_and_repeatable():
    data = Data("mine", "validation", torch.arange(41.0)[:, None], torch.arange(41), ("0",))
    halves = own_splits(data)
    assert [(split, part.split, len(part)) for split, part in halves.items()] == [("validation", "validation", 21), ("test", "test", 20)]
    together = torch.cat([part.labels for part in halves.values()])
    assert together.sort().values.tolist() == list(range(41)) and together.tolist() != list(range(41))
    assert all(torch.equal(part.inputs[:, 0].long(), part.labels) for part in halves.values())
    assert torch.equal(together, torch.cat([part.labels for part in own_splits(data).values()]))
    few = Data("mine", "validation", data.inputs[:39], None, ())
    assert set(own_splits(few)) == {"validation"} and len(own_splits(few)["validation"]) == 39


# ------------------------------------------------------------------ a person's own code


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
