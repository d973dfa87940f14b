"""Keeps what the benchmarks of orderings found in assets/orderings.json, network by network, where the Coverage page reads it."""

import json
import re
from pathlib import Path

FILE = Path(__file__).parents[2] / "assets" / "orderings.json"
FIELDS = ("better", "worse", "who", "setting", "numbers", "verdict")


def keep(family, network, about, rows, file=FILE):
    """Replace what is known of one network in one family. about: draws, examples, what the numbers are; rows: dicts of FIELDS."""
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    known.setdefault(family, {})[network] = {**about, "rows": [[row[field] for field in FIELDS] for row in rows]}
    text = json.dumps(known, ensure_ascii=False, indent=1)
    file.write_text(re.sub(r"\n {5,}|\n {4}(?=\])", "", text) + "\n", "utf-8")  # a row on a line
