"""What can be undone and done again, and everything that was tried: recipes with the words for the steps between them. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from compression.recipe import Recipe

LONGEST = 200  # steps that are kept
MOST = 60  # recipes of all that were tried


class Made(NamedTuple):
    """A step: the recipe on its other side, and what it did in words."""

    recipe: Recipe
    words: str


@dataclass(frozen=True)
class History:
    """Steps on both sides of the recipe on screen, each list with the nearest step last.

    >>> a, b = Recipe(), Recipe(seed=1)
    >>> made = History().after(a, "seed 0 → 1")
    >>> recipe, undone = made.undone(b)
    >>> recipe == a, undone.redone(recipe) == (b, made)
    (True, True)
    """

    past: tuple[Made, ...] = ()
    future: tuple[Made, ...] = ()

    def after(self, before: Recipe, words: str) -> "History":
        """The history once a step was made from a recipe; what was undone can then no longer be redone."""
        return History((*self.past, Made(before, words))[-LONGEST:])

    def undone(self, now: Recipe) -> tuple[Recipe, "History"]:
        """The recipe before the last step, and the history there."""
        *rest, last = self.past
        return last.recipe, History(tuple(rest), (*self.future, Made(now, last.words)))

    def redone(self, now: Recipe) -> tuple[Recipe, "History"]:
        """The recipe after the step that was undone last, and the history there."""
        *rest, last = self.future
        return last.recipe, History((*self.past, Made(now, last.words)), tuple(rest))


class Node(NamedTuple):
    """A recipe that was on screen, and where it came from."""

    recipe: Recipe
    parent: int | None  # the place among all nodes of the one it was first made from
    words: str  # what that step did


@dataclass(frozen=True)
class Tried:
    """All recipes that were on screen, as a tree: what was undone stays in it when something else is tried.

    >>> tree = Tried((Node(Recipe(), None, "start"),)).after(Recipe(), Recipe(seed=1), "one").after(Recipe(), Recipe(seed=2), "two")
    >>> [(n.parent, n.words) for n in tree.nodes], tree.lanes()
    ([(None, 'start'), (0, 'one'), (0, 'two')], [(0, 0), (1, 0), (1, 1)])
    """

    nodes: tuple[Node, ...]

    def place(self, recipe: Recipe) -> int | None:
        """Where a recipe is."""
        return next((i for i, node in enumerate(self.nodes) if node.recipe == recipe), None)

    def after(self, before: Recipe, new: Recipe, words: str) -> "Tried":
        """The tree once a step was made from a recipe to another; one that was there before is found again."""
        if self.place(new) is not None:
            return self
        grown = Tried((*self.nodes, Node(new, self.place(before), words)))
        return grown if len(grown.nodes) <= MOST else grown._without_the_oldest_end(before)

    def _without_the_oldest_end(self, kept: Recipe) -> "Tried":
        parents = {node.parent for node in self.nodes}
        gone = next((i for i, node in enumerate(self.nodes[:-1]) if i not in parents and node.recipe != kept), None)
        if gone is None:  # a single line: its first recipe goes
            return Tried(tuple(node._replace(parent=None if node.parent in (None, 0) else node.parent - 1) for node in self.nodes[1:]))
        left = [node for i, node in enumerate(self.nodes) if i != gone]
        return Tried(tuple(node._replace(parent=None if node.parent is None else node.parent - (node.parent > gone)) for node in left))

    def lanes(self) -> list[tuple[int, int]]:
        """For each node how many steps it is from where its tree begins, and its lane: the first step on from a node keeps the node's."""
        found: list[tuple[int, int]] = []
        continued: set[int] = set()
        for node in self.nodes:
            step, lane = (0, 0) if node.parent is None else (found[node.parent][0] + 1, found[node.parent][1])
            if node.parent in continued or (node.parent is None and found):
                lane = 1 + max(lane for _, lane in found)
            continued.add(node.parent)
            found.append((step, lane))
        return found
