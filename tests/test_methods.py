"""The Methods and Coverage pages without a browser: every method on every kind of layer, its figures against plain Python."""

import re
from pathlib import Path

import pytest
import torch
from kinds import KINDS, chain_of
from streamlit.testing.v1 import AppTest

from app import compute, jobs, trial, waiting, words
from app.bench import FAMILY
from compression import measure
from compression.apply import compress, encode
from compression.recipe import Override, Recipe, step
from compression.registry import method, methods, rewrites
from compression.zoo import shipped

MAIN = str(Path(__file__).parents[1] / "app" / "main.py")


@pytest.fixture(autouse=True)
def nobody_left(monkeypatch):
    """AppTest never ends a session, so its jobs would go on beside the next test's."""
    monkeypatch.setattr(waiting, "INLINE", 120.0)  # pages wait for what prepares
    yield
    for pool in (jobs.quick, jobs.long):
        pool.drop_all("")


def opened(page, **link) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=300)
    at.query_params.update(link)
    return turned(healthy(at.run()), page)


def turned(at, page) -> AppTest:
    at._page_hash = next(key for key, info in at._registered_pages.items() if info["url_pathname"] == page)
    return healthy(at.run())


def put(at, key, value) -> AppTest:
    for kind in (at.select_slider, at.segmented_control, at.selectbox):
        for widget in kind:
            if widget.key == key:
                widget.set_value(value)
                return healthy(at.run())
    raise KeyError(key)


def pick(at, name) -> AppTest:
    family = name.split(".")[0]
    if at.session_state["bench.family"] != family:
        put(at, "bench.family", family)
    return put(at, f"bench.method.{family}", name)


def healthy(at) -> AppTest:
    """No exception and no empty figure, after all that is being prepared has been."""
    for who in ("bench.ready", "bench.rival", "bench.failure", "bench.emptied"):
        job = jobs.long.find(f"{at.session_state['owner']}.{who}") if "owner" in at.session_state else None
        if job is not None and job.running:
            assert job.ended(300) and not job.error, job.error
            at.run()
    assert not at.exception, [(e.message, e.stack_trace) for e in at.exception]
    shown = f"{[(m.label, m.value, m.delta or '') for m in at.metric]} {[m.value for m in at.markdown]} {[c.value for c in at.caption]}"
    assert not re.search(r"\b(nan|inf|None|undefined)\b", shown), shown
    return at


def press(at, label) -> AppTest:
    next(b for b in at.button if b.label.startswith(label)).click()
    return healthy(at.run())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", [f for f in FAMILY if f not in ("rewriting", "papers")])
def test_every_method_works_on_every_kind_of_layer_or_says_why_not(kind, family):
    network, layer = KINDS[kind]
    net = shipped.load(network)
    at = opened("methods", net=network, layer=layer)
    for name in (n for n in methods() if n.startswith(f"{family}.")):
        pick(at, name)
        form, refused = encode(net.layer(layer), chain_of(name), compute.memo(), net.digest)  # prepared once: tests/test_contract.py does it again
        shown = {m.label: (m.value, m.delta) for m in at.metric}
        if refused:
            assert [i.value for i in at.info] == [refused[-1]], name
            assert refused[-1].endswith(".") and "This layer" not in shown
            continue
        assert not at.info, (name, [i.value for i in at.info])
        wrong = measure.error(net.layer(layer).weight, form.decode())
        assert shown["This layer"][0] == words.size(form.nbytes), name
        said = "exact" if wrong.sqnr == float("inf") else f"{wrong.sqnr:.1f} dB"
        assert shown["Weight error"] == (said, f"error {100 * wrong.relative:.1f} %"), name


@pytest.mark.parametrize("network", dict.fromkeys(network for network, _ in KINDS.values()))
def test_every_rewriting_is_tried_on_the_whole_network_or_says_why_not(network):
    net = shipped.load(network)
    at = put(opened("methods", net=network), "bench.family", "rewriting")
    for name in rewrites():
        put(at, "bench.method.rewriting", name)
        why = rewrites()[name].refuses(net)
        if why:
            assert at.info[0].value.startswith(why), name
            continue
        assert not at.info, name
        said = next(m.value for m in at.markdown if "layers change" in m.value)
        assert f"of {len(net.layers)} layers change" in said
        if rewrites()[name].exact:
            assert "stay as they are" in said, name
        assert {"Layer", "layer"} & set(at.dataframe[0].value.columns) and len(at.dataframe[0].value) == len(net.layers)


