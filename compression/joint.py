"""What several layers cost together, guessed from what each costs alone: divergences add up, nearly (compare tests/bench/joint.py)."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from sklearn.isotonic import IsotonicRegression

from compression.sensitivity import Cell


class Guess(NamedTuple):
    """An estimate for a whole recipe, of no example asked about it."""

    nats: float  # sum of the layers' divergences from the original's answers
    drop: float  # share of answers lost that single layers of such a divergence lose
    beyond: bool  # whether the sum is larger than any single layer's, where the drop is only a lower bound


def together(chosen: Iterable[Cell], measured: Iterable[Cell]) -> Guess:
    """The sum of the chosen cells' divergences, and the drop it stands for by the measured cells of the same scan.

    The drop rises with the divergence in the way that fits all measured cells best (isotonic regression), from 0 at 0. Raises
    ValueError where no cell was measured yet.
    """
    nats = float(sum(cell.nats for cell in chosen))
    known = [(cell.nats, cell.drop, 1 / max(cell.half, 1e-3) ** 2) for cell in measured if cell.measured and cell.nats == cell.nats]
    if not known:
        raise ValueError("no cell of this scan was measured yet, so a divergence cannot be told in points; let the scan go on")
    x, y, weight = (np.array(column) for column in zip((0.0, 0.0, 1e6), *known))
    curve = IsotonicRegression(out_of_bounds="clip").fit(x, y, weight)
    return Guess(nats, float(curve.predict([nats])[0]), nats > x.max())
