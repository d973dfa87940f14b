"""Write the cards in assets/cards: what ships, where it comes from, its hash, and how well it does.

    python -m compression.zoo.make_cards             (all)  or with names

Accuracy is measured here, on all test and all validation examples; a test computes it again.
"""

import argparse
import hashlib
import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors import safe_open

from compression.data import Split
from compression.evaluate import Quality, evaluate
from compression.network import Network
from compression.zoo import data, shipped
from compression.zoo.catalogue import ZOO

FASHION = {"origin": "Fashion-MNIST, https://github.com/zalandoresearch/fashion-mnist (Xiao et al. 2017, arXiv:1708.07747), "
                     "by way of Debian's dataset-fashion-mnist", "licence": "MIT, LICENSE-fashion-mnist.txt"}
AUSTEN = {"origin": "Jane Austen's novels from Project Gutenberg, by way of Debian's r-cran-janeaustenr", "licence": "public domain"}
FILES = {
    "fashion_mnist_test.npz": FASHION | {"holds": "all 10,000 test images"},
    "fashion_mnist_validation.npz": FASHION | {"holds": "5,000 images of the training split, balanced, learnt by no network"},
    "fashion_mnist_train.npz": FASHION | {"holds": "10,000 other images of the training split, balanced"},
    "austen_calibration.txt.gz": AUSTEN | {"holds": "Northanger Abbey, part of the training text"},
    "austen_heldout.txt.gz": AUSTEN | {"holds": "Persuasion: the first half validates, the second tests"},
    "alphabet.txt": AUSTEN | {"holds": "the 80 characters of all six novels"},
}


def sha256(path: Any) -> str:
    """Of a file, as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def figures(q: Quality) -> dict[str, Any]:
    """An evaluation as the card tells it."""
    told = {"data": q.data, "n": q.n, "predictions": q.predictions, "accuracy": round(q.accuracy.value, 5),
            "interval": [round(q.accuracy.low, 5), round(q.accuracy.high, 5)], "loss": round(q.loss, 5)}
    return told if q.predictions == q.n else told | {"bits_per_character": round(q.bits, 4)}


def judged(net: Network, split: Split) -> dict[str, Any]:
    """All examples of a split."""
    *_, last = evaluate(net, None, net.data[split])
    return figures(last.quality)


def card(name: str) -> dict[str, Any]:
    """Everything known of one network."""
    path, net, entry = shipped.WEIGHTS / f"{name}.safetensors", shipped.load(name), ZOO[name]
    with safe_open(path, "pt") as file:
        told = file.metadata()
    how = {key: value for key, value in asdict(entry.training).items() if value}
    return {
        "name": name, "title": entry.title, "about": entry.about,
        "origin": "trained by compression/zoo/train.py of this project", "licence": "MIT",
        "sha256": sha256(path), "bytes": path.stat().st_size, "parameters": net.parameters,
        "training": how | {"seed": int(told["seed"]), "cpu_seconds": int(told["cpu_seconds"]), "torch": torch.__version__},
        "validation": judged(net, "validation"), "test": judged(net, "test"),
    }


def table() -> str:
    """The cards of all networks as the README shows them."""
    lines = ["| network | parameters | file | accuracy | on |", "| --- | ---: | ---: | --- | --- |"]
    for name in ZOO:
        told = shipped.card(name)
        test, (low, high) = told["test"], told["test"]["interval"]
        text = f", {test['bits_per_character']:.2f} bits per character" if "bits_per_character" in test else ""
        unit = "windows of 128 characters" if text else "images"
        lines.append(f"| {told['title']} | {told['parameters']:,} | {told['bytes'] / 1e6:.2f} MB | {100 * test['accuracy']:.1f} % ± "
                     f"{50 * (high - low):.1f}{text} | {test['data']}, {test['n']:,} {unit} |")
    return "\n".join(lines)


def main() -> None:
    """Write the data's card and the networks'."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("names", nargs="*", default=shipped.available())
    torch.set_num_threads(1)
    shipped.CARDS.mkdir(parents=True, exist_ok=True)
    files = {name: told | {"sha256": sha256(data.DATA / name)} for name, told in FILES.items()}
    (shipped.CARDS / "data.json").write_text(json.dumps({"files": files}, indent=1) + "\n")
    for name in ask.parse_args().names:
        (shipped.CARDS / f"{name}.json").write_text(json.dumps(card(name), indent=1) + "\n")


if __name__ == "__main__":
    main()
