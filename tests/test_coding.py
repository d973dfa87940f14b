"""Coders against entropy, by hand, and bit by bit; and the ways to store places, by name."""

import json
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compression import measure
from compression.coding import huffman, rans, run_length
from compression.encoded import Codes, from_bytes, replace_leaves
from compression.method import Layer
from compression.places import place_sizes
from compression.pruning import block_sparse, magnitude, n_of_m, relative_index
from compression.quantization import ternary, uniform

WEIGHTS = Path(__file__).parents[1] / "assets" / "weights"


def real(name, layer):
    return load_file(WEIGHTS / f"{name}.safetensors")[f"{layer}.weight"]


def coded(module, codes):
    return module.answer(module.prepare(codes, Layer("w", codes)))


def reread(form):
    return from_bytes(json.loads(json.dumps(form.layout())), form.to_bytes())


def drawn(count, ratio, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).geometric(ratio, count).clip(1, 200) - 1).to(torch.uint8)


@pytest.mark.parametrize("ratio", [0.02, 0.3, 0.9, 0.999])
def test_ans_is_within_a_thousandth_of_entropy_and_a_table(ratio):
    codes = drawn(400_000, ratio)
    form = coded(rans, codes)
    entropy = huffman.entropy(torch.bincount(codes)) * len(codes) / 8
    assert entropy <= len(form.stream) + 1e-9 and form.nbytes <= 1.001 * entropy + form.table.nbytes + 8
    assert torch.equal(reread(form).decode(), codes) and form.nbytes < coded(huffman, codes).nbytes * 1.001


def test_ans_spends_less_than_a_bit_where_huffman_cannot():
    codes = (torch.arange(100_000) % 50 == 0).to(torch.uint8)
    few, whole = coded(rans, codes), coded(huffman, codes)
    assert isinstance(whole, Codes) and whole.nbytes == 12_500  # a bit each, which is what they took before
    assert few.nbytes < 0.15 * whole.nbytes and torch.equal(reread(few).decode(), codes)


@pytest.mark.parametrize("net, layer", [("lenet-300-100", "fc1"), ("lenet-5", "conv2"), ("resnet-20", "stage3.1.conv2")])
def test_ans_on_real_codes_beats_huffman_and_loses_nothing(net, layer):
    weight = real(net, layer)
    about = Layer("w", weight)
    for form in (uniform.answer(uniform.prepare(weight, about), 4, True, "channel"),
                 ternary.answer(ternary.prepare(weight, about), 2, 0.7, "tensor")):
        with_ans, with_words = (replace_leaves(form, "codes", lambda c, m=m: coded(m, c)) for m in (rans, huffman))
        assert with_ans.nbytes < 1.001 * with_words.nbytes < form.nbytes
        assert torch.equal(with_ans.decode(), form.decode()) and torch.equal(reread(with_ans).decode(), form.decode())


@pytest.mark.parametrize("codes", [[5] * 1000, [0] * 1000, [300] * 500 + [0] * 500, [65535, 0] * 600, list(range(8)) * 100])
def test_ans_on_extreme_codes(codes):
    codes = torch.tensor(codes, dtype=torch.int32)
    form = coded(rans, codes)
    assert torch.equal(form.decode().int(), codes) and torch.equal(reread(form).decode().int(), codes)
    if len(codes.unique()) == 1:
        assert len(form.stream) == 0, "nothing is left to say"


def test_frequencies_keep_what_is_rare():
    counts = torch.tensor([1_000_000, 0, 1, 500_000])
    assert rans.frequencies(counts, 8).tolist() == [255, 0, 1, 128]


def test_a_spoilt_ans_stream_is_refused():
    form = coded(rans, drawn(1000, 0.3))
    table = form.table.decode().numpy()
    with pytest.raises(ValueError, match="damaged"):
        rans.read(form.stream[:-1], table, 1000)
    with pytest.raises(ValueError, match="damaged"):
        rans.read(form.stream, np.zeros_like(table), 1000)
    with pytest.raises(ValueError, match="holds more"):
        rans.read(form.stream, table, 500)


