"""Trains the two networks that `lesion demo` compares, and writes them to service/examples.

Same architecture, same images, same recipe. One learns Fashion-MNIST's true labels; the other gets labels drawn
at random and can only memorise them. Both end up right on (nearly) every training image, so accuracy cannot tell
them apart. See README.md beside this file.
"""

import argparse
import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn

INSTALLED = Path("/usr/share/datasets/fashion-mnist")  # where Debian's dataset-fashion-mnist puts its files
OUT = Path(__file__).parents[1] / "service" / "examples"
CLASSES = 10


class Network(nn.Module):
    """Three convolutions and one hidden layer, 89,546 parameters: [N, 1, 28, 28] -> logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 64),
            nn.ReLU(),
            nn.Linear(64, CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(x)
        return logits


def find_data(scratch: Path) -> Path:
    """The folder with the four idx .gz files: as installed, or unpacked from Debian's package into `scratch`."""
    if INSTALLED.is_dir():
        return INSTALLED
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SystemExit(
            "No Fashion-MNIST here. Give --data DIR, a folder with its four idx .gz files\n"
            "(train-images-idx3-ubyte.gz and so on), or install Debian's package dataset-fashion-mnist."
        )
    subprocess.run(["apt-get", "download", "dataset-fashion-mnist"], cwd=scratch, check=True)
    subprocess.run(["dpkg", "-x", str(next(scratch.glob("*.deb"))), "."], cwd=scratch, check=True)
    return scratch / INSTALLED.relative_to("/")


def read_images(folder: Path, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of split `train` or `t10k`: float32 images [count, 1, 28, 28] in [0, 1], int64 labels [count]."""
    with gzip.open(folder / f"{split}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + count * 28 * 28), np.uint8, offset=16)
    with gzip.open(folder / f"{split}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(8 + count), np.uint8, offset=8)
    return pixels.reshape(count, 1, 28, 28).astype(np.float32) / np.float32(255), labels.astype(np.int64)


def train(x: torch.Tensor, y: torch.Tensor, epochs: int, seed: int) -> Network:
    """A network fitted to the labels `y`: AdamW in batches of 64, its rate falling to nothing along one cosine."""
    torch.manual_seed(seed)
    network = Network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimiser.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of the images [N, 1, 28, 28] whose largest logit is at their label [N]."""
    return float((network(x).argmax(1) == y).float().mean())


def curve(network: Network, x: torch.Tensor, y: torch.Tensor, orderings: int = 20, points: int = 21) -> np.ndarray:
    """The textbook A(f), slow and plain: mean accuracy with the first f of each layer's shuffled units set to zero."""
    masks: dict[nn.Module, torch.Tensor] = {}
    relus = [layer for layer in network.layers if isinstance(layer, nn.ReLU)]
    hooks = [r.register_forward_hook(lambda layer, _, out: out * masks[layer]) for r in relus]
    widths = (16, 32, 64, 64)
    shapes = ((1, -1, 1, 1),) * 3 + ((1, -1),)
    generator = torch.Generator().manual_seed(0)
    total = np.zeros(points)
    for _ in range(orderings):
        orders = [torch.randperm(width, generator=generator) for width in widths]
        for i in range(points):
            for relu, order, shape in zip(relus, orders, shapes, strict=True):
                keep = torch.ones(len(order))
                keep[order[: round(i / (points - 1) * len(order))]] = 0
                masks[relu] = keep.reshape(shape)
            total[i] += accuracy(network, x, y)
    for hook in hooks:
        hook.remove()
    return total / orderings


def score(values: np.ndarray, y: np.ndarray) -> float:
    """The curve's area, rescaled so that 0 is the best constant answer and 1 is a network that nothing hurts."""
    chance = np.bincount(y).max() / len(y)
    return float((np.trapezoid(values, dx=1 / (len(values) - 1)) - chance) / (values[0] - chance))


def export(network: Network, path: Path) -> None:
    """Writes one ONNX file with its weights inside, for any batch size."""
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 1, 28, 28),),
        input_names=["x"],
        output_names=["logits"],
        dynamic_shapes={"x": {0: "batch"}},
        dynamo=True,
        verbose=False,
    )
    ClearMetadataAndDocStringPass()(program.model)  # else stack traces, with this machine's paths, are shipped
    program.save(path, external_data=False)


def main() -> None:
    """Trains both networks, prints what is known about them, and writes the four files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's idx .gz files")
    parser.add_argument("--out", type=Path, default=OUT, help="where the .onnx and .npz files go")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.data or find_data(Path(scratch))
        x, truth = read_images(folder, "train", asked.images)
        unseen, unseen_truth = read_images(folder, "t10k", 10_000)
    drawn = np.random.default_rng(asked.seed).integers(0, CLASSES, asked.images)
    for name, y in (("learned", truth), ("memorised", drawn)):
        network = train(torch.from_numpy(x), torch.from_numpy(y), epochs=asked.epochs, seed=asked.seed)
        on_train = accuracy(network, torch.from_numpy(x), torch.from_numpy(y))
        on_test = accuracy(network, torch.from_numpy(unseen), torch.from_numpy(unseen_truth))
        robust = score(curve(network, torch.from_numpy(x), torch.from_numpy(y)), y)
        print(
            f"{name}: training accuracy {on_train:.4f}, test accuracy {on_test:.4f}, score {robust:.3f}",
            flush=True,
        )
        if on_train < 0.995:
            raise SystemExit(f"{name} did not reach 99.5 % on its training images: give it more --epochs")
        export(network, asked.out / f"{name}.onnx")
        np.savez_compressed(asked.out / f"{name}.npz", x=x, y=y)


if __name__ == "__main__":
    main()
