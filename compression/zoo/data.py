"""The data that ships: images as NPZ without pickle, novels as gzipped text, scikit-learn's digits."""

import gzip
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from compression.data import Data, Split

ASSETS = Path(__file__).parents[2] / "assets"
DATA = ASSETS / "data"
FASHION = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts all 70,000 images
NOVELS = {"calibration": "northangerabbey", "heldout": "persuasion"}
CONTEXT = 128  # characters in one window of text

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@cache
def fashion(split: Split) -> Data:
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 10,000 test, 5,000 validation, 10,000 training images."""
    with np.load(DATA / f"fashion_mnist_{split}.npz", allow_pickle=False) as npz:
        images, labels = npz["images"], npz["labels"]
    return fashion_from(images, labels, split)


def fashion_from(images: np.ndarray, labels: np.ndarray, split: str) -> Data:
    """Images (n, 28, 28) uint8 -> the network's input: float32, zero mean and unit deviation over the training split."""
    mean, std = 0.2860, 0.3530
    inputs = ((torch.from_numpy(images).float() / 255 - mean) / std)[:, None]
    return Data("Fashion-MNIST", split, inputs, torch.from_numpy(labels.astype(np.int64)), CLASSES, "images", mean, std)


@cache
def digits(split: Split) -> Data:
    """scikit-learn's 1,797 digits of 8 x 8 pixels (UCI): 1,077 train, 360 validation, 360 test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    part = {"train": order[:1077], "validation": order[1077:1437], "test": order[1437:]}[split]
    mean, std = 0.305, 0.376  # of the training part, pixels scaled to 0..1
    inputs = ((torch.from_numpy(images[part]).float() / 16 - mean) / std).reshape(-1, 1, 8, 8)
    return Data("Digits", split, inputs, torch.from_numpy(labels[part]).long(), tuple("0123456789"), "images", mean, std)


@cache
def alphabet() -> str:
    """The characters the text models know, in code order."""
    return (DATA / "alphabet.txt").read_text(encoding="ascii")


@cache
def encoded(novel: str) -> Tensor:
    """A shipped novel, "calibration" or "heldout", as character numbers (length,) int64."""
    return encode(gzip.decompress((DATA / f"austen_{novel}.txt.gz").read_bytes()).decode())


def encode(text: str) -> Tensor:
    """Characters -> their places in the alphabet, (length,) int64. Raises ValueError naming the first unknown one."""
    place = {c: i for i, c in enumerate(alphabet())}
    unknown = next((c for c in text if c not in place), None)
    if unknown is not None:
        raise ValueError(f"the text has {unknown!r}, which is not among the {len(place)} characters this network knows")
    return torch.tensor([place[c] for c in text])


@cache
def austen(split: Split) -> Data:
    """Windows of 128 characters that do not overlap. Train: Northanger Abbey; validation and test: the two halves of Persuasion."""
    text = encoded("calibration" if split == "train" else "heldout")
    half = len(text) // 2
    part = {"train": text, "validation": text[:half], "test": text[half:]}[split]
    count = (len(part) - 1) // CONTEXT
    inputs = part[: count * CONTEXT].reshape(count, CONTEXT)
    labels = part[1 : count * CONTEXT + 1].reshape(count, CONTEXT)
    return Data("Austen", split, inputs, labels, tuple(alphabet()), "text")
