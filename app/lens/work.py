"""Tables of a layer, found while the page is drawn where that is quick, and by a job where it is not."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from app import compute, jobs
from app.dials import DIALS
from app.lens.steps import Steps
from app.lens.tables import Tables, once, tables
from compression.network import Network

AT_ONCE = 0.03  # seconds that a page looks for rungs of the dials on screen; the rest, and those of other dials, go to a job


class Found(NamedTuple):
    """What is known of a layer now."""

    tables: Tables | None  # None before there is anything
    busy: bool  # more is to come
    error: str  # why no more will come; empty where nothing went wrong


def find(net: Network, layer: str, steps: Steps, owner: str, asked: Sequence[str]) -> Found:
    """The tables of a layer as far as they are found, with a job of this owner at work on the rest.

    steps: as lens.steps.settings gives them. asked: the dials on screen, which come first.
    """
    key = (net.digest, net.context.digest, layer, steps, tuple(asked))
    job, work = jobs.long.find(owner), tables(net.layer(layer), steps, compute.memo(), net.digest, asked)
    if job is not None and job.key == key:
        return Found(job.latest or next(work), job.running, job.error or "")
    seen, start = None, time.monotonic()
    for new in work:
        seen = new or seen
        if new is None or time.monotonic() - start > AT_ONCE or (_known(new, asked) and not _known(new, DIALS)):
            break
    else:
        jobs.long.drop(owner)
        return Found(seen, False, "")
    jobs.long.submit(owner, key, lambda: work)
    return Found(seen, True, "")


def _known(some: Tables, asked: Sequence[str]) -> bool:
    return all(r.known for which in asked for r in some.ladder(which).rungs)


def largest(net: Network) -> float:
    """The largest magnitude in any layer of a network: half of the scale that all may share."""
    return once(compute.memo(), ("lens", net.digest, "largest"), lambda: max(float(each.weight.abs().max()) for each in net.layers))
