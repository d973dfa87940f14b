"""The Train page: a training begun, watched, found again, and what came out opened like any network."""

import plotly.graph_objects as go
import pytest
import torch

from app import compute, found, jobs, plots_training
from app.questions import ASKED
from app.training import recorded, teacher
from app.training.wanted import Wanted, from_words, to_words
from compression.link import to_link
from compression.recipe import Recipe, step
from compression.registry import procedures
from compression.train.distil.few_images import Images
from compression.train.distil.losses import softened
from compression.train.distil.teaching import Likeness
from compression.train.loop import watched
from compression.train.quantized.beside import Seen
from compression.train.quantized.mixed import Allotted
from compression.train.sparse.early_bird import Settling
from compression.train.sparse.growl import Gathered
from compression.train.sparse.masked import Survivors
from compression.train.sparse.slimming import Scales
from compression.zoo import shipped
from tests.screen import opened

LONG = 300
PRUNED = Recipe((step("pruning.magnitude", sparsity=0.8),))


@pytest.fixture(autouse=True)
def nobody_left():
    """AppTest never ends a session, so its jobs would go on beside the next test's."""
    yield
    for pool in (jobs.quick, jobs.long, jobs.lasting):
        pool.drop_all("")


def page(which="train", **link):
    return opened(which, **{"net": "digits-mlp", **to_link(PRUNED), **link})


def press(at, label):
    next(b for b in at.button if b.label == label).click()
    return at.run()


def the_job():
    return next(iter(jobs.lasting._jobs.values()))


def test_a_training_runs_is_found_again_by_another_visit_and_opens_in_explore():
    at = page(train="recover.fine_tune~epochs-2")
    assert not at.exception and any("Takes the network" in m.value for m in at.markdown)
    press(at, "Start training")
    job = the_job()
    assert job.ended(LONG) and job.error is None
    again = page(train="recover.fine_tune~epochs-2")
    assert any(m.value.startswith("Trained from") for m in again.markdown) and the_job() is job, "a reload finds it"
    run = job.latest.runs[0]
    press(again, "Open it")
    assert not again.exception
    net = compute.network(again.session_state["net"])
    assert net.digest == run.trained.network.digest and net.reference.name == "digits-mlp"
    costs = compute.costs(net, again.session_state["recipe"])
    assert costs.file_bytes < costs.original_bytes / 2 and costs.zeros == pytest.approx(0.8, abs=0.01)


def test_what_leaves_the_recipe_aside_says_so_and_is_the_same_training_under_any():
    for name, counts in (("sparse.movement", False), ("distil.signals", False), ("distil.compressed", True), ("recover.fine_tune", True)):
        known, net = procedures()[name], shipped.load("digits-mlp")
        keys = {Wanted(name, (), net, recipe, 0).key for recipe in (Recipe(), PRUNED)}
        assert known.uses_recipe == counts and len(keys) == 1 + counts
        at = page("distil" if name.startswith("distil") else "train", train=name)
        assert any(("and the recipe on screen" in m.value) == counts for m in at.markdown if m.value.startswith("Takes the network")), name


def test_what_does_not_apply_says_why_and_what_to_do():
    at = opened("train", net="digits-mlp", v="1", train="recover.iterative")
    assert any("set a sparsity first" in i.value for i in at.info) and not at.exception


@pytest.mark.parametrize("link", ["nonsense", "recover.fine_tune~epochs-99", "recover.fine_tune~x-1", "~~~", "recover.fine_tune~seed-7"])
def test_a_hostile_link_gets_a_sentence(link):
    at = page(train=link)
    assert not at.exception and any("could not be read" in w.value for w in at.warning)


@pytest.mark.parametrize("name", procedures())
def test_a_training_in_a_link_is_read_back(name):
    known = procedures()[name]
    settings = {k.name: k.ladder[-1] for k in known.knobs}
    assert from_words(to_words(name, settings, 2)) == (name, settings, 2)


