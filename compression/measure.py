"""What a network costs: bytes by item, multiply-adds, time, and how far its weights moved."""

import copy
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compression.encoded import Codes, Encoded


def multiply_adds(module: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass on an example (1, ...): matrix products and convolutions, as torch counts them.

    Counted on the meta device, where attention and recurrent layers are counted too (on a CPU tensor they are missed).
    Element-wise work is not counted. No weight is copied: the module that is run has shapes in place of its tensors.
    """
    shapes: dict[int, Tensor] = {id(t): t.to("meta") for t in module.buffers()}
    shapes |= {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False) for p in module.parameters()}
    ghost = copy.deepcopy(module, shapes)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        ghost(example.to("meta"))
    return counter.get_total_flops() // 2


class Latency(NamedTuple):
    """How long a module takes for one batch beside the original, timed in turns in one process, as plain float32 arithmetic."""

    seconds: float  # median of the rounds, wall clock
    low: float  # first quartile
    high: float  # third quartile
    original: float  # the original's median in the same rounds
    ratio: float  # median over the rounds of seconds / the original's
    ratio_low: float  # first quartile
    ratio_high: float  # third quartile
    batch: int  # examples
    threads: int  # of torch, in the thread that timed
    rounds: int
    processor: str


def latency(original: nn.Module, other: nn.Module, inputs: Tensor, rounds: int = 21, warm_up: int = 3,
            clock: Callable[[], float] = time.perf_counter) -> Iterator[Latency | None]:
    """Time two modules on one batch (n, ...), in turns, which of them first changing from round to round; None while it goes on.

    Each runs warm_up times before. Other work on the machine slows both, so the ratio is worth more than either time.
    Codes and zeros are decoded before: only fewer multiply-adds can make the other one quicker here.
    """
    def once(module: nn.Module) -> float:
        start = clock()
        module(inputs)
        return clock() - start

    with torch.inference_mode():
        for _ in range(warm_up):
            once(original), once(other)
    yield None
    took: list[tuple[float, float]] = []
    for i in range(rounds):
        with torch.inference_mode():
            if i % 2:
                second = once(other)
                took.append((once(original), second))
            else:
                took.append((once(original), once(other)))
        yield None
    was, now = zip(*took, strict=True)
    ratios = [b / a for a, b in took]
    yield Latency(median(now), _quartile(now, 1), _quartile(now, 3), median(was), median(ratios), _quartile(ratios, 1), _quartile(ratios, 3),
                  len(inputs), torch.get_num_threads(), rounds, processor())


def _quartile(values: Iterable[float], which: int) -> float:
    ordered = sorted(values)
    return ordered[round(which * (len(ordered) - 1) / 4)]


def processor() -> str:
    """The name of this machine's processor, as far as the system tells."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor() or platform.machine())


_PIECE = 1 << 20  # weights at a time, so that what is in between stays small whatever the layer


class Error(NamedTuple):
    """How far stored weights Ŵ are from the originals W. Those of several weights add up to that of all together."""

    signal: float  # ‖W‖²
    noise: float  # ‖W − Ŵ‖²
    zeroed: int  # entries that are zero after decoding
    count: int

    @property
    def relative(self) -> float:
        """‖W − Ŵ‖ / ‖W‖."""
        return self._ratio**0.5

    @property
    def sqnr(self) -> float:
        """10 log10(‖W‖² / ‖W − Ŵ‖²), decibels; infinite when equal."""
        return -10 * math.log10(self._ratio) if self._ratio else math.inf

    @property
    def zeros(self) -> float:
        """The share of entries that are zero after decoding."""
        return self.zeroed / max(self.count, 1)

    @property
    def _ratio(self) -> float:
        return self.noise / self.signal if self.signal else 0.0


def error(weight: Tensor, decoded: Tensor) -> Error:
    """Signal to quantisation-noise ratio and relative error of one weight."""
    signal = noise = 0.0
    zeroed = 0
    for w, d in zip(weight.flatten().split(_PIECE), decoded.flatten().split(_PIECE)):
        signal += float(w.square().sum(dtype=torch.float64))
        noise += 0.0 if decoded is weight else float((w - d).square_().sum(dtype=torch.float64))
        zeroed += w.numel() - int(np.count_nonzero(d.numpy()))  # a seventh of the time that torch takes
    return Error(signal, noise, zeroed, weight.numel())


def together(errors: Iterable[Error]) -> Error:
    """The error of several weights as one.

    >>> together([Error(3.0, 0.0, 1, 2), Error(1.0, 1.0, 1, 2)]).relative
    0.5
    """
    return Error(*map(sum, zip(Error(0.0, 0.0, 0, 0), *errors)))


def total_error(weights: Mapping[str, Tensor], decoded: Mapping[str, Tensor]) -> Error:
    """The error of all weights together."""
    return together(error(whole, decoded[name]) for name, whole in weights.items())


WORDS = {
    "values": "weights", "codes": "codes", "places": "places", "kept": "places", "scale": "scales", "zero": "scales",
    "codebook": "codebooks", "left": "factors", "right": "factors", "out": "factors", "core": "factors", "into": "factors",
    "table": "code tables", "stream": "codes", "lengths": "codes", "signs": "codes", "offset": "scales",
}
_WHOLE = ("places", "scale", "table")  # parts all of whose buffers go by the part's own word


def itemised(form: Encoded) -> dict[str, int]:
    """Bytes of one stored layer by what they are: weights, codes, places, scales, codebooks, factors, code tables."""
    total: dict[str, int] = {}
    for path, count in form.items():
        parts = path.split(".")
        within = next((p for p in parts if p in _WHOLE), None)
        word = WORDS[within or next((p for p in reversed(parts) if p in WORDS), "values")]
        if word == "weights" and any(p in ("left", "right", "out", "core", "into") for p in parts):
            word = "factors"
        total[word] = total.get(word, 0) + count
    return total


def place_format(form: Encoded) -> str | None:
    """The name of the way in which a pruned tensor stores where its weights belong; None where nothing is left out.

    Bitmap or relative index is whichever takes fewer bytes; a bitmap is one bit for each place, a relative index the
    distance from one to the next. Compressed sparse rows (CSR) take more (places.place_sizes tells how much) and are not used.
    """
    for name, part in form.parts():
        if name == "places":
            return _named(part, "relative index with fillers" if type(form).__name__ == "Relative" else "")
        if isinstance(part, Encoded) and (found := place_format(part)):
            return found
    return None


def _named(places: Encoded, what: str) -> str:
    """Told by the form's own name, since each method may bring its own way to store places."""
    parts = dict(places.parts())
    match type(places).__name__:
        case "Bitmap":
            return "bitmap"
        case "InGroups":
            count = f"{parts['n']} of {parts['m']}"
            return f"{count}, {_bits(parts['whole'])} a {'choice' if parts['choices'] else 'place'}"
        case "InBlocks":
            return f"blocks, {_named(parts['kept'], '')}"
        case "InPatterns":
            return f"patterns, {_bits(parts['codes'])} a kernel"
        case "Gaps":
            return f"relative index, {_bits(parts['codes'])}"
    return f"{what or type(places).__name__.lower()}, {_bits(places)}"


def _bits(codes: Encoded) -> str:
    """How wide plain codes are, or the name of the coder that wrote them."""
    return f"{codes.width} bits" if isinstance(codes, Codes) else f"{type(codes).__name__} coded"
