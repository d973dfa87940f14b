"""Let weights that fall into the same bucket by chance share one value: what hashing does to a network that is already trained."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from compression.encoded import Dense, Encoded
from compression.method import Failure, Knob, Layer, Method

SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True, eq=False)
class Hashed(Encoded):
    """Weight i = ξ(i) · values[h(i)]. The hash of the place i is computed, so neither h nor the sign ξ is stored."""

    shape: tuple[int, ...]
    seed: int
    signed: bool
    values: Encoded  # (buckets,)

    def decode(self) -> Tensor:
        values = self.values.decode().flatten()
        bucket, sign = places(torch.Size(self.shape).numel(), len(values), self.seed)
        weight = values[bucket]
        return (weight * sign if self.signed else weight).reshape(self.shape)


class Seeded(NamedTuple):
    """Just the weight."""

    weight: Tensor


def prepare(weight: Tensor, layer: Layer) -> Seeded:
    """There is nothing to prepare: no weight is looked at to choose its bucket."""
    return Seeded(weight)


def answer(seeded: Seeded, share: float, signed: bool, seed: int) -> Encoded:
    """The mean of each bucket, which of all values leaves the least squared error; of ξ(i) w(i) where signs are hashed."""
    flat = seeded.weight.flatten()
    if not len(flat):
        return Dense(seeded.weight)
    buckets = max(1, round(share * len(flat)))
    bucket, sign = places(len(flat), buckets, seed)
    sums = torch.bincount(bucket, (flat * sign if signed else flat).double(), buckets)
    means = sums / torch.bincount(bucket, minlength=buckets).clamp(min=1)
    return Hashed(tuple(seeded.weight.shape), seed, signed, Dense(means.float()))


def places(count: int, buckets: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bucket and sign of each place 0..count - 1, from a hash of 64 bits (SplitMix64, Steele et al. 2014)."""
    mixed = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(seed << 32)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    bucket = (mixed >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)
    sign = (mixed & np.uint64(1)).astype(np.float32) * 2 - 1
    return torch.from_numpy(bucket.astype(np.int64)), torch.from_numpy(sign)


METHOD = Method(
    title="Parameter hashing, after training",
    summary="Put every weight into a bucket by the hash of its place, and store one value for each bucket. A network must be "
            "trained that way: done to a trained one, as here, it averages weights that have nothing in common.",
    reference="Chen et al. 2015, Compressing Neural Networks with the Hashing Trick, arXiv:1504.04788",
    survey="2.2",
    knobs=(
        Knob("share", "Buckets", SHARES, 1 / 8, "Values stored, as a share of the number of weights.", "rise"),
        Knob("signed", "Hashed signs", (True, False), True,
             "Whether a second hash gives each weight a sign, which keeps products unbiased in a network trained that way."),
        Knob("seed", "Seed", (0, 1, 2), 0, "Which hash is used.", "any"),
    ),
    prepare=prepare,
    answer=answer,
    terms=(("hash", "A fixed scramble of a number that looks like chance."),
           ("collision", "Two weights in one bucket.")),
    fails=Failure(
        "Eight weights that share a value by chance have nothing in common, so their mean says little of any; clusters share by likeness.",
        "lenet-5", "conv2", (("share", 0.125), ("signed", True), ("seed", 0)), instead=("sharing.kmeans", (("bits", 3),))),
)
