"""Write a compressed network to a file, and read it back.

The file: 4 bytes "SHRK", a version byte, the header's length (4 bytes, little endian), the header (zlib-compressed JSON: for every
tensor its names and layout), then the buffers one after the other. Nothing in it is ever executed or unpickled.
"""

import json
import struct
import zlib
from io import BytesIO
from typing import Any

from torch import Tensor

from compression.apply import Compressed
from compression.encoded import Dense, Encoded, all_from_bytes
from compression.registry import methods

MAGIC, FILE_VERSION = b"SHRK", 1
_LARGEST_HEADER = 1 << 26  # bytes of JSON that a file may ask for


def contents(compressed: Compressed) -> list[tuple[tuple[str, ...], Encoded]]:
    """(names, form) of everything the file holds: each layer once, then biases, norms and buffers as they are."""
    rows = [(layer.names, compressed.encoded[layer.name]) for layer in compressed.network.layers]
    covered = {name for names, _ in rows for name in names}
    rows += [((name,), Dense(tensor)) for name, tensor in compressed.network.module.state_dict().items() if name not in covered]
    return rows


def _header(compressed: Compressed) -> bytes:
    plain: dict[str, Any] = {"network": compressed.network.name}
    plain["tensors"] = [{"names": list(names), **form.layout()} for names, form in contents(compressed)]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 9)


def file_size(compressed: Compressed) -> dict[str, int]:
    """Bytes of the file without writing it: "layers", "biases and norms", "header". They add up to len(pack(compressed))."""
    layers = sum(form.nbytes for form in compressed.encoded.values())
    everything = sum(form.nbytes for _, form in contents(compressed))
    return {"layers": layers, "biases and norms": everything - layers, "header": 9 + len(_header(compressed))}


def pack(compressed: Compressed) -> bytes:
    """The whole file."""
    header = _header(compressed)
    file = BytesIO()  # grows form by form, so that no more than one is held twice
    file.write(MAGIC + struct.pack("<BI", FILE_VERSION, len(header)) + header)
    for _, form in contents(compressed):
        file.write(form.to_bytes())
    return file.getvalue()


def unpack(data: bytes) -> dict[str, Tensor]:
    """Decoded tensors by name, a state dict for the network the file was made from. Raises ValueError saying what is wrong."""
    return {name: form.decode() for names, form in unpack_forms(data) for name in names}


def unpack_forms(data: bytes) -> list[tuple[tuple[str, ...], Encoded]]:
    """The stored forms themselves."""
    methods()  # so that every stored form is known
    if data[:4] != MAGIC or len(data) < 9:
        raise ValueError("this is no packed network: it does not begin with SHRK; expected a file that Shrinkscope wrote")
    version, length = struct.unpack("<BI", data[4:9])
    if version != FILE_VERSION:
        raise ValueError(f"this packed network has version {version}, but version {FILE_VERSION} is expected; write it again")
    inflater = zlib.decompressobj()
    try:
        plain = json.loads(inflater.decompress(data[9 : 9 + length], _LARGEST_HEADER))
        rows = [(tuple(row.pop("names")), row) for row in plain["tensors"]]
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("the header of this packed network is damaged; write the file again") from None
    try:
        forms = all_from_bytes([row for _, row in rows], data[9 + length :])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"this packed network is damaged: {error}") from None
    return [(names, form) for (names, _), form in zip(rows, forms, strict=True)]
