"""Make Data of a person's own examples: an NPZ file or arrays, checked against the network that will answer them.

The rules for inputs. uint8 is pixels: divided by 255, then (x - mean) / std where those are given, in units of 0..1.
Floating point is taken as it is (mean and std then only say how to show it). Other integers are symbols of a text, for
networks that begin with an embedding. (n, h, w) gets a channel axis. Labels are one class for each example, or one
symbol for each place of a text.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compression.data import Data
from compression.network import Network
from compression.own.reading import LIMIT, dimensions, short, unzipped

INPUTS, LABELS = ("inputs", "images", "x", "X"), ("labels", "y", "targets")
FEWEST = 40  # examples that are split in two
CLASSES = 65_536  # at most


def read_data(data: bytes, name: str, network: Network | None = None, shape: tuple[int, ...] | None = None) -> Data:
    """The examples of an NPZ file, opened without pickle: inputs (or images, x, X), labels (or y, targets), mean, std.

    network: what will answer them; it is tried on them. shape: of one example, such as (1, 28, 28), where there is no
    network yet. Raises ValueError in a sentence or two that say what is wrong and what to do.
    """
    name = short(name)
    arrays = _arrays(name, data)
    found = [[key for key in names if key in arrays] for names in (INPUTS, LABELS)]
    if len(found[0]) != 1 or len(found[1]) > 1:
        raise ValueError(f"{name} holds {short(', '.join(arrays), 80) or 'no arrays'}. Give one array named inputs (or "
                         "images, x) and at most one named labels (or y, targets).")
    inputs, labels = arrays[found[0][0]], arrays[found[1][0]] if found[1] else None
    return from_arrays(inputs, labels, name.removesuffix(".npz"), "validation", network, shape,
                       arrays.get("mean"), arrays.get("std"))


def _arrays(name: str, data: bytes) -> dict[str, np.ndarray]:
    """Every plain array of an NPZ file. Sizes are read and checked before a value is."""
    if not data:
        raise ValueError(f"{name} is empty (0 bytes). Save it again with numpy.savez.")
    if data[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise ValueError(f"{name} is not an NPZ file. Write one with numpy.savez(file, inputs=..., labels=...).")
    arrays = {}
    with unzipped(name, data) as archive:
        for entry in archive.infolist():
            key = entry.filename.removesuffix(".npy")
            try:
                with archive.open(entry) as stream:
                    old = np.lib.format.read_magic(stream) == (1, 0)
                    read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
                    shape, _, dtype = read(stream)
            except Exception as problem:  # numpy raises many kinds on hostile bytes
                raise ValueError(f"`{short(key)}` in {name} is damaged or no array. Save it again with "
                                 "numpy.savez.") from problem
            if dtype.kind not in "biuf":
                objects = "Python objects, which need code to run to be opened"
                kind = objects if dtype.hasobject else f"{short(dtype)} values"
                raise ValueError(f"`{short(key)}` in {name} holds {kind}. Only plain numbers are opened: convert it "
                                 "and save again.")
            if int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize > entry.file_size:
                raise ValueError(f"`{short(key)}` in {name} claims {dimensions(shape)} values, more than the file "
                                 "holds. Save it again.")
            try:
                with archive.open(entry) as stream:
                    arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
            except Exception as problem:
                raise ValueError(f"`{short(key)}` in {name} is cut short or damaged. Save it again with "
                                 "numpy.savez.") from problem
    return arrays


def from_arrays(inputs: Any, labels: Any, name: str, split: str, network: Network | None = None,
                shape: tuple[int, ...] | None = None, mean: Any = None, std: Any = None) -> Data:
    """Arrays -> Data, by the rules above. inputs (n, ...); labels (n,), (n, length) or None. Raises ValueError."""
    inputs = np.asarray(inputs)
    middle, spread = _scalar(name, "mean", mean, 0.0), _scalar(name, "std", std, 1.0)
    if inputs.dtype.kind not in "iuf" or inputs.ndim < 2:
        raise ValueError(f"The inputs of {name} are {dimensions(inputs.shape)} of type {short(inputs.dtype)}; expected "
                         "numbers, one row or image for each example.")
    if not inputs.size:
        raise ValueError(f"{name} holds no examples. Give at least one.")
    if inputs.size * 4 > LIMIT:
        raise ValueError(f"{name} would take {inputs.size * 4 / 2**30:.1f} GB in memory; the limit is {LIMIT // 2**30} "
                         "GB. Give fewer examples.")
    if spread <= 0:
        raise ValueError(f"The std of {name} is {spread:g}; it has to be above zero.")
    text = inputs.dtype.kind in "iu" and (_reads_text(network) if network is not None else inputs.dtype != np.uint8)
    if text:
        tensor = _symbols(name, inputs, network)
    elif inputs.dtype == np.uint8:
        tensor = (torch.from_numpy(np.ascontiguousarray(inputs)).float() / 255 - middle) / spread
    elif inputs.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what does not fit 32 bits is found below
            tensor = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32).copy())
        if not bool(tensor.isfinite().all()):
            wrong = int((~tensor.isfinite()).flatten(1).any(1).sum())
            raise ValueError(f"{wrong:,} of {len(tensor):,} examples of {name} have values that are not finite "
                             "numbers. Leave them out, or mend them.")
    else:
        raise ValueError(f"The inputs of {name} are {inputs.dtype}. Give uint8 pixels or floating point; this network "
                         "reads no text.")
    if network is not None and network.example is not None:
        shape = tuple(network.example.shape[1:])
    if not text:
        tensor = _placed(name, tensor, shape)
    truth = None if labels is None else _labels(name, labels, len(tensor))
    count = 0 if truth is None else int(truth.max()) + 1
    kind = "text" if text else "images" if tensor.ndim == 4 else "vectors"
    made = Data(name, split, tensor.contiguous(), truth, tuple(map(str, range(count))), kind, middle, spread)
    return made if network is None else fitting(network, made)


def _scalar(name: str, which: str, value: Any, default: float) -> float:
    value = np.asarray(default if value is None else value)
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise ValueError(f"The {which} of {name} has to be one finite number, for pixels of 0 to 1. For one a channel, "
                         "normalise the images yourself and save them as float32.")
    return float(value.reshape(()))


def _reads_text(network: Network) -> bool:
    return any(layer.kind == "embedding" for layer in network.layers)


def _symbols(name: str, inputs: np.ndarray, network: Network | None) -> Tensor:
    """Symbols of a text, (n, length) int64, within what the network's largest embedding knows."""
    if inputs.ndim != 2:
        raise ValueError(f"The inputs of {name} are {dimensions(inputs.shape)} integers; a text is examples × length. "
                         "Pixels have to be uint8 or floating point.")
    low, high = int(inputs.min()), int(inputs.max())
    layers = () if network is None else network.layers
    known = max((len(layer.weight) for layer in layers if layer.kind == "embedding"), default=high + 1)
    if low < 0 or high >= known:
        raise ValueError(f"The inputs of {name} hold the symbols {low} to {high}; this network knows 0 to {known - 1}. "
                         "Number them the same way.")
    return torch.from_numpy(np.array(inputs, dtype=np.int64))


