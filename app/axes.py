"""What the comment beside a field says of it: “(out, d), root of the mean square” names the axes of an array and what it is."""

import inspect
import re
from functools import cache

AXES = {"out": "output", "in": "input", "d": "input", "row": "input", "in * kernel": "input", "in / groups": "input", "full": "part", "n": "weight",
        "area": "place in the kernel", "largest + 1": "code", "m": "place in the group", "bases": "basis", "2**width": "level",
        "2**width or fewer": "level", "m1 n1": "block", "m2 n2": "place in the block", "kept": "kept weight", "r_out": "part", "r_in": "part"}
NUMBER_TYPES = re.compile(r"\b(float\d+|uint8|u?int\d+|bool)\b,?")


@cache
def comments(kind: type) -> dict[str, str]:
    """The comment beside each field of a NamedTuple, as its source has it; empty where the source cannot be read."""
    try:
        lines = inspect.getsource(kind).splitlines()
    except (OSError, TypeError):
        return {}
    found = (re.match(r"\s+(\w+): [^#]*#\s*(.*)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def described(comment: str) -> tuple[list[str], str]:
    """Axis names and the words after them, from a field's comment.

    >>> described("(groups, d), root of the mean square over the examples")
    (['group', 'input'], 'root of the mean square over the examples')
    >>> described("bits -> (groups,), any real number")
    (['group'], 'any real number')
    """
    after = comment.rsplit("->", 1)[-1].strip()
    shape = re.search(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)", after)
    if not shape or ("," not in shape[1] and " " in shape[1]):
        return [], _told(after)
    axes = [AXES.get(a, "place" if a.isdigit() else a.replace("_", " ").removesuffix("s")) for a in map(str.strip, shape[1].split(",")) if a]
    return axes, _told(after[shape.end():])


def _told(rest: str) -> str:
    """The words of a comment after its shape; nothing where they only tell of order or of more shapes."""
    rest = NUMBER_TYPES.sub("", rest).strip(" ,.;:")
    return "" if "(" in rest or re.match(r"(and|in that order|descending|ascending|for each)\b", rest) else rest
