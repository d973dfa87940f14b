"""Cut the data that ships in assets/data out of the packages it comes from.

    apt-get install dataset-fashion-mnist r-cran-janeaustenr && pip install rdata
    python -m compression.zoo.make_data

Fashion-MNIST: all test images; from the training split 5,000 for validation and 10,000 for whatever may learn or choose,
both balanced, disjoint, and drawn with a fixed seed. Austen: Northanger Abbey to calibrate on, Persuasion held out; the
remaining four novels are only used by the training script.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from compression.zoo.data import DATA, FASHION, NOVELS

VALIDATION, TRAINING, SEED = 5_000, 10_000, 0
JANEAUSTENR = Path("/usr/lib/R/site-library/janeaustenr/data")


def idx(name: str) -> np.ndarray:
    """One of Fashion-MNIST's gzipped IDX files as an array: images (n, 28, 28) or labels (n,), uint8."""
    raw = gzip.decompress((FASHION / name).read_bytes())
    dimensions = raw[3]
    shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the validation part and of the shipped training part: balanced over classes, disjoint."""
    rng = np.random.default_rng(SEED)
    validation, training = [], []
    for c in range(10):
        places = rng.permutation(np.flatnonzero(labels == c))
        validation.append(places[: VALIDATION // 10])
        training.append(places[VALIDATION // 10 : (VALIDATION + TRAINING) // 10])
    return tuple(rng.permutation(np.concatenate(part)) for part in (validation, training))


def fashion() -> None:
    """Write the three NPZ files."""
    images, labels = idx("train-images-idx3-ubyte.gz"), idx("train-labels-idx1-ubyte.gz")
    validation, training = split(labels)
    parts = {
        "test": (idx("t10k-images-idx3-ubyte.gz"), idx("t10k-labels-idx1-ubyte.gz")),
        "validation": (images[validation], labels[validation]),
        "train": (images[training], labels[training]),
    }
    for name, (x, y) in parts.items():
        np.savez_compressed(DATA / f"fashion_mnist_{name}.npz", images=x, labels=y)


def novels() -> dict[str, str]:
    """The six novels by name, as plain text with simple quotes and dashes and one line a paragraph."""
    import rdata  # only the person who makes the assets needs it

    index = rdata.read_rds(JANEAUSTENR / "Rdata.rdx")["variables"]
    blob = (JANEAUSTENR / "Rdata.rdb").read_bytes()
    texts = {}
    for name, (start, length) in index.items():
        raw = zlib.decompress(blob[start + 4 : start + length])
        lines = rdata.conversion.convert(rdata.parser.parse_data(raw))
        texts[str(name)] = plain([str(line) for line in lines])
    return texts


def plain(lines: list[str]) -> str:
    """Paragraphs on one line each, typographic quotes and dashes made simple, everything else outside ASCII dropped."""
    paragraphs = "\n".join(lines).split("\n\n")
    text = "\n".join(" ".join(p.split()) for p in paragraphs if p.strip())
    for fancy, simple in {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\u2013": "-"}.items():
        text = text.replace(fancy, simple)
    return text.encode("ascii", "ignore").decode()


def austen() -> None:
    """Write the calibration and the held-out novel, and the alphabet of all six."""
    texts = novels()
    alphabet = "".join(sorted(set("".join(texts.values()))))
    (DATA / "alphabet.txt").write_text(alphabet, encoding="ascii")
    for role, name in NOVELS.items():
        (DATA / f"austen_{role}.txt.gz").write_bytes(gzip.compress(texts[name].encode(), 9, mtime=0))


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    fashion()
    austen()