def test_distillation_has_a_page_of_its_own_also_where_a_link_asks_the_other_for_it():
    for which in ("train", "distil"):
        at = page(which, train="distil.signals~seed-1")
        assert not at.exception and at.title[0].value == "Distil"
        assert next(s.value for s in at.selectbox if s.key == "train.of.distil") == "distil.signals"
        assert at.session_state["train.seed"] == 1


def test_the_settings_of_a_recorded_study_are_numbers_and_no_shares():
    at = page("distil", train="distil.signals")
    said = next(s.options for s in at.selectbox if s.key == "train.recorded.distil.signals")
    assert "student eighth width, temperature 4" in said and not any("%" in each for each in said)


def test_what_was_traced_last_stands_beside_what_came_out():
    seeds = [{"points": [[0, 0.0, None, 0.1, {"bits": 9.0}], [1, 0.1, 1.0, 0.5, {"bits": b}]]} for b in (2.0, 3.0)]
    assert recorded._traced(seeds, "bits") == "2.50 (2.00–3.00)" and recorded._traced(seeds, "another") == ""
    at = page("train", train="scratch.embeddings")
    table = next(d.value for d in at.dataframe if "run" in d.value)
    assert not at.exception and {"bits per character", "numbers trained"} < set(table.columns) and set(table["numbers trained"]) >= {"11,088"}


@pytest.mark.parametrize("picture", [Seen, Allotted, Survivors, Gathered, Settling, Scales, Likeness, Images])
def test_each_picture_of_a_run_asks_a_question_of_its_own(picture):
    names = [name for name, kind in picture.__annotations__.items() if "Tensor" in str(kind)]
    assert names and all(name.replace("_", " ").capitalize() in ASKED for name in names)


def test_what_is_special_to_a_run_is_drawn():
    drawn = found.plain(Seen(torch.tensor([30.0, 70.0]), torch.tensor([0.1, 0.2, 0.3])))
    assert [d.kind for d in drawn] == ["bars", "bars"] and [len(d.values) for d in drawn] == [2, 3]


def test_the_teachers_bars_are_its_softened_scores():
    at = page("distil", train="distil.signals")
    assert not at.exception and any("What the teacher tells" in h.value for h in at.header)
    net = shipped.load("digits-mlp")
    data = watched(net.data["validation"])
    names, values = teacher._bars(data, teacher._scores(net, data)[0])
    figure = go.Figure(plots_training.softened(names, [softened(values, t).tolist() for t in (1.0, 4.0)], (1.0, 4.0)))
    told = figure.layout.sliders[0].steps[1].args[0]["y"][0]
    assert told == pytest.approx([100 * p for p in (values / 4).softmax(-1).tolist()]) and max(told) < max(figure.data[0].y)


def test_a_study_from_several_recipes_says_which_and_runs_again_from_the_one_that_is_picked(monkeypatch):
    at = page(train="recover.iterative", net="lenet-300-100")
    pick = next(s for s in at.selectbox if s.key == "train.recorded.recover.iterative")
    assert len(set(pick.options)) == len(pick.options) and {"99 % zero", "97 % zero"} <= {o.split(", ")[0] for o in pick.options}
    han = next(o for o in pick.options if o.startswith("92, 91, 74 % zero by layer"))
    monkeypatch.setattr(Wanted, "begin", lambda self: None)
    at = pick.select(han).run()
    assert any("images flipped" in m.value and m.value.startswith(":small[92, 91, 74 %") for m in at.markdown), "what the list cuts off is said"
    press(at, "Run it again")
    assert [s["sparsity"] for o in at.session_state["recipe"].overrides for s in o.steps] == [0.92, 0.91, 0.74]


def test_where_no_study_is_recorded_the_page_says_so(monkeypatch):
    monkeypatch.setattr("app.training.recorded.study", lambda name: None)
    at = page(train="recover.fine_tune")
    assert not at.exception and any("No study of this way of training is recorded yet" in m.value for m in at.markdown)
    assert not any("Recorded run" in h.value for h in at.header)
