"""A small vision transformer, on patches of Fashion-MNIST's pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gallery import exports, files, outside
from benchmarks.gallery.attention import Block
from benchmarks.gallery.pairs import Pair
from benchmarks.gallery.training import train

PATCH, PATCHES, WIDTH, HEADS, HIDDEN, BLOCKS, CLASSES = 7, 16, 64, 4, 128, 3, 10
EPOCHS = 3
MEAN, STD = 0.286, 0.353  # of the training pictures


class Patches(nn.Module):
    """Patches embedded by a convolution, a token for the class, blocks, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.places = nn.Parameter(torch.randn(1, PATCHES + 1, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS, HIDDEN) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 1, 28, 28] to [N, 10]."""
        x = self.embed(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], 1) + self.places
        for block in self.blocks:
            x = block(x)
        classes: Tensor = self.classifier(self.norm(x)[:, 0])
        return classes


def make(folder: Path) -> Iterator[Pair]:
    """Trained once, exported twice."""
    where = files.debian("dataset-fashion-mnist", folder) / "usr/share/datasets/fashion-mnist"
    images, labels = {}, {}
    for part in ("train", "t10k"):
        pixels = files.idx(where / f"{part}-images-idx3-ubyte.gz")[:, None]
        images[part] = ((pixels / 255 - MEAN) / STD).astype(np.float32)
        labels[part] = files.idx(where / f"{part}-labels-idx1-ubyte.gz").astype(np.int64)
    torch.manual_seed(0)
    net = train(Patches(), [torch.from_numpy(images["train"])], torch.from_numpy(labels["train"]), EPOCHS, rate=2e-3)
    np.savez(folder / "fashion.npz", image=images["t10k"], labels=labels["t10k"])
    for exporter in (exports.legacy, exports.dynamo):
        name = f"patches-{exporter.__name__}.onnx"
        exporter(net, [torch.zeros(2, 1, 28, 28)], folder / name, ["image"])
        yield Pair(
            name=f"vision transformer, {exporter.__name__}",
            family="vision transformer on Fashion-MNIST",
            form=f"torch, {exporter.__name__} exporter",
            model=(name,),
            dataset="fashion.npz",
            outside=outside.accuracy_of_onnx(folder / name, {"image": images["t10k"]}, labels["t10k"]),
            by="onnxruntime",
            sites=2 * BLOCKS,
            units=BLOCKS * (HEADS + HIDDEN),
            counted=f"{BLOCKS} blocks of {HEADS} heads and {HIDDEN} hidden units; patches are embedded straight",
            alike="vision transformer on Fashion-MNIST",
        )
