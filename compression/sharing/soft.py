"""Fit a mixture of bell curves to the weights, and snap each weight to the mean of the curve it most likely came from."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compression.bits import needed
from compression.encoded import Codes, Dense, Encoded, Shared
from compression.method import Failure, Knob, Layer, Method

Array = NDArray[np.float64]
WIDTHS = (1, 2, 3, 4, 5, 6)
SPIKES = (0.0, 0.5, 0.9, 0.99)
MERGES = (0.0, 0.1, 0.3, 1.0)
_BINS = 750  # of equal width, and as many of equal count
_STEPS = 100
_NARROW = 1e-3  # the least width of a curve, beside the spread of all weights


class Mixture(NamedTuple):
    """Components: their shares, means and widths (components,), and the mean log likelihood of a weight after each step of EM.

    pinned: the first component is the spike, whose mean is held at zero and whose share is held.
    """

    shares: Array
    means: Array
    widths: Array
    likelihood: tuple[float, ...]
    pinned: bool


class Snap(NamedTuple):
    """Weights between two cuts go to one value: cuts (regions - 1,) ascending, the code of each region, and the values."""

    cuts: Tensor
    codes: Tensor
    book: Tensor


class Soft(NamedTuple):
    """A weight, the mixtures fitted to it, and what becomes of each when close components are joined."""

    weight: Tensor
    mixtures: dict[tuple[int, float], Mixture]  # (width, spike)
    snaps: dict[tuple[int, float, float], Snap]  # (width, spike, merge)


def prepare(weight: Tensor, layer: Layer) -> Soft:
    if not weight.numel():
        return Soft(weight, {}, {})
    values, counts = _binned(weight)
    mixtures = {(width, spike): expectation_maximization(values, counts, 2**width, spike) for width in WIDTHS for spike in SPIKES}
    reach = float(values[0]), float(values[-1])
    snaps = {(*key, merge): snap(merged(found, merge), reach) for key, found in mixtures.items() for merge in MERGES}
    return Soft(weight, mixtures, snaps)


def answer(soft: Soft, bits: int, spike: float, merge: float) -> Encoded:
    weight = soft.weight
    if bits == 32 or not weight.numel():
        return Dense(weight)
    return snapped(weight, soft.snaps[bits, spike, merge])


def snapped(weight: Tensor, by: Snap) -> Shared:
    """A weight as numbers of values."""
    codes = by.codes[torch.bucketize(weight.flatten(), by.cuts)]
    return Shared(tuple(weight.shape), Codes(codes, needed(len(by.book) - 1)), by.book)


def expectation_maximization(values: Array, counts: Array, components: int, spike: float = 0.0) -> Mixture:
    """The mixture of Nowlan and Hinton 1992 on weights that are frozen: values (n,) that occur counts (n,) times.

    The prior of Ullrich et al. 2017 where spike is above 0: a component at zero with that share. Their loss weighs the prior by τ
    against the network's error; with frozen weights there is no error to weigh, and the mixture alone is fitted. Means start
    evenly over the range. No step can lower the likelihood.
    """
    total, pinned = counts.sum(), spike > 0
    middle = (counts @ values) / total
    spread = float(np.sqrt(counts @ (values - middle) ** 2 / total))
    least = max(_NARROW * spread, 1e-12)
    means = np.linspace(values[0], values[-1], components)
    if pinned:
        means = np.concatenate([[0.0], np.delete(means, np.abs(means).argmin())])
    widths = np.full(components, max((values[-1] - values[0]) / components, least))
    shares = np.full(components, (1 - spike) / max(1, components - pinned))
    if pinned:
        shares[0] = spike
    seen = []
    for _ in range(_STEPS):
        logs = _log_density(values, shares, means, widths)  # (n, components)
        top = logs.max(1, keepdims=True)
        likely = np.exp(logs - top)
        sums = likely.sum(1, keepdims=True)
        seen.append(float(counts @ (np.log(sums) + top)[:, 0] / total))
        if len(seen) > 1 and seen[-1] - seen[-2] < 1e-7:
            break
        owned = likely / sums * counts[:, None]
        size = owned.sum(0)
        alive = size > 1e-9 * total
        safe = np.where(alive, size, 1)
        means = np.where(alive, values @ owned / safe, means)
        if pinned:
            means[0] = 0
        deviation = (values[:, None] - means) ** 2
        widths = np.where(alive, np.sqrt(np.maximum((deviation * owned).sum(0) / safe, least**2)), widths)
        shares = size / total
        if pinned:
            rest = shares[1:].sum()
            shares[1:] *= (1 - spike) / rest if rest else 0
            shares[0] = spike
    return Mixture(shares, means, widths, tuple(seen), pinned)


def merged(mixture: Mixture, merge: float) -> Mixture:
    """Components joined two by two, the closest first, while their divergence is below merge (Ullrich et al. 2017).

    The pair's share is the sum, its mean and variance the means by share; what joins the spike stays at zero.
    """
    shares, means, widths = (list(part) for part in mixture[:3])
    while len(shares) > 1:
        far = _divergence(np.array(means), np.array(widths))
        i, j = sorted(int(n) for n in np.unravel_index(far.argmin(), far.shape))
        if far[i, j] >= merge:
            break
        one, other = max(shares[i], 1e-200), max(shares[j], 1e-200)
        mean = (one * means[i] + other * means[j]) / (one + other)
        width = float(np.sqrt((one * widths[i] ** 2 + other * widths[j] ** 2) / (one + other)))
        shares[i], means[i], widths[i] = shares[i] + shares[j], 0.0 if mixture.pinned and i == 0 else mean, width
        del shares[j], means[j], widths[j]
    return Mixture(np.array(shares), np.array(means), np.array(widths), mixture.likelihood, mixture.pinned)


def _divergence(means: Array, widths: Array) -> Array:
    """Kullback-Leibler divergence of each component from each other, both ways averaged; infinite on the diagonal."""
    ratio = (widths[:, None] ** 2 + (means[:, None] - means) ** 2) / (2 * widths**2) - 0.5
    far = (ratio + ratio.T) / 2  # the logarithms of the widths cancel
    np.fill_diagonal(far, np.inf)
    return far


def _log_density(values: Array, shares: Array, means: Array, widths: Array) -> Array:
    scaled = (values[:, None] - means) / widths
    return np.log(np.maximum(shares, 1e-300)) - np.log(widths * np.sqrt(2 * np.pi)) - scaled**2 / 2


def snap(mixture: Mixture, reach: tuple[float, float]) -> Snap:
    """Where the most likely component changes, exactly: two weighted bell curves cross where a quadratic is zero."""
    low, high = reach
    a = -0.5 / mixture.widths**2
    b = mixture.means / mixture.widths**2
    c = np.log(np.maximum(mixture.shares, 1e-300) / mixture.widths) - mixture.means**2 / (2 * mixture.widths**2)
    i, j = np.triu_indices(len(a), 1)
    p, q, r = a[i] - a[j], b[i] - b[j], c[i] - c[j]
    root = np.sqrt(np.maximum(q**2 - 4 * p * r, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        stable = -(q + np.where(q >= 0, 1, -1) * root) / 2
        crossings = np.concatenate([stable / p, r / stable])
    crossings = np.unique(crossings[np.isfinite(crossings) & (crossings > low) & (crossings < high)])
    ends = np.concatenate([[low], crossings, [high]])
    winner = _log_density((ends[:-1] + ends[1:]) / 2, *mixture[:3]).argmax(1)
    changes = np.flatnonzero(np.diff(winner))
    regions = winner[np.concatenate([changes, [len(winner) - 1]])]
    used = np.unique(regions)
    book, codes = mixture.means[used].astype(np.float32), np.searchsorted(used, regions).astype(np.uint8)
    return Snap(*map(torch.from_numpy, (crossings[changes].astype(np.float32), codes, book)))


def _binned(weight: Tensor) -> tuple[Array, Array]:
    """Means of bins of neighbouring weights, ascending, and how many there are in each; single values where they are few."""
    ordered = np.sort(weight.flatten().numpy().astype(np.float64))
    even = np.searchsorted(ordered, np.linspace(ordered[0], ordered[-1], _BINS))
    edges = np.unique(np.concatenate([even, np.linspace(0, len(ordered), _BINS).astype(np.int64), [0, len(ordered)]]))
    counts = np.diff(edges)
    return np.add.reduceat(ordered, edges[:-1]) / counts, counts.astype(np.float64)


METHOD = Method(
    title="Soft weight sharing",
    summary="Fit a mixture of bell curves to the weights, join the ones that are alike, and snap each weight to the middle of its curve.",
    reference="Nowlan and Hinton 1992; Ullrich et al. 2017, Soft Weight-Sharing for Neural Network Compression, arXiv:1702.04008",
    survey="2.1",
    knobs=(
        Knob("bits", "Bits per weight", (*WIDTHS, 32), 4, "Two to this power is the number of curves before any are joined.", off=32),
        Knob("spike", "Spike at zero", SPIKES, 0.0, "Share of the weights that a curve held at zero is given; 0 for no such curve."),
        Knob("merge", "Join curves closer than", MERGES, 0.1, "Divergence, in nats, below which two curves become one."),
    ),
    prepare=prepare,
    answer=answer,
    terms=(
        ("mixture", "A sum of bell curves, each with its own share, middle and width."),
        ("responsibility", "How likely it is that a weight came from one of the curves of a mixture."),
    ),
    fails=Failure(
        "The mixture fits how often weights occur, not what they do: the many small ones get the curves, the few large ones are pulled in.",
        "lenet-5", "conv2", (("bits", 2), ("spike", 0.0), ("merge", 0.0)), instead=("sharing.kmeans", (("bits", 2),))),
)