def _placed(name: str, tensor: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """Inputs with the axes the network expects, as far as that is known: (n, h, w) -> (n, 1, h, w)."""
    if tensor.ndim == 3 and (shape is None or len(shape) == 3):
        tensor = tensor[:, None]
    if shape is not None and tensor.ndim == len(shape) + 1 and tensor.ndim > 2 and tensor.shape[1] != shape[0]:
        advice = " The channels seem to come last: move them before height and width."
        last = advice if tensor.shape[-1] == shape[0] else ""
        raise ValueError(f"The examples of {name} have {tensor.shape[1]:,} channels "
                         f"({dimensions(tuple(tensor.shape[1:]))}); this network takes {shape[0]:,} "
                         f"({dimensions(shape)}).{last}")
    if shape is not None and tensor.ndim != len(shape) + 1:
        raise ValueError(f"The examples of {name} are {dimensions(tuple(tensor.shape[1:]))}; this network takes "
                         f"{dimensions(shape)}. Reshape them.")
    return tensor


def _labels(name: str, labels: Any, count: int) -> Tensor:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"The labels of {name} are {short(labels.dtype)}; they have to be integers, the number of the "
                         "class. Convert them.")
    if labels.ndim not in (1, 2) or len(labels) != count or not labels.size:
        raise ValueError(f"{name} has {count:,} inputs, but labels of shape {dimensions(labels.shape)}. Give one label "
                         "for each example.")
    wrong = int(labels.min()) if labels.min() < 0 else int(labels.max())
    if not 0 <= wrong < CLASSES:
        raise ValueError(f"{name} has the label {wrong:,}; classes are numbered from 0 to {CLASSES - 1:,} at most. "
                         "Number them again.")
    return torch.from_numpy(np.array(labels, dtype=np.int64))


