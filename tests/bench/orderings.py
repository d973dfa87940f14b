"""Which pruning criterion does better on our networks, over several draws, beside what the literature says.

    OMP_NUM_THREADS=1 python tests/bench/orderings.py [--draws 3] [--examples 1000] [--networks vit …] [--record]

A draw is another choice of the training examples that teach, and another lot where weights go by lot. All networks are compared
on the same validation examples (text: one window of 128 characters for every ten images). Nothing is trained or repaired.
An ordering holds where the mean accuracy over the draws is at least a point higher and no draw says otherwise; "as good" is
everything between that and the reverse, where ours differs. --record keeps each network's answers in assets/orderings.json as
soon as they are there. The last line is one line of JSON.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import record
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from compression.apply import encode
from compression.context import Context
from compression.evaluate import ask, order, skeleton
from compression.pruning import filters, obs
from compression.recipe import step
from compression.registry import method
from compression.zoo import shipped

NETWORKS = ("lenet-5", "resnet-20", "vit", "char-lstm")
RECTIFIED = ("lenet-300-100", "vgg-small", "resnet-20")  # with several layers that a rectifier follows directly
POINT = 1.0  # of accuracy, in per cent

LAYERWISE = {  # the same share of every layer
    "random": ("pruning.random", {}), "magnitude": ("pruning.magnitude", {}), "SNIP": ("pruning.gradient_weight", {"scope": "layer"}),
    "Fisher": ("pruning.fisher", {"scope": "layer"}), "OBD": ("pruning.obd", {"scope": "layer"}), "Wanda": ("pruning.wanda", {}),
    "SparseGPT": ("pruning.sparse_gpt", {}), "OBS": ("pruning.obs", {}),
}
WEIGHTS_AT = (0.5, 0.7, 0.8, 0.9)
GLOBAL = {  # one threshold for the network
    "random": ("pruning.random", {}), "magnitude by layer": ("pruning.magnitude", {}),
    "global magnitude": ("pruning.global_magnitude", {"score": "magnitude"}), "LAMP": ("pruning.global_magnitude", {"score": "lamp"}),
    "SNIP": ("pruning.gradient_weight", {"scope": "network"}), "Fisher": ("pruning.fisher", {"scope": "network"}),
    "OBD": ("pruning.obd", {"scope": "network"}), "SynFlow": ("pruning.synflow", {}),
}
OUTPUTS = {  # whole outputs, the same share of every layer but the last
    "random": None, "l1": ("pruning.filters", {"norm": "l1"}), "l2": ("pruning.filters", {"norm": "l2"}),
    "skeletonization": ("pruning.unit_gates", {"score": "skeletonization"}), "Taylor": ("pruning.unit_gates", {"score": "taylor"}),
    "Fisher gates": ("pruning.unit_gates", {"score": "fisher"}), "NISP": ("pruning.nisp", {}), "APoZ": ("pruning.apoz", {}),
    "batch-norm scale": ("pruning.bn_gamma", {}),
}
OUTPUTS_AT = (0.1, 0.25, 0.5)
GROUPS = {"magnitude 2:4": ("pruning.n_of_m", {"m": 4}), "SparseGPT 2:4": ("pruning.sparse_gpt_groups", {"m": 4})}

SAID = {  # by table: (better, worse, who says so)
    "layerwise": [(name, "random", "Blalock et al. 2020") for name in LAYERWISE if name != "random"]
    + [("Fisher", "magnitude", "Theis et al. 2018"), ("OBD", "magnitude", "LeCun et al. 1990"), ("Wanda", "magnitude", "Sun et al. 2023"),
       ("SparseGPT", "magnitude", "Frantar and Alistarh 2023"), ("SparseGPT", "Wanda", "Sun et al. 2023, at high sparsity"),
       ("OBS", "OBD", "Hassibi and Stork 1993"), ("OBS", "SparseGPT", "Frantar and Alistarh 2023: the exact one is nearer")],
    "global": [(name, "random", "Blalock et al. 2020") for name in GLOBAL if name != "random"]
    + [("global magnitude", "magnitude by layer", "Blalock et al. 2020"), ("LAMP", "global magnitude", "Lee et al. 2021"),
       ("Fisher", "global magnitude", "Theis et al. 2018"), ("OBD", "global magnitude", "LeCun et al. 1990")],
    "outputs": [(name, "random", "Blalock et al. 2020") for name in OUTPUTS if name != "random"]
    + [("Taylor", "l2", "Molchanov et al. 2017"), ("Taylor", "APoZ", "Molchanov et al. 2017"), ("NISP", "l1", "Yu et al. 2018"),
       ("Fisher gates", "Taylor", "Theis et al. 2018")],
    "rectified": [(name, "random", "Blalock et al. 2020") for name in OUTPUTS if name != "random"]
    + [("Taylor", "APoZ", "Molchanov et al. 2017"), ("batch-norm scale", "l1", "Liu et al. 2017")],
    "groups": [("SparseGPT 2:4", "magnitude 2:4", "Frantar and Alistarh 2023")],
}


def drawn(network, seed):
    """The layers of a network, taught by the draw of that seed."""
    about = Context(network.module, network.layers, network.data, network.example, seed)
    about.layers = tuple(replace(layer, context=about) for layer in network.layers)
    return about.layers


def rows_of(data, examples):
    return order(data)[: examples if data.kind != "text" else max(1, examples // 10)]


def accuracy(network, weights, examples, split="validation"):
    """Per cent right with some weights replaced, by parameter name."""
    data = network.data[split]
    module = skeleton(network.module)
    hits = [(ask(module, weights, data, part).top == data.labels[part]).double().flatten() for part in rows_of(data, examples).split(250)]
    return 100 * float(torch.cat(hits).mean())


def decoded(layers, chosen, memo):
    """Weights by parameter name after one step on these layers."""
    return {name: w for layer in layers for w in [encode(layer, (chosen,), memo, str(layer.context.seed))[0].decode()] for name in layer.names}


def spread(values):
    return f"{statistics.mean(values):5.1f}" + (f" ±{(max(values) - min(values)) / 2:3.1f}" if len(set(values)) > 1 else "     ")


def verdict(better, worse):
    """Whether the first list of accuracies is higher, draw by draw: "holds", "differs", or "as good"."""
    gaps = [a - b for a, b in zip(better, worse)]
    mean = statistics.mean(gaps)
    return "holds" if mean >= POINT and min(gaps) >= 0 else "differs" if mean <= -POINT and max(gaps) <= 0 else "as good"


def print_table(title, table, columns, dense):
    """table: {name: {column: [accuracy of each draw]}}."""
    print(f"\n{title}; untouched {dense:.1f} %")
    print(f"  {'':20s}" + "".join(f"{c:>12.0%}" for c in columns))
    for name, row in table.items():
        print(f"  {name:20s}" + "".join(f"{spread(row[c]):>12s}" for c in columns), flush=True)


SCOPE = {"layerwise": "of every layer", "global": "of the network", "outputs": "of the outputs", "rectified": "of rectified outputs",
         "groups": "as 2:4"}


def compared(said, kind, network, table, chance):
    """A row for each ordering and share where one of the two is well above chance. table: {criterion: {share: [accuracies]}}."""
    return [{"kind": kind, "network": network, "better": better, "worse": worse, "who": who, "setting": f"{100 * share:.0f} % {SCOPE[kind]}",
             "numbers": [round(statistics.mean(v), 2) for v in (values, table[worse][share])], "verdict": verdict(values, table[worse][share])}
            for better, worse, who in said if better in table and worse in table
            for share, values in table[better].items() if max(*values, *table[worse][share]) > chance + 5]


def print_verdicts(said, rows):
    """How often each ordering holds, how often one is as good as the other, and where ours differs."""
    for better, worse, who in said:
        found = {v: [r for r in rows if (r["better"], r["worse"], r["verdict"]) == (better, worse, v)] for v in ("holds", "as good", "differs")}
        total, ours = sum(map(len, found.values())), [f"{r['network']} {r['setting']}" for r in found["differs"]]
        print(f"  {better} over {worse} ({who}): " + ", ".join(f"{v} {len(each)}/{total}" for v, each in found.items())
              + (f"; OURS DIFFERS: {', '.join(ours)}" if ours else ""))


def layers_for(network, criteria):
    """The layers that every one of the criteria applies to."""
    return [layer.name for layer in network.layers if all(method(name).why_not(layer.weight, layer) is None for name, _ in criteria.values())]


def weights_table(network, criteria, columns, draws, examples, names):
    """{criterion: {sparsity: [accuracies]}} where the named layers are pruned; where a criterion looks at no examples, one draw."""
    table = {name: {c: [] for c in columns} for name in criteria}
    for seed in range(draws):
        layers = [layer for layer in drawn(network, seed) if layer.name in names]
        for name, (which, knobs) in criteria.items():
            drawing = {"inputs", "gradients"} & set(method(which).needs) or name == "random"
            memo = {}
            for c in columns:
                again = seed and not drawing
                table[name][c].append(table[name][c][0] if again else
                                      accuracy(network, decoded(layers, step(which, sparsity=c, **knobs), memo), examples))
    return table


def outputs_table(network, columns, draws, examples, names=None):
    """The same for whole outputs; a criterion that refuses some of the layers is left out."""
    names = [layer.name for layer in network.layers[:-1] if layer.kind != "embedding"] if names is None else names
    table = {}
    for name, known in OUTPUTS.items():
        if known is None:
            table[name] = {c: [accuracy(network, by_lot(network, names, c, seed), examples) for seed in range(draws)] for c in columns}
        elif all(method(known[0]).why_not(layer.weight, layer) is None for layer in network.layers if layer.name in names):
            table |= weights_table(network, {name: known}, columns, draws, examples, names)
    return table


def by_lot(network, names, sparsity, seed):
    generator, found = torch.Generator().manual_seed(seed), {}
    for layer in (layer for layer in network.layers if layer.name in names):
        lots = torch.randperm(len(layer.weight), generator=generator)
        found |= dict.fromkeys(layer.names, filters.without(layer.weight, lots[: round(sparsity * len(lots))]).decode())
    return found


def collapse(network):
    """For each criterion with one threshold the first sparsity at which a layer has no weight left, or None."""
    found = {}
    for name, (which, knobs) in GLOBAL.items():
        layer = network.layers[0]
        if which in ("pruning.random", "pruning.magnitude") or method(which).why_not(layer.weight, layer):
            continue
        ready = method(which).prepare(layer.weight, layer)
        table = ready.lamp_densities if knobs.get("score") == "lamp" else ready.densities
        empty = (table.amin(0) <= 0).nonzero().flatten()
        found[name] = int(empty[0]) / 100 if len(empty) else None
    return found


def on_network(name, draws, examples):
    """The tables of one network, printed as they come: {kind of table: {criterion: {share: [accuracies]}}}; and what chance gets right."""
    network, tables = shipped.load(name), {}
    data = network.data["validation"]
    labels = data.labels[rows_of(data, examples)]
    chance = 100 * float(labels.flatten().bincount().max() / labels.numel())
    dense = accuracy(network, None, examples)
    every = [layer.name for layer in network.layers]
    tables["layerwise"] = weights_table(network, LAYERWISE, WEIGHTS_AT, draws, examples, layers_for(network, LAYERWISE))
    print_table(f"{network.title}: the same share of every layer", tables["layerwise"], WEIGHTS_AT, dense)
    fits = {k: v for k, v in GLOBAL.items() if method(v[0]).why_not(network.layers[0].weight, network.layers[0]) is None}
    tables["global"] = weights_table(network, fits, WEIGHTS_AT, draws, examples, every)
    print_table(f"{network.title}: one threshold for all layers", tables["global"], WEIGHTS_AT, dense)
    tables["groups"] = weights_table(network, GROUPS, (0.5,), draws, examples, layers_for(network, GROUPS))
    print_table(f"{network.title}: two of every four inputs", tables["groups"], (0.5,), dense)
    tables["outputs"] = outputs_table(network, OUTPUTS_AT, draws, examples)
    print_table(f"{network.title}: whole outputs, the same share of every layer but the last", tables["outputs"], OUTPUTS_AT, dense)
    found = collapse(network)
    print("  a layer is empty from: " + ", ".join(f"{k} {'never' if v is None else f'{v:.0%}'}" for k, v in found.items()), flush=True)
    if name in RECTIFIED:
        names = layers_for(network, {"APoZ": OUTPUTS["APoZ"]})
        tables["rectified"] = outputs_table(network, OUTPUTS_AT, draws, examples, names)
        print_table(f"{network.title}: whole outputs of the {len(names)} layers that a rectifier follows", tables["rectified"], OUTPUTS_AT, dense)
    return tables, chance, dense


def main():
    known = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known.add_argument("--draws", type=int, default=3)
    known.add_argument("--examples", type=int, default=1000, help="of the validation split")
    known.add_argument("--networks", nargs="+", default=NETWORKS)
    known.add_argument("--record", action="store_true", help="keep what is found in assets/orderings.json")
    asked = known.parse_args()
    torch.set_num_threads(1)
    obs.AT_MOST = 1e12  # the app refuses what takes half a minute a layer; here it may
    start, result, rows = time.process_time(), {"draws": asked.draws, "examples": asked.examples, "tables": {}, "dense": {}}, []
    for name in asked.networks:
        tables, chance, dense = on_network(name, asked.draws, asked.examples)
        found = [row for kind, said in SAID.items() if kind in tables for row in compared(said, kind, name, tables[kind], chance)]
        if asked.record:
            about = {"draws": asked.draws, "examples": asked.examples, "untouched": round(dense, 2), "numbers": "accuracy (%)"}
            record.keep("pruning", name, about, found)
        result["tables"][name], result["dense"][name], rows = tables, dense, rows + found
    for kind, said in SAID.items():
        print(f"\nOrderings, {kind}")
        print_verdicts(said, [row for row in rows if row["kind"] == kind])
    print(f"\n{round(time.process_time() - start)} s of CPU")
    print(json.dumps(result | {"orderings": rows, "cpu_s": round(time.process_time() - start)}))


if __name__ == "__main__":
    main()