def test_a_rewriting_begins_the_recipe():
    at = pick(opened("methods", net="resnet-20"), "rewriting.fold_norms")
    press(at, "Begin the recipe")
    assert [s.method for s in at.session_state["recipe"].first] == ["rewriting.fold_norms"]


def test_steps_are_stacked_with_the_bytes_before_and_after_each():
    net = shipped.load("lenet-5")
    at = opened("methods", net="lenet-5", layer="fc1")
    put(at, "bench.pruning.magnitude.sparsity", 0.9)
    press(at, "Add to stack")
    pick(at, "sharing.kmeans")
    press(at, "Add to stack")
    pick(at, "coding.huffman")
    chain = (step("pruning.magnitude", sparsity=0.9), step("sharing.kmeans"), step("coding.huffman"))
    sizes = [encode(net.layer("fc1"), chain[:i], {}, net.digest)[0].nbytes for i in range(4)]
    table = at.dataframe[0].value
    assert list(table["before"]) == [words.size(b) for b in sizes[:3]] and list(table["after"]) == [words.size(b) for b in sizes[1:]]
    press(at, "Use this chain")
    assert Override("fc1", chain, whole=True) in at.session_state["recipe"].overrides
    press(at, "Clear stack")
    assert list(at.dataframe[0].value["step"]) == ["1. Uniform quantization", "2. Huffman coding"], "on its own a coder gets codes"


def test_the_address_opens_the_same_method_with_its_settings_its_stack_and_its_layer():
    at = opened("methods", net="lenet-5", layer="fc1")
    put(at, "bench.pruning.magnitude.sparsity", 0.9)
    press(at, "Add to stack")
    pick(at, "sharing.kmeans")
    put(at, "bench.sharing.kmeans.bits", 3)
    put(at, "layer", "fc2")
    link = {key: at.query_params[key][0] if isinstance(at.query_params[key], list) else at.query_params[key] for key in at.query_params}
    assert link["method"] == "magnitude-sparsity-0.9-kmeans-bits-3" and link["layer"] == "fc2"
    again = opened("methods", **link)
    assert not again.warning and [m.value for m in again.metric][:2] == [m.value for m in at.metric][:2], "bytes and error; accuracy comes later"
    assert again.session_state["bench.sharing.kmeans.bits"] == 3 and again.dataframe[0].value["step"][0] == "1. Magnitude pruning"
    turned(again, "coverage")
    assert "method" not in again.query_params


def test_the_address_opens_a_rewriting():
    at = opened("methods", net="resnet-20", method="equalize")
    assert {s.key: s.value for s in at.selectbox}["bench.method.rewriting"] == "rewriting.equalize"


@pytest.mark.parametrize("method", ["nothing", "gptq-bits-9", "gptq-bits", "gptq-colour-red", "-", "magnitude-fold_norms", "off.gptq", "a" * 5000,
                                    "<script>alert(1)</script>", "../../etc/passwd", "gptq-bits-3-bits", "\x00"])
def test_a_hostile_address_is_answered_by_one_sentence(method):
    at = opened("methods", net="lenet-5", method=method, layer="fc1")
    assert len(at.warning) == 1 and "which could not be read" in at.warning[0].value and len(at.warning[0].value) < 400
    assert {m.label for m in at.metric} >= {"This layer"}, "the page shows what it opens with"


def test_two_prunings_of_one_layer_are_compared():
    net = shipped.load("lenet-5")
    at = pick(opened("methods", net="lenet-5", layer="fc1"), "pruning.wanda")
    weight = net.layer("fc1").weight
    one, two = (encode(net.layer("fc1"), (step(n),), {}, net.digest)[0].decode() != 0 for n in ("pruning.wanda", "pruning.magnitude"))
    said = next(m.value for m in at.markdown if m.value.startswith("At 50 %"))
    for share in ((one & two), (one & ~two), (~one & two), (~one & ~two)):
        assert words.share(float(share.float().mean())) in said
    d = trial.opposed(net, "fc1", step("pruning.wanda"), "pruning.magnitude")
    assert sum(s.sum() for s in d.sizes) == weight.numel() and [int(s.sum()) for s in d.sizes] == list(d.counts)


