"""Every network that ships: how it is built, which data it knows, and how it was trained."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from compression.data import Data, Split
from compression.train.plan import Plan
from compression.zoo import data
from compression.zoo.attention import CharGPT, ViT
from compression.zoo.convolutional import depthwise, digits_mlp, lenet_5, lenet_300_100, resnet_20, vgg_small
from compression.zoo.recurrent import CharLSTM, RowLSTM


@dataclass(frozen=True)
class Entry:
    """One network of the zoo."""

    title: str
    about: str
    build: Callable[[], nn.Module]
    load: Callable[[Split], Data]
    training: Plan

    @property
    def text(self) -> bool:
        """Whether it predicts characters rather than classes."""
        return self.load is data.austen


_AUGMENTED = dict(smoothing=0.05, flip=True, shift=2)

ZOO = MappingProxyType({
    "lenet-300-100": Entry(
        "LeNet-300-100", "Three fully connected layers, the pruning papers' first subject.", lenet_300_100, data.fashion,
        Plan("sgd", 0.1, 5e-4, 128, 50, smoothing=0.1, flip=True)),
    "lenet-5": Entry(
        "LeNet-5", "Two convolutions and two fully connected layers (Caffe's 20-50-500).", lenet_5, data.fashion,
        Plan("adamw", 2e-3, 0.05, 128, 26, **_AUGMENTED)),
    "vgg-small": Entry(
        "VGG small", "Five plain convolutions with batch normalisation.", vgg_small, data.fashion,
        Plan("sgd", 0.2, 5e-4, 128, 22, **_AUGMENTED)),
    "resnet-20": Entry(
        "ResNet-20", "Nine residual blocks.", resnet_20, data.fashion,
        Plan("sgd", 0.2, 5e-4, 128, 24, **_AUGMENTED)),
    "depthwise": Entry(
        "Depthwise-separable", "A MobileNet in small: little to spare, so it breaks early.", depthwise, data.fashion,
        Plan("sgd", 0.2, 1e-4, 128, 22, **_AUGMENTED)),
    "vit": Entry(
        "ViT", "A vision transformer: four attention blocks of width 64.", ViT, data.fashion,
        Plan("adamw", 3e-3, 0.05, 128, 32, **_AUGMENTED)),
    "row-lstm": Entry(
        "Row LSTM", "Reads an image row by row.", RowLSTM, data.fashion,
        Plan("adamw", 4e-3, 0.01, 128, 24, smoothing=0.05, flip=True)),
    "char-lstm": Entry(
        "Char LSTM", "Predicts the next character of Jane Austen.", lambda: CharLSTM(len(data.alphabet())), data.austen,
        Plan("adamw", 4e-3, 0.01, 32, steps=5000)),
    "char-gpt": Entry(
        "Char GPT", "A four-block transformer on the same text; its output layer is its embedding.",
        lambda: CharGPT(len(data.alphabet())), data.austen, Plan("muon", 0.02, 0.01, 32, steps=7000)),
    "digits-mlp": Entry(
        "Digits MLP", "Two small layers on 8 x 8 digits: trains in seconds.", digits_mlp, data.digits,
        Plan("adamw", 3e-3, 0.01, 64, 60)),
})
