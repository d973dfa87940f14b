"""The README is true: its Python runs, its table is the cards', its commands are what CI runs."""

import re
from pathlib import Path

import torch

from compression.apply import compress
from compression.zoo.make_cards import table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_lines_of_python_run(capsys):
    code, spread = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(code, names)
    assert len(names["data"]) == names["result"].file_bytes < names["result"].original_bytes
    assert names["result"].quality.complete and str(names["result"].file_bytes) in capsys.readouterr().out
    weights = compress(names["network"], names["recipe"]).weights()
    assert all(torch.equal(names["again"].get_parameter(name), weight) for name, weight in weights.items())
    exec(spread.replace("processes:2", "here"), names)
    assert len(names["points"]) == 4 and names["points"][0].file_bytes > names["points"][-1].file_bytes


def test_the_table_is_the_cards():
    assert table() in README


def test_ci_runs_the_readme_line():
    line = next(line.strip() for line in README.splitlines() if line.strip().endswith("pytest"))
    for part in line.split(" && "):
        assert part.replace("install -r", "install -q -r") in (ROOT / ".ci" / "run").read_text()


def test_what_it_links_to_is_there():
    for path in re.findall(r"\]\((assets/[^)]+)\)", README) + re.findall(r"`((?:compression|tests|assets)/[\w./-]+)`", README):
        assert (ROOT / path).exists() or path == "compression/pruning/mine.py", path
