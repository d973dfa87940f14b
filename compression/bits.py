"""Pack small integers into bytes, and back."""

import numpy as np
import torch
from torch import Tensor

WIDEST = 16
_CHUNK = 1 << 18  # codes at a time; a multiple of 8, so that every chunk ends on a whole byte


def pack(codes: Tensor, width: int) -> bytes:
    """Codes (n,), integers each below 2**width, width 1..16 -> ceil(n * width / 8) bytes, least significant bit first."""
    values = codes.numpy().astype("<u2")
    out = []
    for start in range(0, len(values), _CHUNK):
        pairs = values[start : start + _CHUNK, None].view(np.uint8)  # (chunk, 2)
        out.append(np.packbits(np.unpackbits(pairs, axis=1, bitorder="little")[:, :width], bitorder="little").tobytes())
    return b"".join(out)


def unpack(data: bytes, count: int, width: int) -> Tensor:
    """The inverse of pack: uint8 (count,) up to 8 bits, int32 above."""
    out = np.zeros(count, np.uint8 if width <= 8 else np.int32)
    raw = np.frombuffer(data, np.uint8)
    for start in range(0, count, _CHUNK):
        n = min(_CHUNK, count - start)
        planes = np.unpackbits(raw[start * width // 8 :], count=n * width, bitorder="little").reshape(n, width)
        pairs = np.packbits(planes, axis=1, bitorder="little")  # (n, 1 or 2)
        out[start : start + n] = pairs[:, 0] if width <= 8 else pairs.astype(np.int32) @ (1, 256)
    return torch.from_numpy(out)


def needed(largest: int) -> int:
    """The bits that the numbers 0..largest need: at least 1."""
    return max(1, int(largest).bit_length())
