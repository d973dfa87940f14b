"""What the solver and its rivals came to on the networks that ship, measured by tests/bench/budget.py."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from compression.network import Network

RECORDED = Path(__file__).parents[2] / "assets" / "budget.json"


def recorded(network: Network) -> Mapping[str, Any]:
    """The record of a network: budgets, for each the ways and searches with their sizes and losses. Empty for other weights."""
    found = _all().get(network.name, {})
    return found if found and found["digest"] == network.digest else {}


@cache
def _all() -> Mapping[str, Any]:
    return json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
