"""Files of weights and examples in memory, and what a refusal must be."""

import io
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

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
