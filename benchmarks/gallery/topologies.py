"""The light topologies of the onnx wheel: real architectures, weights that are all alike. For finding sites alone.

The answer is the same whatever is shown or lost, so no score is to be had; the gallery shows what Lesion says to that.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from benchmarks.gallery.pairs import Pair

EXAMPLES = 4


def make(folder: Path) -> Iterator[Pair]:
    """Three of them, on noise with labels 0 to 3."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(EXAMPLES, 3, 224, 224)).astype(np.float32)
    np.savez(folder / "noise224.npz", x=x, y=np.arange(EXAMPLES))
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for name, called, (sites, units, counted) in _counts():
        model = f"light_{name}.onnx"
        (folder / model).write_bytes((light / model).read_bytes())
        yield Pair(
            name=f"light {name}",
            family="light topologies of the onnx wheel",
            form=called,
            model=(model,),
            dataset="noise224.npz",
            outside=None,
            by="its weights are constant",
            sites=sites,
            units=units,
            counted=counted,
            note="its weights are constant, so every answer is the same: there for its sites alone",
        )


def _counts() -> list[tuple[str, str, tuple[int, int, str]]]:
    """Each one's file and name; sites and units, and how they were counted."""
    return [
        ("resnet50", "ResNet-50", _resnet()),
        ("densenet121", "DenseNet-121", _densenet()),
        ("inception_v1", "Inception v1", _inception()),
    ]


def _resnet() -> tuple[int, int, str]:
    """A stem, bottlenecks of three convolutions, and one on the way past the first of each stage."""
    stages = [(3, 64), (4, 128), (6, 256), (3, 512)]
    sites = 1 + sum(3 * blocks + 1 for blocks, _ in stages)
    units = 64 + sum(blocks * (width + width + 4 * width) + 4 * width for blocks, width in stages)
    return (
        sites,
        units,
        "ResNet-50: 1 stem, 16 blocks of 3, 4 on the way past: 1 + 48 + 4; the dense layer is the classifier",
    )


def _densenet() -> tuple[int, int, str]:
    """A stem, dense layers of 128 and 32 channels, and transitions that halve what the blocks have gathered."""
    blocks, growth = [6, 12, 24, 16], 32
    units, gathered = 64, 64
    for place, layers in enumerate(blocks):
        units += layers * (4 * growth + growth)
        gathered += layers * growth
        if place < len(blocks) - 1:
            gathered //= 2
            units += gathered
    sites = 1 + 2 * sum(blocks) + len(blocks) - 1
    return (
        sites,
        units,
        "DenseNet-121: 1 stem, 58 dense layers of 2, 3 transitions: 1 + 116 + 3; the last convolution classifies",
    )


def _inception() -> tuple[int, int, str]:
    """A stem of three convolutions and nine modules of six (GoogLeNet's table 1)."""
    modules = [
        (64, 96, 128, 16, 32, 32),
        (128, 128, 192, 32, 96, 64),
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
        (256, 160, 320, 32, 128, 128),
        (384, 192, 384, 48, 128, 128),
    ]
    units = 64 + 64 + 192 + sum(sum(module) for module in modules)
    return (
        3 + 6 * len(modules),
        units,
        "Inception v1: stem of 3, 9 modules of 6: 3 + 54; the dense layer is the classifier",
    )
