"""What one takes along beside the packed file: the layers as a table, and a script that makes the same file again without the app."""

import csv
import hashlib
from io import StringIO

from compression import export, measure
from compression.apply import Compressed
from compression.evaluate import Quality
from compression.network import Network
from compression.recipe import Override, Recipe, Step, to_json
from compression.registry import method
from compression.zoo import shipped

COLUMNS = ("layer", "kind", "shape", "weights", "steps", "bytes_before", "bytes_after", "zeros", "sqnr_db", "passed_over")


def layers_csv(compressed: Compressed, recipe: Recipe) -> str:
    """One row for each layer in network order: its steps, bytes before and after, share of zeros, and SQNR in decibels (inf: exact)."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for layer in compressed.network.layers:
        form = compressed.encoded[layer.name]
        error = measure.error(layer.weight, form.decode())
        steps = " > ".join(" ".join([method(s.method).title, *(f"{name}={value}" for name, value in s.knobs)])
                           for s in recipe.chain(layer.name) if s.on and not s.off)
        rows.writerow([layer.name, layer.kind, "x".join(map(str, layer.weight.shape)), layer.weight.numel(), steps, 4 * layer.weight.numel(),
                       form.nbytes, f"{error.zeros:.6f}", f"{error.sqnr:.4f}", "; ".join(compressed.refused[layer.name])])
    return text.getvalue()


def apply_py(network: Network, recipe: Recipe, compressed: Compressed, quality: Quality | None) -> str:
    """A script that needs this project's library and nothing of the app; it says whether what it makes is what was shown."""
    packed = export.pack(compressed)
    best = quality and (quality.accuracy or quality.agreement)
    shown = None if quality is None or not quality.complete else (quality.split, quality.n, f"{100 * best.value:.1f}")
    name = network.name if network.name in shipped.available() else None
    shape = None if network.example is None else tuple(network.example.shape[1:])
    return SCRIPT.format(title=_one_line(network.title), name=name, digest=network.digest, recipe=to_json(recipe), nbytes=len(packed),
                         sha=hashlib.sha256(packed).hexdigest(), shown=shown, shape=shape)


def as_python(network: Network, recipe: Recipe, split: str) -> str:
    """A few lines that measure a recipe with this project's library: bytes, and the accuracy on all examples of a split."""
    shape = None if network.example is None else tuple(network.example.shape[1:])
    opened = ("from compression.zoo import shipped\n", f'network = shipped.load("{network.name}")') if network.name in shipped.available() else (
        "from pathlib import Path\n\nfrom compression.own.opening import open_files\n",
        f'network = open_files(("weights.pt", Path("weights.pt").read_bytes()), None, None, {shape!r})[0]  # your file')
    parts = [f"    ({', '.join(_step(s) for s in recipe.default if not s.off)},)," if any(not s.off for s in recipe.default) else ""]
    parts += [f"    overrides=({' '.join(_override(o) + ',' for o in recipe.overrides)})," if recipe.overrides else ""]
    parts += [f"    locked={recipe.locked!r}," if recipe.locked else "", f"    seed={recipe.seed}," if recipe.seed else ""]
    parts += [f"    first=({' '.join(_step(s) + ',' for s in recipe.first)})," if recipe.first else ""]
    parts += [f"    repairs={recipe.repairs!r}," if recipe.repairs else ""]
    body = "\n".join(part for part in parts if part)
    written = f"Recipe(\n{body}\n)" if body else "Recipe()"
    names = [name for name in ("Override", "Recipe", "Step", "step") if f"{name}(" in written]
    on = f'"{split}"' if split else "None"
    return (f"from compression.recipe import {', '.join(names)}\nfrom compression.score import score\n{opened[0]}\n{opened[1]}\nrecipe = {written}\n"
            f"result = score(network, recipe, {on})\nprint(result.file_bytes, result.original_bytes)\n"
            + ("print(result.quality.accuracy or result.quality.agreement, result.quality.n)\n" if split else ""))


def _step(given: Step) -> str:
    knobs = "".join(f", {name}={value!r}" for name, value in given.knobs)
    return f'step("{given.method}"{knobs})' if given.on else f'Step("{given.method}", {given.knobs!r}, on=False)'


def _override(given: Override) -> str:
    steps = "".join(f"{_step(s)}, " for s in given.steps)
    return f"Override({given.pattern!r}, ({steps.rstrip()}){', whole=True' if given.whole else ''})"


def _one_line(title: str) -> str:
    return "".join(c for c in title if c.isalnum() or c in " -_.")


SCRIPT = '''"""Makes the packed file of {title} again, and judges it: the same bytes and the same figure as the app showed.

From the root of the Shrinkscope project, with its Python:

    .venv/bin/python apply.py [the file to write]                              for a network that ships
    .venv/bin/python apply.py [the file to write] weights.pt [data.npz]        for your own
"""

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
import torch

from compression import export
from compression.apply import compress
from compression.evaluate import evaluate
from compression.own.opening import open_files
from compression.recipe import from_json
from compression.score import changed
from compression.zoo import shipped

NETWORK = {name!r}  # None: opened from files
WEIGHTS = "{digest}"  # what identifies the weights
SHAPE = {shape!r}  # of one example
NBYTES, SHA256 = {nbytes}, "{sha}"
SHOWN = {shown!r}  # data, examples, per cent
RECIPE = r"""
{recipe}
"""


def opened(paths):
    if NETWORK is not None:
        return shipped.load(NETWORK)
    if not paths:
        sys.exit("This recipe is for a network of your own: name its file, and that of its data, after the file to write.")
    weights, *data = [(Path(p).name, Path(p).read_bytes()) for p in paths]
    try:
        return open_files(weights, None, data[0] if data else None, None if data else SHAPE)[0]
    except ValueError as error:
        sys.exit(str(error))


def main():
    torch.set_num_threads(1)
    target, paths = (sys.argv[1] if len(sys.argv) > 1 else "compressed.shrk"), sys.argv[2:]
    network = opened(paths)
    if network.digest != WEIGHTS:
        sys.exit("These are not the weights that the recipe was made for.")
    done = compress(network, from_json(RECIPE))
    packed = export.pack(done)
    Path(target).write_bytes(packed)
    sha = hashlib.sha256(packed).hexdigest()
    print(f"{{target}}: {{len(packed):,}} bytes, SHA-256 {{sha}}")
    same = (len(packed), sha) == (NBYTES, SHA256)
    print("The same bytes as in the app." if same else f"In the app it was {{NBYTES:,}} bytes, SHA-256 {{SHA256}}.")
    if SHOWN is not None and SHOWN[0] in network.data:
        split, n, percent = SHOWN
        *_, last = evaluate(done.network, changed(done, done.weights()), network.data[split])
        q = last.quality
        name, best = ("accuracy", q.accuracy) if q.accuracy else ("agreement with the original", q.agreement)
        found = f"{{100 * best.value:.1f}}"
        print(f"{{name}}: {{found}} % (95 % interval {{100 * best.low:.1f}} to {{100 * best.high:.1f}}) on {{q.n:,}} {{split}} examples")
        print("The same as in the app." if (found, q.n) == (percent, n) else f"In the app it was {{percent}} % on {{n:,}}.")
        same = same and (found, q.n) == (percent, n)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
'''
