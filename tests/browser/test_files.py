"""The files to take along, downloaded in a real browser and used in plain Python."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from compression import export
from compression.apply import compress
from compression.recipe import Recipe, from_json, step
from compression.zoo import shipped

PATIENCE = 1000 * float(os.environ.get("PATIENCE", "180"))  # ms until a page that does not answer fails
ROOT = Path(__file__).parents[2]
RECIPE = Recipe((step("pruning.magnitude", sparsity=0.7), step("quantization.uniform", bits=4)))


def download(page, what, folder) -> Path:
    with page.expect_download(timeout=PATIENCE) as found:
        page.get_by_role("button", name=f"Download {what}", exact=True).click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def test_every_file_can_be_taken_along_and_used(visit, server, settled, tmp_path):
    page = visit(server, path="/?net=digits-mlp&do=magnitude-sparsity-0.7~uniform-bits-4")
    page.locator('[data-testid="stMetric"]', has_text="Accuracy").filter(has_text="±").wait_for(timeout=PATIENCE)
    settled(page)
    net = shipped.load("digits-mlp")
    packed = export.pack(compress(net, RECIPE))
    assert download(page, "the packed file", tmp_path).read_bytes() == packed
    assert export.pack(compress(net, from_json(download(page, "the recipe", tmp_path).read_text()))) == packed
    rows = list(csv.DictReader(download(page, "the layers (CSV)", tmp_path).read_text().splitlines()))
    assert [row["layer"] for row in rows] == [layer.name for layer in net.layers]
    script = download(page, "apply.py", tmp_path)
    done = subprocess.run([sys.executable, str(script), str(tmp_path / "again.shrk")], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and (tmp_path / "again.shrk").read_bytes() == packed, done.stdout + done.stderr
    shown = page.locator('[data-testid="stMetric"]', has_text="Accuracy").inner_text()
    assert f"accuracy: {shown.split(' %')[0].split()[-1]} %" in done.stdout
