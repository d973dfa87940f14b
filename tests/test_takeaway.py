"""The take-away: the table of layers says what the file holds, and apply.py in a clean process makes the same bytes and the same figure."""

import csv
import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from compression import export
from compression.apply import compress
from compression.evaluate import evaluate
from compression.models import own
from compression.own.opening import open_files
from compression.recipe import Override, Recipe, step
from compression.score import changed
from compression.takeaway import apply_py, as_python, layers_csv
from compression.zoo import shipped

ROOT = Path(__file__).parents[1]
RECIPE = Recipe((step("pruning.magnitude", sparsity=0.6), step("sharing.kmeans", bits=4), step("coding.huffman")), locked=("fc3",))


def run(script, folder, *arguments):
    (folder / "apply.py").write_text(script)
    done = subprocess.run([sys.executable, str(folder / "apply.py"), str(folder / "out.shrk"), *map(str, arguments)], cwd=ROOT, text=True,
                          capture_output=True, env=os.environ | {"PYTHONPATH": ""}, timeout=300)
    return done.returncode, done.stdout + done.stderr


def judged(net, done, split):
    *_, last = evaluate(done.network, changed(done, done.weights()), net.data[split])
    return last.quality


def test_apply_py_makes_the_same_bytes_and_the_same_accuracy_in_a_clean_process(tmp_path):
    net = shipped.load("lenet-300-100")
    done = compress(net, RECIPE)
    quality = judged(net, done, "validation")
    code, said = run(apply_py(net, RECIPE, done, quality), tmp_path)
    assert code == 0, said
    packed = (tmp_path / "out.shrk").read_bytes()
    assert packed == export.pack(done) and hashlib.sha256(packed).hexdigest() in said
    assert f"accuracy: {100 * quality.accuracy.value:.1f} %" in said and "5,000 validation examples" in said
    assert "The same bytes as in the app." in said and "The same as in the app." in said


def test_it_says_where_something_is_not_as_shown(tmp_path):
    net = shipped.load("digits-mlp")
    done = compress(net, Recipe())
    script = apply_py(net, Recipe(), done, None)
    code, said = run(script.replace("NBYTES, SHA256 = ", "NBYTES, SHA256 = 1 + "), tmp_path)
    assert code == 1 and "In the app it was" in said
    code, said = run(script.replace(net.digest, "0" * 64), tmp_path)
    assert code == 1 and said.strip() == "These are not the weights that the recipe was made for."


def test_a_network_of_ones_own_is_named_on_the_command_line(tmp_path):
    source = shipped.load("digits-mlp")
    save_file(source.module.state_dict(), tmp_path / "mine.safetensors")
    net, _ = open_files(("mine.safetensors", (tmp_path / "mine.safetensors").read_bytes()), None, None, None)
    recipe = Recipe((step("quantization.uniform", bits=4),))
    done = compress(net, recipe)
    script = apply_py(net, recipe, done, None)
    assert run(script, tmp_path, tmp_path / "mine.safetensors")[0] == 0
    code, said = run(script, tmp_path)
    assert code == 1 and said.strip().startswith("This recipe is for a network of your own")


def test_the_table_of_layers():
    net = shipped.load("lenet-5")
    recipe = Recipe((step("pruning.magnitude", sparsity=0.5),), (Override("fc2", (step("quantization.uniform", bits=8),)),))
    done = compress(net, recipe)
    rows = list(csv.DictReader(io.StringIO(layers_csv(done, recipe))))
    assert [r["layer"] for r in rows] == [layer.name for layer in net.layers]
    assert [int(r["bytes_after"]) for r in rows] == [done.encoded[layer.name].nbytes for layer in net.layers]
    assert float(rows[0]["zeros"]) == pytest.approx(0.5, abs=0.01) and "bits=8" in rows[-1]["steps"]


def test_a_title_from_outside_is_no_code(tmp_path):
    source = shipped.load("digits-mlp")
    net = own(source.module, 'x"""; import os #', {}, source.example)
    script = apply_py(net, Recipe(), compress(net, Recipe()), None)
    compile(script, "apply.py", "exec")
    assert '"""; import' not in script


def test_a_recipe_copied_as_python_is_the_same_recipe():
    """Of everything a recipe can hold; what does nothing is left out."""
    chain = (step("pruning.magnitude", sparsity=0.5), replace(step("quantization.uniform", bits=4), on=False))
    whole = Recipe((step("pruning.magnitude", sparsity=0.0), step("sharing.kmeans", bits=4), step("coding.huffman")),
                   (Override("layers.0", (step("quantization.uniform", bits=8),)), Override("l*", chain, whole=True)), ("fc?",), 7,
                   (step("rewriting.fold_norms"),), ("norms",))
    for recipe in (Recipe(), RECIPE, whole):
        names: dict = {}
        code = as_python(shipped.load("lenet-5"), recipe, "test")
        exec(code[:code.index("result = ")], names)
        expected = replace(recipe, default=tuple(s for s in recipe.default if not s.off))
        assert names["recipe"] == expected and names["network"] is shipped.load("lenet-5")
        assert 'score(network, recipe, "test")' in code and "score(network, recipe, None)" in as_python(shipped.load("lenet-5"), recipe, "")