@pytest.mark.parametrize("name", [n for n in methods() if methods()[n].fails][::6])  # all are measured by tests/test_failures.py
def test_a_failure_is_set_by_its_button_and_so_is_what_does_better(name):
    told = method(name).fails
    at = pick(opened("methods", net="lenet-300-100"), name)
    press(at, "See it fail")
    assert at.session_state["net"] == told.network
    settings = {**{k.name: k.default for k in method(name).knobs}, **dict(told.knobs)}
    for knob in method(name).knobs:
        if len(knob.ladder) > 1:
            assert at.session_state[f"bench.{name}.{knob.name}"] == settings[knob.name], knob.name
    net, before = shipped.load(told.network), tuple(step(n, **dict(knobs)) for n, knobs in told.after)
    form, refused = encode(net.layer(told.layer), (*before, step(name, **dict(told.knobs))), {}, net.digest)
    assert not refused and {m.label: m.value for m in at.metric}["This layer"] == words.size(form.nbytes)
    table = at.dataframe[-1].value
    assert list(table["method"]) == [method(name).title, method(told.instead[0]).title]
    if not method(name).lossless:
        assert float(table["distance"][0]) > 1.4 * float(table["distance"][1])
    next(b for b in at.button if b.label.endswith("instead")).click()
    healthy(at.run())
    better = encode(net.layer(told.layer), (*before, step(told.instead[0], **dict(told.instead[1]))), {}, net.digest)[0]
    assert {m.label: m.value for m in at.metric}["This layer"] == words.size(better.nbytes)


def test_the_coverage_page_counts_and_filters():
    from app import coverage
    at = opened("coverage")
    shown = {m.label: m.value for m in at.metric}
    for badge, count in coverage.counts(coverage.rows()).items():
        assert shown[f"{coverage.GLYPHS[badge]} {badge}"] == f"{count}"

    def choose(key, value):
        next(p for p in at.button_group if p.key == key).set_value([value])
        healthy(at.run())

    choose("coverage.badges", "not here")
    assert f"{coverage.counts(coverage.rows())['not here']} of {len(coverage.rows())} rows" in f"{[m.value for m in at.markdown]}"
    choose("coverage.families", "Coding")
    assert "No row has this badge" in at.info[0].value


def test_the_failure_is_measured_as_plain_python_measures_it():
    from app import contrast
    name = "lowrank.svd"
    told = method(name).fails
    net = shipped.load(told.network)
    bad, _ = contrast.failure(net, name)
    done = compress(net, Recipe(overrides=(Override(told.layer, (step(name, **dict(told.knobs)),)),)))
    x = net.data["validation"].inputs[: contrast.examples(net)]
    with torch.inference_mode():
        new = torch.func.functional_call(net.module, done.weights(), (x,)).float().log_softmax(-1)
        old = net.module(x).float().log_softmax(-1)
    assert bad.distance == pytest.approx(float((old.exp() * (old - new)).sum(-1).mean()), rel=1e-4)
    assert bad.same == pytest.approx(float((old.argmax(-1) == new.argmax(-1)).float().mean()))


def test_the_emptiest_layer_is_found_as_counting_finds_it():
    from app import emptied
    net = shipped.load("lenet-300-100")
    found = emptied.least(net, "fc2", "pruning.gradient_weight")
    for sparsity in (0.5, 0.9):
        chain = (step("pruning.gradient_weight", sparsity=sparsity),)
        kept = {x.name: float((encode(x, chain, {}, net.digest)[0].decode() != 0).float().mean()) for x in net.layers}
        at = round(100 * sparsity)
        assert found.left[at] == pytest.approx(min(kept.values()), abs=1e-3) and found.layer[at] == min(kept, key=kept.get)
    assert emptied.least(net, "fc2", "pruning.random").left[90] == pytest.approx(0.1)


def test_a_rewriting_is_seen_to_fail_by_its_button():
    told = rewrites()["rewriting.fold_norms"].fails
    at = pick(opened("methods", net="lenet-300-100"), "rewriting.fold_norms")
    assert told.why in [m.value for m in at.markdown]
    press(at, "See it fail")
    assert at.session_state["bench.then"] == told.bits and told.network in str(at.session_state["net"])
