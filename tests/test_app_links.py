"""The address without a browser: what links bring, and what hostile ones do not."""

import re

import pytest
from screen import OPENING, agrees, cold, control, edit, figures, healthy, nobody_left, opened, put, recipe_of  # noqa: F401 (two of them are fixtures)

from compression.link import from_link
from compression.recipe import Recipe, step


def test_a_width_only_another_method_has_is_pinned_with_that_method():
    at = put(opened(), "method.bits", "sharing.kmeans")
    edit(at, {2: {"bits": "16"}})
    assert healthy(at)
    assert recipe_of(at).overrides[0].steps == (step("quantization.uniform", bits=16),)


def test_a_link_brings_the_same_recipe():
    at = opened(net="lenet-300-100")
    for key, value in (("dial.sparsity", 0.85), ("method.bits", "sharing.kmeans"), ("dial.bits", 5), ("dial.rank", 0.4), ("huffman", True),
                       ("method.sparsity", "pruning.random"), ("judge", "test")):
        put(at, key, value)
    edit(at, {0: {"sparsity": 40, "bits": "3"}, 2: {"locked": True}})
    put(at, "layer", control(at, "layer").options[1])
    link = dict(at.query_params)
    assert len("&".join(f"{k}={v}" for k, v in link.items())) < 2_000
    again = opened(**link)
    assert recipe_of(again) == recipe_of(at)
    assert not again.warning
    assert figures(again) == figures(at)
    assert {k: control(again, k).value for k in ("pick", "judge", "layer", "dial.bits", "huffman")} == {
        k: control(at, k).value for k in ("pick", "judge", "layer", "dial.bits", "huffman")}
    assert dict(again.query_params) == link
    assert from_link(link)[1] == []


def test_a_link_with_every_dial_off_stays_off():
    at = put(opened(), "dial.sparsity", 0.0)
    again = opened(**at.query_params)
    assert control(again, "dial.sparsity").value == 0.0
    assert figures(again) == figures(at)


HOSTILE = {
    "no such network": dict(net="gpt-5"),
    "somebody's own network": dict(net="own-0123abcd"),
    "a path for a network": dict(net="../../etc/passwd"),
    "HTML for a network": dict(net="<script>alert(1)</script>"),
    "a picture for a network": dict(net="![x](http://example.org/x.png)"),
    "an endless network": dict(net="x" * 50_000),
    "another alphabet": dict(net="网络🧠", do="剪枝-稀疏-0.5"),
    "a right-to-left mark": dict(net="\u202elenet"),
    "a zero byte": dict(net="lenet\x00-5"),
    "no such method": dict(do="melting-heat-9"),
    "only dashes": dict(do="-----"),
    "a rung off the ladder": dict(do="magnitude-sparsity-0.555"),
    "a share of nan": dict(do="magnitude-sparsity-nan"),
    "an endless number": dict(do="magnitude-sparsity-" + "9" * 400),
    "a negative width": dict(do="uniform-bits--4"),
    "a knob without a value": dict(do="magnitude-sparsity"),
    "no such knob": dict(do="magnitude-colour-red"),
    "an overlong recipe": dict(do="magnitude-sparsity-0.5~" * 500),
    "HTML for a recipe": dict(do="<img src=x onerror=alert(1)>"),
    "a link for a recipe": dict(do="[free](http://example.org)-sparsity-1"),
    "code for a recipe": dict(do="__import__('os').system('id')"),
    "JSON for a recipe": dict(do='{"default": []}'),
    "a pin without a step": dict(pin="fc1"),
    "a pin that says nothing": dict(pin="fc1-magnitude-sparsity-2"),
    "a pin on no layer": dict(pin="fc9-magnitude-sparsity-0.9"),
    "a lock on no layer": dict(lock="conv77"),
    "a whole chain that is none": dict(only="fc1-what"),
    "a whole chain on no layer": dict(only="nowhere-magnitude-sparsity-0.9"),
    "a wrong layer": dict(layer="fc77"),
    "HTML for a layer": dict(layer="<b>fc1</b>"),
    "a wrong split": dict(on="holdout"),
    "an old split": dict(on="train "),
    "data that may not judge": dict(on="train"),
    "an endless word": dict(do="magnitude-" + "k" * 1_900 + "-1"),
    "nine hundred strange words": dict(do="~".join(["x"] * 900)),
    "stars for a layer": dict(pin="*" * 60 + "q-magnitude-sparsity-0.9"),
    "a seed in words": dict(seed="seven"),
    "an endless seed": dict(seed="9" * 5_000),
    "solo on no layer": dict(solo="fc77"),
    "HTML for solo": dict(solo="<img src=x onerror=alert(1)>"),
    "hiding what cannot be hidden": dict(hide="everything~<b>"),
    "hiding without end": dict(hide="~".join(["x"] * 900)),
    "a cut link": dict(cut="1", do="magnitude-sparsity-0.5"),
    "a switched-off step that is none": dict(do="off.melting-heat-9"),
    "switched off twice": dict(do="off.off.magnitude-sparsity-0.5"),
    "two layers of which one is none": dict(pin="conv1..fc99-magnitude-sparsity-0.9"),
    "a layer without a name": dict(pin="fc1..-magnitude-sparsity-0.9"),
    "dots for layers": dict(only="......-magnitude-sparsity-0.9"),
    "a rewriting among the dials": dict(do="fold_norms"),
    "a dial among the rewritings": dict(first="magnitude-sparsity-0.5"),
    "no such repair": dict(repair="magic"),
    "another version": dict(v="99", do="magnitude-sparsity-0.5"),
    "everything at once": dict(net="?", do="~~~--~~", pin="----~~--", only="~-~", lock="%00", seed="-1", layer="", on="\n"),
}


def test_a_note_stays_until_a_person_does_something():
    at = opened(net="nothing")
    told = [w.value for w in at.warning]
    at.session_state["unasked"] = True  # as state.again leaves it, for example when a preparation ended
    assert told and [w.value for w in at.run().warning] == told
    assert not put(at, "dial.sparsity", 0.9).warning


@pytest.mark.parametrize("link", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_link_gets_a_sentence_and_a_working_page(link):
    at = healthy(opened(**link))
    assert 1 <= len(at.warning) <= 6, "one sentence for each thing that was left out, and no flood"
    for warning in at.warning:
        assert warning.value.endswith(".")
        assert len(warning.value) < 500, warning.value
        assert not re.search(r"(?<!\\)(!?\[|<|\*|`|\$)", warning.value), f"unescaped markdown in {warning.value}"
    assert control(at, "pick").value == "lenet-5"
    put(at, "dial.sparsity", 0.9)
    assert not at.warning, "it is told once"
    expected = recipe_of(at)
    agrees(at, "lenet-5", expected)
    assert {"net": "lenet-5", "v": "1"}.items() <= dict(at.query_params).items()


@pytest.mark.parametrize("link", [dict(unknown="x"), dict(net="lenet-5"), dict(utm_source="mail")])
def test_parameters_that_are_not_ours_do_no_harm(link):
    agrees(opened(**link), "lenet-5", Recipe(OPENING))
