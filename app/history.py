"""What can be undone and done again: recipes with the words for the steps between them. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

from compression.recipe import Recipe

LONGEST = 200  # steps that are kept


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
