"""The networks that are timed, in torch, with the modules whose outputs a loop over hooks would mask."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.gallery import pictures
from benchmarks.gallery.attention import Block

Way = Literal["channels", "features", "heads"]
CLASSES = 10


@dataclass(frozen=True)
class Place:
    """Where a loop would mask: a module by name, how many units, and on which axis of its output they lie.

    `heads`: of the module's input instead, the last axis of which is cut into so many parts.
    """

    module: str
    units: int
    way: Way


class Mlp(nn.Module):
    """Three hidden layers on flattened digits."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (784, 512, 512, 256)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.acts = nn.ModuleList(nn.ReLU() for _ in self.layers)
        self.classifier = nn.Linear(sizes[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 784] to [N, 10]."""
        for layer, act in zip(self.layers, self.acts, strict=True):
            x = act(layer(x))
        classes: Tensor = self.classifier(x)
        return classes


class Convolution(nn.Module):
    """3 x 3, normalised, and a ReLU, which is where its units are masked."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm, self.act = nn.BatchNorm2d(outside), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, H, W] to [N, outside, H / stride, W / stride]."""
        found: Tensor = self.act(self.norm(self.conv(x)))
        return found


class Cnn(nn.Module):
    """Eleven convolutions at CIFAR's size, with the channels and strides of the paper's appendix, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        wide = (64, 64, 128, 128, 128, 256, 256, 256, 512, 512, 512)
        strides = (1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 1)
        inside = (3, *wide[:-1])
        self.convs = nn.ModuleList(Convolution(*each) for each in zip(inside, wide, strides, strict=True))
        self.classifier = nn.Linear(wide[-1], CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, 32, 32] to [N, 10]."""
        x = image
        for conv in self.convs:
            x = conv(x)
        classes: Tensor = self.classifier(x.mean((2, 3)))
        return classes


class Branch(nn.Module):
    """Two convolutions with a way past them; the second is masked before the addition."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(inside, outside, stride)
        self.second, self.norm = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        self.past: nn.Module = nn.Identity()
        if stride > 1:
            self.past = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, H, W] to [N, outside, H / stride, W / stride]."""
        return torch.relu(self.norm(self.second(self.first(x))) + self.past(x))


class Residual(nn.Module):
    """ResNet-20 for CIFAR (He et al. 2016, section 4.2): a stem, three stages of three branches, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 16, 1)
        wide = [16] * 3 + [32] * 3 + [64] * 3
        inside = [16, *wide[:-1]]
        branches = zip(inside, wide, strict=True)
        self.branches = nn.ModuleList(Branch(a, b, 1 if a == b else 2) for a, b in branches)
        self.classifier = nn.Linear(64, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, 32, 32] to [N, 10]."""
        x = self.stem(image)
        for branch in self.branches:
            x = branch(x)
        classes: Tensor = self.classifier(x.mean((2, 3)))
        return classes


class Encoder(nn.Module):
    """A transformer encoder that reads a digit row by row: 28 tokens, 4 blocks, the mean over tokens is classified."""

    def __init__(self) -> None:
        super().__init__()
        width, heads, hidden, blocks = 128, 8, 512, 4
        self.embed = nn.Linear(28, width)
        self.places = nn.Parameter(torch.randn(1, 28, width) * 0.02)
        self.blocks = nn.ModuleList(Acting(width, heads, hidden) for _ in range(blocks))
        self.norm, self.classifier = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        """[N, 28, 28] to [N, 10]."""
        x = self.embed(rows) + self.places
        for block in self.blocks:
            x = block(x)
        classes: Tensor = self.classifier(self.norm(x).mean(1))
        return classes


class Acting(Block):
    """The gallery's block, with a module for its nonlinearity, so that a hook finds it."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden)
        self.up = nn.Sequential(self.up, nn.GELU())

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[N, T, width] to the same."""
        normed = self.norm1(x)
        n, t, width = x.shape
        shape = (n, t, self.heads, width // self.heads)
        query, key, value = (layer(normed).view(shape).transpose(1, 2) for layer in (self.query, self.key, self.value))
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.project(attended.transpose(1, 2).reshape(n, t, width))
        added: Tensor = self.down(self.up(self.norm2(x)))
        return x + added


def _mlp(net: Mlp) -> list[Place]:
    return [Place(f"acts.{i}", layer.out_features, "features") for i, layer in enumerate(net.layers)]


def _cnn(net: Cnn) -> list[Place]:
    return [Place(f"convs.{i}.act", each.norm.num_features, "channels") for i, each in enumerate(net.convs)]


def _residual(net: Residual) -> list[Place]:
    """The stem, and of each branch its projection past it where there is one, its first and its second convolution."""
    found = [Place("stem.act", 16, "channels")]
    for index, branch in enumerate(net.branches):
        units = branch.norm.num_features
        found.append(Place(f"branches.{index}.first.act", units, "channels"))
        found.append(Place(f"branches.{index}.norm", units, "channels"))
        if isinstance(branch.past, nn.Sequential):
            found.append(Place(f"branches.{index}.past", units, "channels"))
    return found


def _encoder(net: Encoder) -> list[Place]:
    found = []
    for index in range(len(net.blocks)):
        found.append(Place(f"blocks.{index}.project", 8, "heads"))
        found.append(Place(f"blocks.{index}.up", 512, "features"))
    return found


def _lite(net: nn.Module) -> list[Place]:
    """Every convolution's last channel-wise module: the activation behind it, or its normalisation."""
    modules = dict(net.named_modules())
    found = []
    for name, module in modules.items():
        if isinstance(module, nn.BatchNorm2d):
            found.append(Place(name, module.num_features, "channels"))
    return found


def _lite_network(folder: Path) -> nn.Module:
    return pictures.network(folder)


MAKERS: dict[str, Callable[[Path], nn.Module]] = {
    "mlp": lambda _: Mlp(),
    "cnn": lambda _: Cnn(),
    "residual": lambda _: Residual(),
    "lite0": _lite_network,
    "encoder": lambda _: Encoder(),
}
PLACES: dict[str, Callable[..., list[Place]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "residual": _residual,
    "lite0": _lite,
    "encoder": _encoder,
}
