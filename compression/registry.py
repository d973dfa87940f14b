"""Finds every module of this package that declares a METHOD, a REWRITE, a REPAIR or a PROCEDURE. Adding a method is adding a file."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from compression.method import Method

FAMILIES = ("lowrank", "pruning", "sharing", "quantization", "coding")  # in the order in which they are chained
TRAINING = ("recover", "distil", "quantized", "sparse", "scratch")  # folders of compression/train
_DIAL = {"lowrank": "rank", "pruning": "sparsity", "sharing": "bits", "quantization": "bits", "coding": "coding"}


@cache
def methods() -> MappingProxyType[str, Method]:
    """All methods by id, which is where they live: "pruning.magnitude" is compression/pruning/magnitude.py."""
    return MappingProxyType({name: known for family in FAMILIES for name, known in _declared(family, "METHOD")})


@cache
def rewrites() -> MappingProxyType[str, Any]:
    """All rewritings of whole networks by id: "rewriting.fold_norms" is compression/rewriting/fold_norms.py."""
    return MappingProxyType(dict(_declared("rewriting", "REWRITE")))


@cache
def repairs() -> MappingProxyType[str, Any]:
    """All repairs without training by name, in the order in which they are made: "norms" is compression/repair/norms.py."""
    found = {name.split(".")[1]: known for name, known in _declared("repair", "REPAIR")}
    return MappingProxyType(dict(sorted(found.items(), key=lambda pair: pair[1].turn)))


@cache
def procedures() -> MappingProxyType[str, Any]:
    """All ways of training by id: "recover.fine_tune" is compression/train/recover/fine_tune.py."""
    found = {}
    for folder in TRAINING:
        found |= {name.removeprefix("train."): known for name, known in _declared(f"train/{folder}", "PROCEDURE")}
    return MappingProxyType(found)


def _declared(folder: str, word: str) -> Iterator[tuple[str, Any]]:
    for file in sorted((Path(__file__).parent / folder).glob("[a-z]*.py")):
        name = f"{folder.replace('/', '.')}.{file.stem}"
        found = getattr(import_module(f"compression.{name}"), word, None)
        if found is not None:
            yield name, found


def method(name: str) -> Method:
    """One method by id. Raises ValueError with the ids there are."""
    if name not in methods():
        raise ValueError(f"unknown method {name!r}; known are {', '.join(methods())}")
    return methods()[name]


def known(name: str) -> Any:
    """A method or a rewriting by id: both have a title, knobs and words. Raises ValueError with the ids there are."""
    return rewrites()[name] if name in rewrites() else method(name)


def dial(name: str) -> str:
    """Which of the dials "rank", "sparsity", "bits" and "coding" a method id answers: one step of a chain for each."""
    return _DIAL[name.split(".")[0]]


def answering(which: str) -> list[str]:
    """Ids of the methods that answer one dial: those with a knob of its name, or for "coding", which has none, all coders."""
    return [name for name, known in methods().items()
            if dial(name) == which and (which == "coding" or any(k.name == which for k in known.knobs))]
