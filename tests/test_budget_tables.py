"""From the cells of scans to options by layer."""

from types import SimpleNamespace as Plain

import pytest

from compression.budget.exact import exact
from compression.budget.tables import table
from compression.budget.uniform import uniform

NAN = float("nan")


def scan(*cells):
    return Plain(cells=tuple(Plain(layer=a, step=b, saved_bytes=c, nats=d, refused=e) for a, b, c, d, e in cells))


BITS = scan(("fc1", "4 bit", 80, 0.1, ""), ("fc1", "2 bit", 90, 0.9, ""), ("fc2", "4 bit", 30, 0.2, ""), ("fc2", "2 bit", 40, -1e-9, ""))
ZEROS = scan(("fc1", "50 %", 10, 0.0, ""), ("fc1", "90 %", -5, NAN, ""), ("fc2", "50 %", 0, NAN, "It does not apply."))


def test_options_of_several_scans_stand_by_layer_heaviest_first():
    both = table([BITS, ZEROS], 200)
    assert both.settings == [[None, "50 %", "4 bit", "2 bit"], [None, "4 bit", "2 bit"]]
    assert [[o.change for o in row] for row in both.rows] == [[0, -10, -80, -90], [0, -30, -40]]
    assert both.rows[1][2].nats == 0, "a divergence is never below zero but by rounding"
    assert both.rows[0][0].cell is None and both.rows[0][2].cell is BITS.cells[0]


def test_a_budget_counts_from_the_originals_bytes():
    options = table([BITS], 200)
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
    options = table([BITS], 200, locked=("fc2",))
    assert options.settings[1] == [None] and exact(options.within(110)).cost == 0.9


def test_scans_of_other_layers_are_refused():
    for scans in ([], [scan()], [BITS, scan(("fc3", "4 bit", 1, 0.0, ""))]):
        with pytest.raises(ValueError, match="same layers"):
            table(scans, 200)