def test_runs_by_hand():
    """Four runs of two-bit codes: with 7 bits a length they take 36 bits, with 6 the longest is two and all take 40."""
    codes = torch.tensor([3] * 4 + [0] * 90 + [1] + [2] * 2, dtype=torch.uint8)
    form = coded(run_length, codes)
    assert form.codes.values.tolist() == [3, 0, 1, 2] and form.lengths.values.tolist() == [3, 89, 0, 1]
    assert form.lengths.width == 7 and form.nbytes == 1 + 4


@pytest.mark.parametrize("longest", [1, 5, 40, 100_000])
def test_runs_lose_nothing_and_are_split_where_they_must(longest):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, longest + 1, 300)
    codes = torch.from_numpy(np.repeat(rng.integers(0, 7, 300), lengths)[:2_000_000].astype(np.uint8))
    form = coded(run_length, codes)
    assert torch.equal(form.decode(), codes) and torch.equal(reread(form).decode(), codes)
    if longest >= 40:
        assert isinstance(form, run_length.Runs) and form.nbytes < Codes(codes, 3).nbytes
        true = [len(list(g)) for _, g in groupby(codes.tolist())]
        width = form.lengths.width
        assert len(form.lengths.values) == sum(-(-n // 2**width) for n in true)


def test_runs_of_nothing_special_stay_as_they_are():
    assert isinstance(coded(run_length, drawn(5000, 0.1)), Codes)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("net, layer", [("lenet-300-100", "fc1"), ("lenet-5", "fc1"), ("resnet-20", "stage3.1.conv2"), ("char-gpt", "embed")])
def test_the_shortest_way_to_store_places_is_chosen(net, layer, sparsity):
    """Of four. Compressed sparse rows and coordinates are never it, on trained layers, and so are no forms of ours."""
    weight = real(net, layer)
    form = magnitude.answer(magnitude.prepare(weight, Layer("w", weight)), sparsity)
    kept = torch.zeros(weight.numel(), dtype=torch.bool)
    kept[form.places.decode()] = True
    sizes = place_sizes(kept, weight[0].numel())
    assert form.places.nbytes == min(sizes.values())
    assert sizes[measure.place_format(form)] == form.places.nbytes


def test_places_in_four_ways_by_hand():
    kept = torch.zeros(40, dtype=torch.bool)
    kept[[0, 5, 39]] = True  # 0, 4 and 33 places in between
    assert place_sizes(kept, 10) == {
        "bitmap": 5,
        "relative index, 6 bits": 3,  # 3 codes of 6 bits; with 5, where 31 means go on, 0, 4, 31 and 2 take 20 bits
        "compressed sparse rows (CSR)": 2 + 2,  # 3 columns of 4 bits; 5 row starts of 2 bits
        "coordinates (COO)": 3,  # 3 of 6 bits
    }
    with pytest.raises(ValueError, match="rows of 7"):
        place_sizes(kept, 7)


def test_the_way_places_are_stored_has_a_name():
    weight = real("lenet-5", "fc1")
    about = Layer("w", weight)
    names = [measure.place_format(magnitude.answer(magnitude.prepare(weight, about), s)) for s in (0.0, 0.5, 0.95)]
    assert names[:2] == [None, "bitmap"] and names[2].startswith("relative index, ")
    filler = relative_index.answer(magnitude.prepare(weight, about), 0.9, 5)
    assert measure.place_format(filler) == "relative index with fillers, 5 bits"
    assert measure.place_format(block_sparse.answer(block_sparse.prepare(weight, about), 0.5, "4x4")) == "blocks, bitmap"
    assert measure.place_format(n_of_m.answer(n_of_m.prepare(weight, about), 0.5, 4, "choices")) == "2 of 4, 3 bits a choice"
