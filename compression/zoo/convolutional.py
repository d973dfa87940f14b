"""Image classifiers: two LeNets, a small VGG, ResNet-20, and a depthwise-separable network, for 28 x 28 grey images.

Inputs are (n, 1, 28, 28), outputs are class scores (n, 10).
"""

from collections import OrderedDict
from itertools import pairwise

from torch import Tensor, nn


def perceptron(*units: int) -> nn.Sequential:
    """Fully connected layers from so many inputs over hidden units to so many classes."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, (inputs, outputs) in enumerate(pairwise(units), start=1):
        layers[f"fc{i}"] = nn.Linear(inputs, outputs)
        if i < len(units) - 1:
            layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(layers)


def lenet_300_100(hidden: tuple[int, ...] = (300, 100)) -> nn.Sequential:
    """Two hidden layers of 300 and 100 units: 266,610 parameters (LeCun et al. 1998)."""
    return perceptron(784, *hidden, 10)


def lenet_5(channels: tuple[int, int] = (20, 50), hidden: int = 500) -> nn.Sequential:
    """The Caffe variant, 20-50-500: 431,080 parameters, the one the compression papers use. With hidden 0 that layer is left out."""
    first, second = channels
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(1, first, 5), pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(first, second, 5), pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
    )
    if hidden:
        layers |= OrderedDict(fc1=nn.Linear(16 * second, hidden), relu=nn.ReLU(), fc2=nn.Linear(hidden, 10))
    else:
        layers["fc"] = nn.Linear(16 * second, 10)
    return nn.Sequential(layers)


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution without a bias, then batch normalisation, which has one."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def vgg_small(channels: tuple[int, ...] = (16, 32, 32, 64, 64), pooled: tuple[int, ...] = (1, 3)) -> nn.Sequential:
    """Five 3 x 3 convolutions of 16-32-32-64-64 channels with batch normalisation: 70,330 parameters. pooled: halved after these."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 1
    for i, outputs in enumerate(channels, start=1):
        layers[f"conv{i}"], layers[f"bn{i}"] = conv_bn(inputs, outputs)
        layers[f"relu{i}"] = nn.ReLU()
        if i in pooled:
            layers[f"pool{i}"] = nn.MaxPool2d(2)
        inputs = outputs
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(inputs, 10))
    return nn.Sequential(layers)


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a way around them (He et al. 2016, arXiv:1512.03385, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_bn(inputs, outputs, stride=stride)
        self.conv2, self.bn2 = conv_bn(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def resnet_20(channels: tuple[int, ...] = (16, 32, 64), blocks: int = 3) -> nn.Sequential:
    """Nine residual blocks, three of each width 16, 32 and 64, with projection shortcuts: 272,186 parameters.

    The stem has stride 2, since the images are 28 x 28: stages work at 14 x 14, 7 x 7 and 4 x 4.
    """
    stem = nn.Sequential(OrderedDict(zip(("conv", "bn"), conv_bn(1, channels[0], stride=2))), )
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=stem, relu=nn.ReLU())
    inputs = channels[0]
    for stage, outputs in enumerate(channels, start=1):
        row = []
        for i in range(blocks):
            row.append(Residual(inputs, outputs, stride=2 if stage > 1 and i == 0 else 1))
            inputs = outputs
        layers[f"stage{stage}"] = nn.Sequential(*row)
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(inputs, 10))
    return nn.Sequential(layers)


MOBILE = ((48, 1), (48, 1), (96, 2), (96, 1), (96, 1), (192, 2))  # (channels, stride) of each block


def depthwise(first: int = 24, blocks: tuple[tuple[int, int], ...] = MOBILE) -> nn.Sequential:
    """Depthwise-separable convolutions as in MobileNet v1 (Howard et al. 2017, arXiv:1704.04861): 52,762 parameters."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["stem"] = nn.Sequential(*conv_bn(1, first, stride=2), nn.ReLU())
    inputs = first
    for i, (outputs, stride) in enumerate(blocks, start=1):
        each, each_bn = conv_bn(inputs, inputs, stride=stride, groups=inputs)
        mix, mix_bn = conv_bn(inputs, outputs, 1)
        layers[f"block{i}"] = nn.Sequential(OrderedDict(
            depthwise=each, bn1=each_bn, relu1=nn.ReLU(), pointwise=mix, bn2=mix_bn, relu2=nn.ReLU(),
        ))
        inputs = outputs
    layers |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(inputs, 10))
    return nn.Sequential(layers)


def digits_mlp(hidden: tuple[int, ...] = (64,)) -> nn.Sequential:
    """64-64-10 for scikit-learn's 8 x 8 digits: trains in seconds. Inputs (n, 1, 8, 8)."""
    return perceptron(64, *hidden, 10)
