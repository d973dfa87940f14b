"""A person's own examples: what is right is read, what is wrong gets one clear sentence."""

import io
import pickle

import numpy as np
import torch
from files import npz, refused, repacked

from compression.data import Data
from compression.models import own
from compression.own.examples import own_splits, read_data
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO

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
