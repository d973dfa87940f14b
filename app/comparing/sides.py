"""What stands on the two sides of a comparison, and what is known of each."""

from typing import NamedTuple

import torch

from app import compute, jobs, readiness, state, waiting
from app.compute import Costs
from compression.compare import Comparison, compare
from compression.evaluate import Answers, Progress, Quality
from compression.network import Network
from compression.presets import PRESETS
from compression.recipe import Recipe

FIRST_WAIT = 0.05  # seconds a page waits for the first estimate


class Side(NamedTuple):
    """A recipe on a network, with the words for it."""

    title: str
    net: Network
    recipe: Recipe


class Known(NamedTuple):
    """What is measured of a side so far."""

    side: Side
    costs: Costs | None  # None while its repairs are being made
    quality: Quality | None
    error: str | None  # why it could not be judged, in a sentence
    coming: bool  # whether more will be known later
    progress: Progress | None


def offered() -> dict[int | str, Side]:
    """What can be compared now: the original, what is on screen, presets, and the snapshots of networks judged on the same data."""
    net = state.network()
    names = {state.ORIGINAL: "Original", state.SCREEN: "On screen", **{n: f"Preset {PRESETS[n].title}" for n in PRESETS if n != "original"}}
    found = {side: Side(title, net.reference if side == state.ORIGINAL else net, state.side_recipe(side)) for side, title in names.items()}
    for number, kept in state.shelf().items():
        other = compute.network(kept.network) if compute.known(kept.network) else None
        if other is not None and other.digest == kept.digest and _same_data(net, other):
            told = f"Snapshot {number}" if other.digest == net.digest else f"Snapshot {number}, {kept.title}"
            found[number] = Side(told, other, kept.recipe)
    return found


def _same_data(net: Network, other: Network) -> bool:
    split = state.split()
    return net.digest == other.digest or (split in net.data and split in other.data and net.data[split].digest == other.data[split].digest)


def chosen(among: dict[int | str, Side]) -> tuple[int | str, int | str]:
    """The keys of A and B; what cannot be compared gives way to the original and to what is on screen."""
    return tuple(side if side in among else other for side, other in zip(state.sides(), (state.ORIGINAL, state.SCREEN), strict=True))


def ready(which: str, side: Side) -> bool:
    """Whether a side's methods are prepared; where they are not, a box says how far they are."""
    return waiting.ready(*readiness.wanted(side.net, side.recipe), f"compare.{which}")


def known(which: str, side: Side) -> Known:
    """What is measured of a side; its judging is begun where it was not."""
    split, job, progress = state.split(), None, None
    if split:
        key = (side.net.digest, compute.fingerprint(side.net, side.recipe), side.net.data[split].digest)
        job = jobs.quick.submit(state.owner(f"compare.{which}"), key, lambda: compute.judging(side.net, side.recipe, split))
        job.wait(FIRST_WAIT)
        running, progress = job.running, job.latest  # asked in this order, or the last state could be missed
    costs = None if compute.waits_for_repairs(side.net, side.recipe) else compute.costs(side.net, side.recipe)
    return Known(side, costs, progress and progress.quality, job and job.error, job is not None and running, progress)


def together(a: Known, b: Known) -> tuple[Comparison, Answers, Answers] | None:
    """The comparison, and both sides' answers to all examples in the data's order; None until both have answered all of them."""
    if not all(k.quality and k.quality.complete for k in (a, b)):
        return None
    return paired(a.side, b.side, a.progress, b.progress)


def paired(a: Side, b: Side, of_a: Progress, of_b: Progress) -> tuple[Comparison, Answers, Answers]:
    """The same for two finished judgements."""
    data = a.net.data[of_a.quality.split]
    first, second = (in_order(p) for p in (of_a, of_b))
    sides = tuple((s.net.digest, compute.fingerprint(s.net, s.recipe)) for s in (a, b))
    return compute.kept(("compared", data.digest, sides), lambda: compare(data, torch.arange(len(data)), first, second)), first, second


def in_order(progress: Progress) -> Answers:
    """The answers of a finished judgement, in the data's order."""
    place, told = progress.places.argsort(), progress.after
    return Answers(told.top[place], told.confidence[place], None if told.loss is None else told.loss[place])
