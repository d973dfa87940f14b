"""What a dial shows of one weight, answered at once: error and bytes at every setting, from what was prepared once.

    source = instant.prepare(weight)                   # sorts once: some 50 ms for a million weights
    pruned(source, 0.9).threshold                      # compression.sketches.pruned; a whole curve at once too
    instant.quantize(source, bits=4).relative_error    # and clipped, asymmetric, or after pruning
    instant.quantize(source, bits=4).code_bytes        # plain, at the entropy, by Huffman's code

Sorted weights answer exactly and take 5 bytes a weight; moments(source) takes 3 MB for any weight and answers within the errors
it states. What a file weighs is still measured from the file.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.coding.huffman import entropy, word_lengths
from compression.encoded import Codes, replace_leaves
from compression.lowrank import tucker2
from compression.method import Layer
from compression.places import sparse
from compression.quantization import uniform
from compression.sketches.moments import Moments
from compression.sketches.ordered import Array, Ordered, ordered
from compression.sketches.quantized import Quantized, grid, quantized
from compression.sketches.scaled import Scaled, quantized_by_group, scaled
from compression.sketches.spectrum import errors_by_ranks


class CodeBytes(NamedTuple):
    """What the codes of a weight take, in bytes, without scales and places."""

    plain: int  # bits each, packed
    entropy: float  # the least that any code for single symbols can take
    huffman: int  # as coding.huffman stores them, its table included; plain where that is shorter


class Rounded(NamedTuple):
    """A weight after quantization, and pruning before it."""

    squared_error: float
    relative_error: float  # ‖W - Ŵ‖ / ‖W‖, 0 for a weight of zeros
    counts: NDArray[np.int64]  # (2**bits,) how often each code is used
    bits: int

    @property
    def code_bytes(self) -> CodeBytes:
        return code_bytes(self.counts, self.bits)


def prepare(weight: Tensor) -> Ordered:
    """Sort a weight of any shape. Raises ValueError for an empty one, or one with values that are not finite numbers."""
    return ordered(weight.detach().numpy())


def quantize(source: Ordered | Moments, bits: int, symmetric: bool = True, clip: float = 1.0, sparsity: float = 0.0) -> Rounded:
    """What quantization.uniform per tensor leaves of a weight, after magnitude pruning to a sparsity. bits: 1 to 16.

    clip: the levels reach only to so much of the range, and weights beyond go to the last level; 1 as the method does it.
    """
    cut = source.smallest([np.rint(sparsity * source.size)]) if sparsity else None
    low, high = source.least, source.most
    if cut is not None:
        low = 0.0 if cut.start.count[0] < 1 else low
        high = 0.0 if cut.end.count[0] > source.size - 1 else high
    return _rounded(quantized(source, grid(low * clip, high * clip, bits, symmetric), cut), float(source.all.second[0]), bits)


def quantize_by_group(source: Scaled, bits: int, clip: float = 1.0) -> Rounded:
    """What symmetric quantization.uniform leaves with a scale per channel or group: of by_group(weight, ...)."""
    return _rounded(quantized_by_group(source, bits, clip), float(source.sums.second[-1]), bits)


def by_group(weight: Tensor, per: str) -> Scaled:
    """Bins of a weight for one scale per "channel" or "group", as quantization.uniform understands them."""
    return scaled(weight.detach().numpy(), uniform.sizes(tuple(weight.shape))[per])


def table(source: Ordered | Moments, bits: tuple[int, ...], clips: tuple[float, ...], symmetric: bool = True) -> Array:
    """Relative errors for all bit widths and clips together: (bits, clips)."""
    return np.array([[quantize(source, b, symmetric, c).relative_error for c in clips] for b in bits])


def code_bytes(counts: NDArray[np.int64], bits: int) -> CodeBytes:
    """Bytes of the codes from how often each occurs, the table of a Huffman code included, as coding.huffman writes it."""
    total = int(counts.sum())
    if not total:
        return CodeBytes(0, 0.0, 0)
    least = entropy(torch.from_numpy(counts)) * total / 8
    used = counts[: int(np.flatnonzero(counts)[-1]) + 1]
    lengths = torch.from_numpy(word_lengths(used))
    width = needed(int(lengths.max()))
    listed = replace_leaves(sparse(lengths, lengths > 0), "values", lambda present: Codes(present, width))
    table_bytes = min(Codes(lengths, width).nbytes, listed.nbytes)
    coded = table_bytes + -(-int((used * lengths.numpy()).sum()) // 8)
    plain = -(-total * needed(len(used) - 1) // 8)
    return CodeBytes(-(-total * bits // 8), least, min(coded, plain))


def tucker_errors(weight: Tensor) -> Array:
    """Relative error of Tucker-2 for every pair of ranks of a convolution (out, in, *kernel): (out, in)."""
    return errors_by_ranks(tucker2.prepare(weight, Layer("weight", weight)).energy.numpy())


def _rounded(found: Quantized, energy: float, bits: int) -> Rounded:
    relative = (found.squared_error / energy) ** 0.5 if energy > 0 else 0.0
    return Rounded(found.squared_error, relative, found.counts, bits)
