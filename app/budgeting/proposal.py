"""What the solver proposes: the claim, each layer's share and why, what would change, and how the other ways do."""

from collections.abc import Mapping, Sequence
from math import isfinite

import pandas as pd
import streamlit as st
import torch

from app import chart, compute, explain, plots_budget, state, words
from app.budgeting.asking import kind, setting
from app.comparing.sides import in_order
from app.snapshots import Snapshot, judged, place
from compression.budget.explain import Move, Reason
from compression.budget.plans import ALONE, SOLVER, TITLES, Plan, Proposal, drop
from compression.compare import Comparison, compare
from compression.evaluate import Quality
from compression.recipe import Recipe
from compression.registry import dial
from compression.searching.ways import WAYS

NAMES = {**TITLES, **{name: way.title for name, way in WAYS.items()}}


def lost(q: Quality | None) -> tuple[float, float, float, bool] | None:
    """Points lost, with the ends of the interval, and whether all examples were asked."""
    return None if q is None else (*(100 * x for x in drop(q)), q.complete)


def said(q: Quality, kind_of: str) -> str:
    """A loss in words: 0.6 ± 0.4 points on 5,000 validation images."""
    value, low, high, _ = lost(q)
    noun = "points" if q.change else "points of agreement"
    estimated = "≈ " if q.estimated or not q.complete else ""
    return f"{estimated}{value:.2f} ± {(high - low) / 2:.2f} {noun} on {words.examples(kind_of, q.split, q.n, q.of, q.estimated)}"


def claim(found: Proposal, kind_of: str) -> None:
    """What is proposed, measured and estimated apart, and how much better there could be."""
    best, table = found.best, found.table
    sizes = f"**{words.size(best.file_bytes)}** (was {words.size(table.original_bytes)}, {words.smaller(best.file_bytes, table.original_bytes)})"
    adds = ""
    if best.adds is not None and best.adds != table.original_adds:
        adds = f", {words.many(best.adds)} multiply-adds (was {words.many(table.original_adds)})"
    measured = f"Measured together: loses **{said(best.quality, kind_of)}**." if best.quality else "Measured together: not yet…"
    st.markdown(f"{sizes}{adds}. {measured}")
    alone = next((p for p in found.plans if p.way == ALONE), None)
    if alone is not None:
        gap = alone.choice.gap
        proof = "proven: no choice of these options adds up to less" if gap < 1e-6 else (
            f"proven: no choice of these options adds up to more than {100 * gap:.2g} % less" if isfinite(gap) else "no bound is proven yet")
        beside = "is the same" if alone.choice.places == best.choice.places else f"would come to {alone.together:.3g}"
        st.markdown(f":small[≈ Estimated: a divergence of {best.together:.3g} nats, by how far {sum(map(len, table.rows)):,} options of "
                    f"{len(table.rows)} layers each move the scores, added up. The exact choice by layers alone {beside}; their own divergences "
                    f"add up to {alone.choice.cost:.3g} nats there ({proof}).]")
    if found.broken:
        st.warning(f"The wish is not kept: {words.plain(found.broken)}.")


def layers(found: Proposal) -> None:
    """The allocation, and why the layer in focus got its share."""
    net, options = state.network(), found.table.chosen(found.best.choice.places)
    done = compute.compressed(net, found.best.recipe)
    before = {layer.name: 4 * layer.weight.numel() for layer in net.layers}
    rows = [(o.layer, before[o.layer] / 1e3, done.encoded[o.layer].nbytes / 1e3, kind(o.step), setting(o.step)) for o in options]
    chart.show(plots_budget.allocation(rows, state.focus()), key="budget.allocation", alt="Bars: what each layer gets, as trained and chosen",
               height=max(320, 24 * len(rows) + 130), on_click=lambda at: state.set_focus(at["customdata"]))
    at = next((i for i, o in enumerate(options) if o.layer == state.focus()), 0)
    explain.beside("budget.allocation", "Click a layer to ask why it got that.", why(found, at), None, lambda: reasons(found))
    st.markdown(f"**Why {words.plain(options[at].layer)} got {setting(options[at].step)}.** {why(found, at)}")


