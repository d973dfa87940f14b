"""Finds every module of this package that declares a METHOD. Adding a method is adding a file."""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from compression.method import Method

FAMILIES = ("lowrank", "pruning", "sharing", "quantization", "coding")  # in the order in which they are chained
_DIAL = {"lowrank": "rank", "pruning": "sparsity", "sharing": "bits", "quantization": "bits", "coding": "coding"}


@cache
def methods() -> MappingProxyType[str, Method]:
    """All methods by id, which is where they live: "pruning.magnitude" is compression/pruning/magnitude.py."""
    found = {}
    for family in FAMILIES:
        for file in sorted(Path(__file__).with_name(family).glob("[a-z]*.py")):
            method = getattr(import_module(f"compression.{family}.{file.stem}"), "METHOD", None)
            if method is not None:
                found[f"{family}.{file.stem}"] = method
    return MappingProxyType(found)


def method(name: str) -> Method:
    """One method by id. Raises ValueError with the ids there are."""
    if name not in methods():
        raise ValueError(f"unknown method {name!r}; known are {', '.join(methods())}")
    return methods()[name]


def dial(name: str) -> str:
    """Which of the dials "rank", "sparsity", "bits" and "coding" a method id answers: one step of a chain for each."""
    return _DIAL[name.split(".")[0]]


def answering(which: str) -> list[str]:
    """Ids of the methods that answer one dial: those with a knob of its name, or for "coding", which has none, all coders."""
    return [name for name, known in methods().items()
            if dial(name) == which and (which == "coding" or any(k.name == which for k in known.knobs))]
