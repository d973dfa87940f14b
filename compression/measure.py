"""What a network costs: bytes by item, multiply-adds, and how far its weights moved."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compression.encoded import Encoded


def multiply_adds(module: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass on an example (1, ...): matrix products and convolutions, as torch counts them.

    Counted on the meta device, where attention and recurrent layers are counted too (on a CPU tensor they are missed).
    Element-wise work is not counted.
    """
    ghost = copy.deepcopy(module).to("meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        ghost(example.to("meta"))
    return counter.get_total_flops() // 2


class Error(NamedTuple):
    """How far a stored weight is from the original."""

    relative: float  # ‖W − Ŵ‖ / ‖W‖
    sqnr: float  # 10 log10(‖W‖² / ‖W − Ŵ‖²), decibels; infinite when equal
    zeros: float  # share of entries that are zero after decoding


def error(weight: Tensor, decoded: Tensor) -> Error:
    """Signal to quantisation-noise ratio and relative error of one weight."""
    return total_error({"": weight}, {"": decoded})


def total_error(weights: Mapping[str, Tensor], decoded: Mapping[str, Tensor]) -> Error:
    """The same over all weights together."""
    noise = signal = 0.0
    zeros = count = 0
    for name, w in weights.items():
        d = decoded[name]
        signal += float(w.square().sum(dtype=torch.float64))
        noise += 0.0 if d is w else float((w - d).square().sum(dtype=torch.float64))
        zeros += w.numel() - int(torch.count_nonzero(d))
        count += w.numel()
    ratio = noise / signal if signal else 0.0
    return Error(ratio**0.5, float("inf") if ratio == 0 else -10 * float(torch.tensor(ratio).log10()), zeros / max(count, 1))


WORDS = {
    "values": "weights", "codes": "codes", "places": "places", "kept": "places", "scale": "scales", "zero": "scales",
    "codebook": "codebooks", "left": "factors", "right": "factors", "out": "factors", "core": "factors", "into": "factors",
    "table": "code tables", "stream": "codes",
}


def itemised(form: Encoded) -> dict[str, int]:
    """Bytes of one stored layer by what they are: weights, codes, places, scales, codebooks, factors, code tables."""
    total: dict[str, int] = {}
    for path, count in form.items():
        parts = path.split(".")
        word = WORDS["places"] if "places" in parts else next((WORDS[p] for p in reversed(parts) if p in WORDS), "weights")
        if word == "weights" and any(p in ("left", "right", "out", "core", "into") for p in parts):
            word = "factors"
        total[word] = total.get(word, 0) + count
    return total
