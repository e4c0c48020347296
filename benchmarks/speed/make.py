"""Trains the networks and writes them for both sides: weights for torch, ONNX for onnxruntime and Lesion. Minutes."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.gallery import exports, mnist_cnn
from benchmarks.gallery.training import train
from benchmarks.speed import data, networks
from benchmarks.speed.questions import WORKLOADS

# Examples and epochs: enough that there is something to lose.
TRAINED = {"mlp": (20_000, 3), "cnn": (1_500, 3), "residual": (3_000, 3), "encoder": (4_000, 3)}
FIRST = 10_000  # of MNIST's training images; those before it are asked about


def make(folder: Path, only: list[str]) -> None:
    """Make what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "mnist.onnx").exists():
        _mnist(folder)
    for name in only or WORKLOADS:
        if not (folder / f"{name}.onnx").exists():
            torch.manual_seed(0)
            net = networks.MAKERS[name](folder).eval()
            if name in TRAINED:
                many, epochs = TRAINED[name]
                x, y = data.examples(name, folder, FIRST, FIRST + many)
                train(net, [torch.from_numpy(x)], torch.from_numpy(y), epochs)
            torch.save(net.state_dict(), folder / f"{name}.pt")
            exports.legacy(net, [torch.zeros(2, *WORKLOADS[name].shape)], folder / f"{name}.onnx", ["x"])
            print(name, flush=True)


def _mnist(folder: Path) -> None:
    """The published network, and the digits that it is scored on from submit to score."""
    x, y = mnist_cnn.images(folder, "t10k")
    np.savez(folder / "t10k.npz", x=x, y=y)
    exports.legacy(mnist_cnn.network(folder), [torch.zeros(2, 1, 28, 28)], folder / "mnist.onnx", ["x"])


def network(name: str, folder: Path) -> torch.nn.Module:
    """A trained network, in torch."""
    net = networks.MAKERS[name](folder)
    net.load_state_dict(torch.load(folder / f"{name}.pt", weights_only=True))
    return net.eval()
