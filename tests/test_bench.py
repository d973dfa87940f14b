"""The measurements in tests/bench are not run here, but they follow the library: each can be started."""

import runpy
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"


@pytest.mark.parametrize("file", sorted(BENCH.glob("*.py")), ids=lambda file: file.stem)
def test_every_measurement_can_be_started(file, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    monkeypatch.setattr(sys, "argv", [str(file)])
    runpy.run_path(str(file), run_name="looked at")
