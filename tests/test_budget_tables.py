"""Options by layer, and what may be chosen of them."""

import pytest

from compression.budget.exact import exact
from compression.budget.tables import Option, merged
from compression.budget.uniform import uniform

LAYERS = ("fc1", "fc2")
BITS = [Option("fc1", "2 bit", -90, 0.9), Option("fc1", "4 bit", -80, 0.1), Option("fc2", "4 bit", -30, 0.2), Option("fc2", "2 bit", -40, 0.0)]


def test_options_of_any_origin_stand_by_layer_heaviest_first():
    both = merged(LAYERS, [*BITS, Option("fc1", "50 %", -10, 0.0)], 200)
    assert both.settings == [[None, "50 %", "4 bit", "2 bit"], [None, "4 bit", "2 bit"]]
    assert [[o.change for o in row] for row in both.rows] == [[0, -10, -80, -90], [0, -30, -40]]


def test_a_budget_counts_from_the_originals_bytes():
    options = merged(LAYERS, BITS, 200)
    for most, first, nats in ((200, None, 0.0), (160, None, 0.0), (159, "4 bit", 0.1), (70, "2 bit", 0.9)):
        found = exact(options.within(most))
        assert options.promised(found.places) <= most and found.cost == pytest.approx(nats)
        got = [o.step for o in options.chosen(found.places)]
        assert got[0] == first and sum(o.nats for o in options.chosen(found.places)) == pytest.approx(nats)
    with pytest.raises(ValueError, match="the least these options come to is 70"):
        exact(options.within(69))
    same = uniform(options.within(100), options.settings, None)
    assert [o.step for o in options.chosen(same.places)] == ["4 bit", "4 bit"]


def test_a_locked_layer_keeps_the_original():
    options = merged(LAYERS, BITS, 200, locked=("fc2",))
    assert options.settings[1] == [None] and exact(options.within(110)).cost == 0.9
