"""What the literature says does better, and what did on our networks: read from assets/orderings.json, which two benchmarks write."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parents[1] / "assets" / "orderings.json"
FAMILY = {"pruning": "Pruning", "quantization": "Quantization and sharing"}
VERDICTS = {"holds": "as it says", "as good": "no difference", "differs": "other way"}


class Trial(NamedTuple):
    """One comparison on one network at one setting."""

    network: str
    setting: str
    better: float  # of what is said to do better
    worse: float
    verdict: str  # of VERDICTS


class Ordering(NamedTuple):
    """One claim of the literature, and all trials of it on our networks."""

    better: str
    worse: str
    who: str
    numbers: str  # what the trials' numbers are, with their unit
    trials: tuple[Trial, ...]

    def count(self, verdict: str) -> int:
        """How many trials ended so."""
        return sum(t.verdict == verdict for t in self.trials)

    @property
    def differs(self) -> str:
        """Where ours differs, in words."""
        where: dict[str, list[str]] = {}
        for t in self.trials:
            if t.verdict == "differs":
                where.setdefault(t.network, []).append(t.setting)
        return "; ".join(f"{network}: {', '.join(settings)}" for network, settings in where.items())


class Source(NamedTuple):
    """How one network was tried."""

    draws: int
    examples: int
    untouched: float  # per cent right


@cache
def sources(family: str) -> dict[str, Source]:
    """By network. Empty where nothing was recorded."""
    return {name: Source(each["draws"], each["examples"], each["untouched"]) for name, each in _read().get(family, {}).items()}


@cache
def orderings(family: str) -> tuple[Ordering, ...]:
    """All that was tried in a family, in the order of the benchmark."""
    found: dict[tuple[str, str, str, str], list[Trial]] = {}
    for network, each in _read().get(family, {}).items():
        for better, worse, who, setting, (good, bad), verdict in each["rows"]:
            found.setdefault((better, worse, who, each["numbers"]), []).append(Trial(network, setting, good, bad, verdict))
    return tuple(Ordering(*key, tuple(trials)) for key, trials in found.items())


@cache
def _read() -> dict[str, dict[str, dict]]:
    return json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
