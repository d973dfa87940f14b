"""The directions in which imports may point, and the words that belong to one file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "compression").rglob("*.py"))
APP = sorted((ROOT / "app").rglob("*.py"))
# From the ground up: a file may import from its own row and those above it.
ROWS = [{"bits"}, {"encoded"}, {"places"}, {"method", "sketches", "surgeon"},
        {"pruning", "quantization", "sharing", "lowrank", "coding"}, {"registry"}, {"recipe"}, {"layers"}]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def part(name):
    return name.split(".")[1] if name.startswith("compression.") else None


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_knows_no_interface_and_does_not_print(path):
    assert not {n.split(".")[0] for n in imported(path)} & {"streamlit", "plotly", "altair", "pandas", "app"}
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    own = path.relative_to(ROOT / "compression").parts[0].removesuffix(".py")
    row = next((i for i, names in enumerate(ROWS) if own in names), len(ROWS))
    for name in imported(path):
        other = part(name)
        above = next((i for i, names in enumerate(ROWS) if other in names), len(ROWS)) if other else -1
        assert above <= row, f"{own} imports {name}"
        if other and row == above == 4:
            assert other == own, f"the family {own} imports the family {other}"


@pytest.mark.parametrize("path", [ROOT / "app" / f"{name}.py" for name in ("figure", "plots", "words")], ids=lambda p: p.name)
def test_pictures_and_words_are_pure(path):
    assert not {n.split(".")[0] for n in imported(path) if n != "app.figure"} & {"streamlit", "torch", "compression", "app"}


@pytest.mark.parametrize("path", APP, ids=lambda p: str(p.relative_to(ROOT)))
def test_session_and_cache_have_one_home_each(path):
    text = path.read_text()
    # A component's callback is given nothing: it must look up its own event.
    own_triggers = [ROOT / "app" / name / "__init__.py" for name in ("chart", "lens")]
    if path.parent != ROOT / "app" / "state" and path not in own_triggers:
        assert "session_state" not in text and "query_params" not in text
    if path.name != "compute.py":
        assert "st.cache_" not in text


@pytest.mark.parametrize("path", sorted((ROOT / "app" / "views").glob("*.py")), ids=lambda p: p.name)
def test_views_are_short_and_do_no_arithmetic_on_tensors(path):
    assert len(path.read_text().splitlines()) <= 125
    assert "torch" not in {n.split(".")[0] for n in imported(path)}


def test_the_library_imports_without_streamlit():
    code = "import sys; sys.modules['streamlit'] = None; import compression.registry as r; assert r.methods()"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("first", ["ours", "standard"])
def test_both_packages_named_compression_can_be_imported(first, tmp_path):
    """Python 3.14's standard package `compression`, faked here, and ours, whichever is found first."""
    standard = tmp_path / "lib" / "compression"
    (standard / "gzip").mkdir(parents=True)
    (standard / "__init__.py").write_text("")
    (standard / "gzip" / "__init__.py").write_text("name = 'standard'")
    code = f"""
import sys, sysconfig
sysconfig.get_path = lambda *a, **k: {str(tmp_path / "lib")!r}
sys.path.insert(0, {str(tmp_path / "lib" if first == "standard" else ROOT)!r})
import compression
if {first == "standard"}:
    sys.path.insert(0, {str(ROOT)!r})
    entrance = {str(ROOT / "app" / "main.py")!r}
    exec(open(entrance).read().split("import streamlit")[0], {{"__file__": entrance}})
from compression.gzip import name
from compression.registry import methods
assert name == "standard" and methods()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, check=True)