def answers(network: Network, inputs: Tensor) -> Tensor:
    """Scores of a network for a few examples, (n, classes) or (n, length, symbols). Raises ValueError otherwise."""
    try:
        with torch.inference_mode():
            scores = network.module(inputs)
    except Exception as problem:
        takes = "" if network.example is None else f"; it takes {dimensions(tuple(network.example.shape[1:]))}"
        raise ValueError(f"{short(network.title)} cannot answer an example of "
                         f"{dimensions(tuple(inputs.shape[1:]))}{takes} ({reason(problem)}). Give inputs of the shape "
                         "it was trained on.") from problem
    if not isinstance(scores, Tensor):
        raise ValueError(f"{short(network.title)} answers with a {type(scores).__name__}; it has to return one tensor "
                         "of scores.")
    several = scores.ndim == 3 and scores.shape[1] != inputs.shape[1]
    if scores.ndim not in (2, 3) or len(scores) != len(inputs) or several:
        raise ValueError(f"{short(network.title)} answers {len(inputs)} examples with "
                         f"{dimensions(tuple(scores.shape))} numbers; expected scores of examples × classes, or "
                         "examples × length × symbols.")
    if not scores.is_floating_point() or not bool(scores.isfinite().all()):
        raise ValueError(f"{short(network.title)} answers with values that are not finite scores. Check its weights "
                         "and how the inputs are normalised.")
    return scores


def reason(problem: BaseException) -> str:
    """An exception as a clause: its type and the first line of its message."""
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {short(lines[0], 90).rstrip('.')}" if lines else type(problem).__name__


def fitting(network: Network, data: Data) -> Data:
    """The data, with a name for every class the network knows, once the network has answered an example of it.

    Of a text, the example that holds the last symbol is tried. Raises ValueError where the network cannot answer it, or
    where labels are not its classes.
    """
    row = int(data.inputs.flatten(1).max(1).values.argmax()) if data.kind == "text" else 0
    scores = answers(network, data.inputs[row : row + 1])
    classes, labels = scores.shape[-1], data.labels
    if labels is not None:
        if labels.shape != (len(data), *scores.shape[1:-1]):
            raise ValueError(f"The labels of {data.name} are {dimensions(tuple(labels.shape))}; for this network they "
                             f"have to be {dimensions((len(data), *scores.shape[1:-1]))}, the number of the class. "
                             "One-hot rows: take their argmax.")
        if int(labels.max()) >= classes:
            raise ValueError(f"{data.name} has labels up to {int(labels.max())}, but this network answers with "
                             f"{classes} classes, 0 to {classes - 1}. Number them the same way.")
    if len(data.classes) == classes:
        return data
    texts = (known for known in network.data.values() if known.kind == data.kind == "text")
    known = next((text.classes for text in texts if len(text.classes) == classes), None)
    return dataclasses.replace(data, classes=known or tuple(map(str, range(classes))))


def own_splits(data: Data) -> dict[str, Data]:
    """Two halves, "validation" to choose by and "test" to report, shuffled with a fixed seed. Under 40 examples: "
                                                      "validation only."""
    if len(data) < FEWEST:
        return {"validation": dataclasses.replace(data, split="validation")}
    rows = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).split((len(data) + 1) // 2)
    return {split: dataclasses.replace(data, split=split, inputs=data.inputs[part],
                                       labels=None if data.labels is None else data.labels[part])
            for split, part in zip(("validation", "test"), rows, strict=True)}
