"""A person's own weights: what is right opens, what is wrong gets one clear sentence."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from files import SMALL, npz, pt, refused, repacked, safe
from safetensors.torch import save as to_safetensors
from torch import nn

from compression.models import matching_architectures, own, shipped_architecture
from compression.own.reading import open_file, read_tensors
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO
from compression.zoo.data import fashion

IMAGES = fashion("test").inputs[:64]


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
