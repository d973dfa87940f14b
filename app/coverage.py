"""What of the survey is here: its list, read from assets/coverage.csv, and for each row a badge that the registry has to bear out."""

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from compression.registry import methods, procedures, repairs, rewrites
from compression.searching.ways import WAYS

LIST = Path(__file__).parents[1] / "assets" / "coverage.csv"
LIVE, LATER = "runs live", "not here yet"
GLYPHS = {LIVE: "●", "slow once": "◐", "trains here": "▲", "recorded run of ours": "■", "small analogue": "◇", LATER: "○", "not here": "✕"}
MEANING = {
    LIVE: "answers a dial on a trained network at once",
    "slow once": "works for a second or more, once, and then answers a dial",
    "trains here": "trains in minutes on this machine",
    "recorded run of ours": "was run by us, and its results ship",
    "small analogue": "the idea in small; the paper's own scale is out of reach",
    LATER: "is not built yet",
    "not here": "will not be built, and the row says why",
}
SOLVERS = {"budget.exact": "Budget solver", "budget.hessian": "HAWQ-V2 allocation"}
RUNS = (LIVE, "slow once", "trains here", "recorded run of ours", "small analogue")  # badges that have to name what runs


class Row(NamedTuple):
    """One technique of the survey, or one beside it."""

    section: str  # of O'Neill 2020: "2" to "6"; "after 2020"; "beside" for what neither lists
    family: str
    name: str
    reference: str
    what: str
    ids: tuple[str, ...]  # methods, rewritings and repairs that do it
    claim: str  # the badge that the list gives; empty where it follows from the ids alone
    why: str

    @property
    def badge(self) -> str:
        """What the list claims; else "runs live" where all ids exist. An id that does not exist is never live."""
        if not set(self.ids) <= set(known()):
            return LATER
        return self.claim or (LIVE if self.ids else LATER)

    @property
    def opens(self) -> str:
        """The way of training, the method or the rewriting to be opened for this row; empty where there is none."""
        there = procedures() if self.claim in ("trains here", "recorded run of ours") else methods() | rewrites()
        return next((name for name in self.ids if name in there), "")


@cache
def rows() -> tuple[Row, ...]:
    """The list, in its order. Raises ValueError for a row that contradicts itself."""
    with LIST.open(encoding="utf-8", newline="") as lines:
        found = tuple(Row(r["section"], r["family"], r["name"], r["reference"], r["what"], tuple(r["ids"].split()), r["badge"], r["why"])
                      for r in csv.DictReader(lines))
    for row in found:
        check(row)
    return found


def check(row: Row) -> None:
    """Raises ValueError where a row's badge is unknown, is not the list's to give, or claims what nothing does."""
    if row.claim == LIVE:
        raise ValueError(f"{row.name}: the list may not say {LIVE!r}; name the methods that do it, and leave the badge empty")
    if row.claim and row.claim not in GLYPHS:
        raise ValueError(f"{row.name}: unknown badge {row.claim!r}; there are {', '.join(GLYPHS)}")
    if row.claim in RUNS and not row.ids:
        raise ValueError(f"{row.name}: {row.claim!r} needs the ids of what does it")
    if row.claim not in RUNS and row.claim and row.ids:
        raise ValueError(f"{row.name}: {row.claim!r}, and yet {' '.join(row.ids)} does it; leave the badge empty")
    if not row.ids and not row.why.endswith("."):
        raise ValueError(f"{row.name}: nothing does it, so the list has to say why, in a sentence")


@cache
def known() -> dict[str, str]:
    """Titles of all that the library can do, by id: methods, rewritings, repairs as "repair.norms", ways of training, searches, and the solver's."""
    every = methods() | rewrites() | {f"repair.{n}": r for n, r in repairs().items()} | procedures() | WAYS
    return {name: found.title for name, found in every.items()} | SOLVERS


def strangers(of: Iterable[Row]) -> list[str]:
    """Ids that rows name and that do not exist."""
    return sorted({name for row in of for name in row.ids} - set(known()))


def forgotten(of: Iterable[Row]) -> list[str]:
    """Ids that exist and that no row names."""
    return sorted(set(known()) - {name for row in of for name in row.ids})


def counts(of: Iterable[Row]) -> dict[str, int]:
    """How many rows have each badge, in the order of the badges, those without a row left out."""
    all_badges = [row.badge for row in of]
    return {badge: all_badges.count(badge) for badge in GLYPHS if badge in all_badges}
