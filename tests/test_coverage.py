"""The survey's list: each badge is borne out by the registry, and nothing that exists is left off it."""

import pytest

from app import coverage, orderings, pace
from app.coverage import GLYPHS, LATER, LIVE, MEANING, RUNS, Row, check
from compression.registry import methods, procedures, rewrites

SECTIONS = {"2": 15, "3": 47, "4": 13, "5": 37, "6": 32, "after 2020": 27}  # rows of the survey's tables, and of what came after


def test_no_row_names_what_does_not_exist():
    assert coverage.strangers(coverage.rows()) == []


def test_every_method_and_rewriting_and_repair_is_on_a_row():
    assert coverage.forgotten(coverage.rows()) == [], "add it to a row of assets/coverage.csv, or a row of its own with section “beside”"


def test_the_list_is_whole():
    found = [row.section for row in coverage.rows()]
    assert {section: found.count(section) for section in SECTIONS} == SECTIONS
    assert set(found) == {*SECTIONS, "beside"}
    names = [(row.section, row.name) for row in coverage.rows()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", coverage.rows(), ids=lambda row: f"{row.section} {row.name}")
def test_a_row_says_what_it_is_and_why_it_has_its_badge(row):
    assert row.family and row.name and row.reference and row.what
    assert row.badge in GLYPHS and row.badge in MEANING
    assert not row.why or (row.why.endswith(".") and not row.why[0].islower())
    if row.badge in (LATER, "not here"):
        assert row.why, "what is not here says why"
    else:
        assert row.ids and set(row.ids) <= set(coverage.known())
    assert not row.opens or row.opens in methods() or row.opens in rewrites() or row.opens in procedures()


def row(**changes):
    plain = dict(section="3", family="Pruning", name="It", reference="A 2020", what="What", ids=("pruning.magnitude",), claim="", why="")
    return Row(**(plain | changes))


def test_a_badge_follows_from_what_exists():
    assert row().badge == LIVE
    assert row(claim="slow once").badge == "slow once"
    assert row(ids=("pruning.magnitude", "pruning.melting")).badge == LATER, "what is named and does not exist is not live"
    assert row(ids=(), why="Not built.").badge == LATER
    assert coverage.strangers([row(ids=("pruning.melting",))]) == ["pruning.melting"]
    assert "pruning.magnitude" in coverage.forgotten([row(ids=())])
    assert row(ids=("repair.norms", "lowrank.svd")).opens == "lowrank.svd"


@pytest.mark.parametrize(("wrong", "words"), [
    (dict(claim=LIVE), "may not say"),
    (dict(claim="soon"), "unknown badge"),
    (dict(claim="trains here", ids=(), why="It trains."), "needs the ids"),
    (dict(claim="not here"), "leave the badge empty"),
    (dict(ids=()), "has to say why"),
])
def test_a_row_that_contradicts_itself_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        check(row(**wrong))


def test_counts_add_up():
    counts = coverage.counts(coverage.rows())
    assert sum(counts.values()) == len(coverage.rows())
    assert counts[LIVE] == sum(r.badge == LIVE for r in coverage.rows()) > 30
    assert list(counts) == [badge for badge in GLYPHS if badge in counts]
    assert set(RUNS) < set(GLYPHS)


def test_the_orderings_that_were_asked_for_are_recorded_over_several_draws():
    asked = {"pruning": [("magnitude", "random"), ("Wanda", "random"), ("SparseGPT", "random"), ("Fisher", "random"), ("OBD", "random"),
                         ("OBS", "random"), ("SNIP", "random"), ("SynFlow", "random"), ("Wanda", "magnitude"), ("SparseGPT", "magnitude")],
             "quantization": [("GPTQ", "nearest"), ("per channel", "per tensor"), ("centroids: linear", "random start")]}
    for family, pairs in asked.items():
        found = {(o.better, o.worse): o for o in orderings.orderings(family)}
        for pair in pairs:
            assert len(found[pair].trials) >= 2, pair
        assert all(source.draws >= 3 for source in orderings.sources(family).values())
    falling = [t.better < t.worse for t in found["GPTQ", "nearest"].trials]  # divergences: less is better
    assert falling == [t.verdict != "differs" for t in found["GPTQ", "nearest"].trials]


@pytest.mark.parametrize("family", orderings.FAMILY)
def test_what_is_said_of_an_ordering_follows_from_its_numbers(family):
    for o in orderings.orderings(family):
        assert o.who and {t.verdict for t in o.trials} <= set(orderings.VERDICTS)
        assert bool(o.differs) == bool(o.count("differs"))
        for t in o.trials:
            gap = t.better - t.worse if family == "pruning" else t.worse - t.better
            assert t.verdict == "as good" or (gap > 0) == (t.verdict == "holds"), (o, t)


@pytest.mark.parametrize("row", [row for row in coverage.rows() if row.opens in methods()], ids=lambda row: f"{row.section} {row.name}")
def test_what_is_slow_says_so_as_it_was_measured(row):
    told = [pace.badge(name) for name in row.ids if name in methods()]
    if row.badge == LIVE:
        assert not told[0].startswith("prepares"), f"give it the badge “slow once”: it {told[0]}"
    elif row.badge == "slow once":
        assert any(each != "answers at once" for each in told) or len(told) < len(row.ids), f"leave its badge empty: it {told[0]}"