def why(found: Proposal, at: int) -> str:
    """One layer's reason in words: what a step to either side would win back or cost, and the going rate."""
    every, (back, cost) = found.reasons
    if not every:
        return "There is no limit on size or multiply-adds that it would have to share with the others."
    reason, unit = every[at], _unit(found)
    row = found.table.rows[at]
    if len(row) == 1:
        return "It is locked."
    told = []
    if reason.milder:
        told.append(f"{setting(row[reason.milder.place].step)} instead would win back {_nats(reason.milder.cost)} for "
                    f"{_weight(found, reason.milder)} more, {_rate(reason.milder.rate, unit)}")
    else:
        told.append("no milder option would win anything back")
    if reason.harsher:
        told.append(f"{setting(row[reason.harsher.place].step)} would save {_weight(found, reason.harsher)} and cost {_nats(reason.harsher.cost)}, "
                    f"{_rate(reason.harsher.rate, unit)}")
    else:
        told.append("no option would save more")
    going = (f" Among all layers the best way back would win {_rate(back, unit)}, and the cheapest way to save costs {_rate(cost, unit)}."
             if back and isfinite(cost) else "")
    sentence = "; ".join(told)
    return (f"{sentence[0].upper()}{sentence[1:]}.{going} All ≈ estimates, with the other layers as chosen; 1 mnat is a thousandth of a nat of "
            "divergence.")


def _unit(found: Proposal) -> tuple[str, float]:
    return ("M multiply-adds", 1e6) if found.limit.name == "multiply-adds" else ("KB", 1e3)


def _rate(rate: float, unit: tuple[str, float]) -> str:
    return f"{_milli(rate * unit[1])} a {unit[0]}"


def _nats(cost: float) -> str:
    return _milli(abs(cost))


def _milli(nats: float) -> str:
    """Thousandths of a nat, two digits, never in powers of ten."""
    m = 1e3 * nats
    return "next to nothing" if m < 0.001 else f"{m:,.0f} mnats" if m >= 10 else f"{float(f'{m:.2g}'):g} mnats"


def _weight(found: Proposal, move: Move) -> str:
    return f"{words.many(abs(move.weight))} multiply-adds" if _unit(found)[1] == 1e6 else words.size(abs(move.weight))


def reasons(found: Proposal) -> pd.DataFrame:
    """The table beside the allocation."""
    every, _ = found.reasons
    unit = _unit(found) if every else ("", 1.0)

    def rate(move: Move | None) -> float:
        return float("nan") if move is None else 1e3 * move.rate * unit[1]

    options = found.table.chosen(found.best.choice.places)
    empty = [Reason(0, None, None)] * len(options)
    return pd.DataFrame([{"layer": o.layer, "gets": setting(o.step), "change of the file (bytes)": o.change,
                          "≈ divergence alone (mnats)": 1e3 * o.nats,
                          f"≈ won back by a milder option (mnats a {unit[0]})": rate(r.milder),
                          f"≈ cost of a harsher option (mnats a {unit[0]})": rate(r.harsher)} for o, r in zip(options, every or empty, strict=True)])


def diff(found: Proposal) -> None:
    """What would change on screen, layer by layer, with buttons to do it or to keep it: the solver's recipe, or another way's."""
    st.subheader("What would change", anchor=False)
    plans = {NAMES[plan.way]: plan for plan in found.plans}
    plan = plans[st.selectbox("Take the recipe of", list(plans), key="budget.take", persist_state="session")]
    recipe, then = state.recipe(), plan.recipe
    rows = [(layer.name, _chain(recipe, layer.name), _chain(then, layer.name)) for layer in state.network().layers]
    changed = [row for row in rows if row[1] != row[2]]
    if not changed and not recipe.first and not recipe.repairs:
        st.markdown("The recipe on screen is this one already.")
    else:
        st.dataframe(pd.DataFrame(changed, columns=["layer", "now", "then"]), hide_index=True, width="stretch",
                     alt="What would change, layer by layer", height=min(35 * (len(changed) + 1) + 3, 360))
        if recipe.first or recipe.repairs:
            st.markdown(":small[Rewritings and repairs are switched off with it: it was measured without them.]")
    left, right = st.columns(2)
    title = f"budget {words.size(plan.file_bytes)}"
    left.button(f"Apply to {len(changed)} layer{'s' if len(changed) != 1 else ''}", key="budget.apply", on_click=state.set_recipe, args=(then, title),
                width="stretch", disabled=not changed and not recipe.first and not recipe.repairs,
                help="One step: Undo takes all of it back.")
    right.button("Snapshot", key="budget.keep", on_click=keep, args=(plan,), icon=":material/photo_camera:", width="stretch",
                 disabled=place(state.shelf()) is None, help="Keeps it with its results, without setting it.")


def _chain(recipe: Recipe, layer: str) -> str:
    chain = [s for s in recipe.chain(layer) if dial(s.method) != "coding"]
    coded = ", coded" if any(dial(s.method) == "coding" for s in recipe.chain(layer)) else ""
    return (", ".join(map(setting, chain)) or "original") + coded


