"""What vector quantizers share: short runs of weights stored as the number of a codeword, and how codebooks are learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from compression.encoded import Encoded

_SAMPLE = 16384  # vectors that codewords are learned from; all vectors are then given their nearest
_STEPS = 16
_CHUNK = 1 << 20  # distances held at a time


@dataclass(frozen=True, eq=False)
class Vectors(Encoded):
    """Runs of neighbouring weights, each written as one codeword, or as a sum of one codeword from each of several codebooks.

    The codes of one run stand together, codebook by codebook. The last run may reach over the end; what is over is cut off.
    """

    shape: tuple[int, ...]
    codes: Encoded  # (runs * codebooks,)
    codebook: Tensor  # (codebooks, codewords, block) float32

    def decode(self) -> Tensor:
        books = len(self.codebook)
        codes = self.codes.decode().long().reshape(-1, books)
        words = self.codebook[0][codes[:, 0]]  # (runs, block)
        for book in range(1, books):
            words = words + self.codebook[book][codes[:, book]]
        return words.flatten()[: torch.Size(self.shape).numel()].reshape(self.shape)


def runs(weight: Tensor, block: int) -> Tensor:
    """(runs, block); where the last run reaches over the end it is filled up with zeros."""
    return torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % block)).reshape(-1, block)


def codebooks(vectors: Tensor, widest: int, seed: int = 0) -> dict[int, Tensor]:
    """Width 1..widest -> codewords (2**width, block) learned from vectors (n, block).

    Every codeword is split in two along the spread of its vectors, and all are then moved to the means of the vectors
    nearest to them (Linde, Buzo and Gray 1980), so one run gives the codebooks of all widths. Where there are no more
    vectors than codewords, the vectors are the codewords.
    """
    sample = vectors
    if len(vectors) > _SAMPLE:
        sample = vectors[torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))[:_SAMPLE]]
    words, found = sample.mean(0, keepdim=True), {}
    for width in range(1, widest + 1):
        if len(vectors) <= 2**width:
            found[width] = vectors
            continue
        codes = nearest(sample, words)
        counts, squares = _sums((sample - words[codes]).square(), codes, len(words))
        spread = (squares / counts.clamp(min=1)).sqrt() / 2
        words = torch.cat([words - spread, words + spread])
        for _ in range(_STEPS):
            words = means(sample, nearest(sample, words), words)
        found[width] = words
    return found


def nearest(vectors: Tensor, words: Tensor) -> Tensor:
    """The number of the nearest codeword of each vector: (n, block), (k, block) -> (n,)."""
    half = words.square().sum(1) / 2  # |x − w|² is least where x·w − |w|²/2 is largest
    parts = [torch.addmm(half, part, words.T, beta=-1).argmax(1) for part in vectors.split(max(1, _CHUNK // len(words)))]
    return torch.cat(parts)


def means(vectors: Tensor, codes: Tensor, words: Tensor) -> Tensor:
    """The mean of the vectors of each codeword; a codeword without vectors stays where it is."""
    counts, sums = _sums(vectors, codes, len(words))
    return torch.where(counts > 0, sums / counts.clamp(min=1), words)


def _sums(vectors: Tensor, codes: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """How many vectors each codeword has, (k, 1), and their sums, (k, block)."""
    sums = vectors.new_zeros(k, vectors.shape[1]).index_add_(0, codes, vectors)
    return torch.bincount(codes, minlength=k)[:, None].to(vectors.dtype), sums
