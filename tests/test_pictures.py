"""A layer's picture counts every weight once: in a bin, or as a zero, which is a number and never a bar."""

import numpy as np
import plotly.graph_objects as go
import pytest

from app import plots
from app.pictures import outline, picture
from compression.apply import compress
from compression.recipe import Recipe, step
from compression.zoo import shipped

HALF = Recipe((step("pruning.magnitude", sparsity=0.5),))


@pytest.mark.parametrize("network", ["digits-mlp", "vit"])
def test_bins_and_zeros_add_up_to_all_weights(network):
    net = shipped.load(network)
    done = compress(net, HALF)
    for layer in net.layers:
        p = picture(layer, HALF.chain(layer.name), done.encoded[layer.name], (), outline(layer))
        assert p.before.sum() == p.count
        assert p.after.min() >= 0 and p.after.sum() + round(p.zeros * p.count) == p.count, layer.name
        assert (p.after <= p.before).all(), f"{layer.name}: pruning adds to no bin"


def test_small_charts_have_a_place_for_each_also_where_it_is_narrow():
    rows = [{"name": f"blocks.{i}.attention.in_proj_weight", "said": "", "edges": [-1, 0, 1], "before": [1, 1], "after": [1, 0]} for i in range(12)]
    figure = go.Figure(plots.all_layers(rows))
    narrow = figure.layout.meta["narrow"]
    boxes = {(*narrow[f"xaxis{i}" if i > 1 else "xaxis"]["domain"], *narrow[f"yaxis{i}" if i > 1 else "yaxis"]["domain"]) for i in range(1, 13)}
    assert len(boxes) == 12 and len({left for left, *_ in boxes}) == plots.NARROW
    titles = [note["text"] for note in narrow["annotations"]]
    assert len(set(titles)) == 12 and all(len(title) < 40 for title in titles)
    assert all("in_proj_weight" in note.text for note in figure.layout.annotations)


def test_layers_that_are_called_by_numbers_have_their_bars_side_by_side():
    figure = go.Figure(plots.size_bars(["1", "3", "23"], [300.0, 200.0, 100.0], [150.0, 100.0, 50.0]))
    assert [note.y for note in figure.layout.annotations] == list(figure.data[0].y) == list(figure.layout.yaxis.tickvals) == [0, 1, 2]
    assert list(figure.data[1].customdata) == [text.strip() for text in figure.layout.yaxis.ticktext] == ["1", "3", "23"]


def test_no_dial_moves_the_range_of_a_histogram_and_what_is_cut_off_is_marked():
    edges, before = np.linspace(-1, 1, 5), np.array([1, 10, 10, 1])
    ranges, marks = set(), []
    for after in (before, np.array([0, 40, 5, 0]), np.array([0, 16, 5, 0])):
        one = go.Figure(plots.histogram(edges, before, after, 0.0, 22, None))
        every = go.Figure(plots.all_layers([{"name": "a", "said": "", "edges": edges, "before": before, "after": after}]))
        ranges |= {tuple(one.layout.yaxis.range), tuple(every.layout.yaxis.range)}
        marks.append([[t.text for t in figure.data if t.type == "scatter" and t.mode == "markers"] for figure in (one, every)])
    assert ranges == {(0, 16.0)} and marks == [[[()], []], [[("40",)], [("40",)]], [[()], []]]