def keep(plan: Plan) -> None:
    """Put a plan on the shelf."""
    net = state.network()
    costs = compute.costs(net, plan.recipe)
    shares = tuple(p.bytes_after / max(1, p.bytes_before) for p in compute.pictures(net, plan.recipe))
    state.take(Snapshot(net.name, net.title, net.digest, plan.recipe, costs.file_bytes, costs.original_bytes, shares,
                        judged(plan.quality) if plan.quality else None))


def ways(found: Proposal, more: Sequence[Plan], tested: Mapping[str, Plan], split: str) -> None:
    """All ways beside one another: what each loses, with intervals, and the paired test against the solver."""
    plans = [*found.plans, *more]
    rows = [(NAMES[p.way], lost(p.quality), lost(tested[p.way].quality) if p.way in tested else None) for p in plans]
    allowed = None if found.wish.most_drop is None else 100 * found.wish.most_drop
    chart.show(plots_budget.ways(rows, allowed), key="budget.ways", alt="Points lost by each way at the same bytes, with intervals",
               height=max(300, 34 * len(rows) + 130))
    absent = "".join(f" {TITLES[way]} found nothing: {words.plain(reason)}." for way, reason in (found.without or {}).items())
    told = verdict(found, more, tested)
    explain.beside("budget.ways", f"Bars: 95 % intervals of the paired loss; hollow while not all examples are asked. {split.capitalize()} examples "
                   f"chose.{absent}", told or "Measuring…", None, lambda: table(found, more, tested))
    st.markdown(told)


def verdict(found: Proposal, more: Sequence[Plan], tested: Mapping[str, Plan]) -> str:
    """How the solver does against each other way, by the paired test; on test examples where they were asked."""
    first = tested.get(SOLVER) or found.best
    told = []
    for plan in (*found.plans[1:], *more):
        plan = tested.get(plan.way, plan)
        pair = paired(plan, first)
        if plan.recipe == first.recipe:
            told.append(f"{NAMES[plan.way]} chose the same")
        elif pair is not None and pair.quality.change is not None:
            gain = 100 * pair.quality.change.value
            clear = pair.chance is not None and pair.chance <= 0.05
            word = f"{abs(gain):.1f} points {'worse' if gain > 0 else 'better'}" if clear else "no clear difference"
            told.append(f"{NAMES[plan.way]} {word} ({_chance(pair.chance)})")
    where = f"on {first.quality.split} examples" if first.quality else ""
    return f"Beside the solver, {where}: {'; '.join(told)}." if told else ""


def _chance(p: float | None) -> str:
    return "no test" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def paired(plan: Plan, first: Plan) -> Comparison | None:
    """The solver's answers against another way's, on the same examples; None until both have answered all."""
    if not (plan.complete and first.complete) or plan.quality.split != first.quality.split:
        return None
    data = state.network().data[plan.quality.split]
    key = ("budget.paired", data.digest, state.network().digest, plan.recipe, first.recipe)
    return compute.kept(key, lambda: compare(data, torch.arange(len(data)), in_order(plan.progress), in_order(first.progress)))


def table(found: Proposal, more: Sequence[Plan], tested: Mapping[str, Plan]) -> pd.DataFrame:
    """The numbers of the chart of ways."""
    rows = []
    for plan in (*found.plans, *more):
        pair = paired(tested.get(plan.way, plan), tested.get(SOLVER) or found.best) if plan.way != SOLVER else None
        row = {"way": NAMES[plan.way], "file": words.size(plan.file_bytes), "≈ divergence, layers alone added up (nats)": plan.choice.cost,
               "≈ divergence, moves of the scores added up (nats)": plan.together}
        for q in (plan.quality, tested[plan.way].quality if plan.way in tested else None):
            if q is not None:
                value, low, high, _ = lost(q)
                row[f"lost on {q.split} (points)"] = f"{value:.2f} ± {(high - low) / 2:.2f}"
        row["p against the solver"] = float("nan") if pair is None or pair.chance is None else pair.chance
        rows.append(row)
    return pd.DataFrame(rows)


def tried(found: Proposal) -> pd.DataFrame:
    """The way to the promise."""
    return pd.DataFrame([{"file": words.size(t.file_bytes), "≈ divergence, added up (nats)": t.nats, "lost (points)": 100 * t.drop,
                          "up to (points)": 100 * t.high, "keeps the promise": t.kept} for t in found.tries])
