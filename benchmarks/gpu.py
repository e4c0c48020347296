"""What a device does: masked against unmasked, against eager torch with hooks, how busy it is, and how soon it starts.

`scripts/gpu` runs this on a machine with a GPU; `python -P -m benchmarks.gpu --device cpu` runs the same on its cores.
Rounds are interleaved, and medians told.
"""

import argparse
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.gallery import exports
from worker import gpus
from worker.ablation import batches, sessions
from worker.ablation.devices import Device
from worker.ablation.network import Network

ROUNDS = 5
LEAST_SECONDS = 1.0  # of one round of one way
EVERY = 0.2  # seconds from one look at the GPU to the next


@dataclass(frozen=True)
class Workload:
    """A network and the shape of its examples."""

    name: str
    net: nn.Sequential
    tail: tuple[int, ...]


def workloads() -> Iterator[Workload]:
    """Untrained: what they answer does not matter here."""
    torch.manual_seed(0)
    wide: list[nn.Module] = [nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()]
    yield Workload("MLP, 2 x 1024", nn.Sequential(*wide, nn.Linear(1024, 10)).eval(), (784,))
    layers: list[nn.Module] = []
    before = 3
    for maps, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += [nn.Conv2d(before, maps, 3, stride, padding=1), nn.BatchNorm2d(maps), nn.ReLU()]
        before = maps
    ending = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)]
    yield Workload("CNN, 6 convolutions, 32 x 32", nn.Sequential(*layers, *ending).eval(), (3, 32, 32))


@dataclass(frozen=True)
class Row:
    """Examples a second of each way; the GPU's share of busy time while masked; seconds of a start."""

    name: str
    batch: int
    unmasked: float
    masked: float
    hooks: float | None
    busy: float | None
    start: float

    def __str__(self) -> str:
        hooks = "–" if self.hooks is None else f"{self.hooks:,.0f}"
        busy = "–" if self.busy is None else f"{self.busy:.0%}"
        ratio = self.masked / self.unmasked
        return (
            f"| {self.name} | {self.batch} | {self.unmasked:,.0f} | {self.masked:,.0f} | {ratio:.0%} | {hooks} | "
            f"{busy} | {self.start:.2f} |"
        )


def measured(work: Workload, device: Device, folder: Path) -> Row:
    """One row of the table."""
    path = folder / "net.onnx"
    exports.legacy(work.net, [torch.zeros(2, *work.tail)], path, ["x"])
    file = onnx.shape_inference.infer_shapes(onnx.load(path))
    began = time.perf_counter()
    room = gpus.room(device, None) or batches.BATCH_BYTES
    network = Network(file.SerializeToString(), "logits", threads=1, device=device, room=room)
    network.mask([site.name for site in network.sites], "zero")
    inputs = {"x": np.random.default_rng(0).standard_normal((batches.LARGEST[device], *work.tail), dtype=np.float32)}
    size = network.batch(inputs)
    inputs = {"x": inputs["x"][:size]}
    network.intact(inputs, 0, size)
    start = time.perf_counter() - began
    network.multiply({"x": inputs["x"][:8]})
    every, drawn = np.arange(size), np.random.default_rng(1)
    masks = [drawn.random((size, site.units)) < 0.5 for site in network.scope]
    plain = sessions.opened(network._model(), ["logits"], 1, device)
    ways: dict[str, Callable[[], Any]] = {
        "unmasked": partial(sessions.run, plain, inputs),
        "masked": partial(network.outputs, inputs, every, every, masks),
    }
    if device == "cpu" or torch.cuda.is_available():
        ways["hooks"] = _hooked(work.net, "cpu" if device == "cpu" else "cuda", inputs["x"], masks)
    took: dict[str, list[float]] = {name: [] for name in ways}
    looks: list[float] = []
    for _ in range(ROUNDS):
        for name, way in ways.items():
            with _watched(looks if name == "masked" and device != "cpu" else []):
                took[name].append(size / _seconds(way))
    told = {name: median(each) for name, each in took.items()}
    busy = median(looks) if looks else None
    return Row(work.name, size, told["unmasked"], told["masked"], told.get("hooks"), busy, start)


def _hooked(net: nn.Sequential, device: str, x: Any, masks: list[Any]) -> Callable[[], Any]:
    """Eager torch, each ReLU's output multiplied by its mask in a hook; inputs and outputs on the host, as ours."""
    net = net.to(device)
    kept = [torch.from_numpy(mask.astype(np.float32)) for mask in masks]
    relus = [layer for layer in net if isinstance(layer, nn.ReLU)]
    on_device: list[torch.Tensor] = []

    def times(place: int, _layer: nn.Module, _given: Any, found: torch.Tensor) -> torch.Tensor:
        mask = on_device[place]
        return found * mask.reshape(*mask.shape, *[1] * (found.ndim - 2))

    for place, relu in enumerate(relus):
        relu.register_forward_hook(partial(times, place))

    def run() -> Any:
        on_device[:] = [mask.to(device) for mask in kept]
        with torch.inference_mode():
            return net(torch.from_numpy(x).to(device)).cpu().numpy()

    return run


def _seconds(way: Callable[[], Any]) -> float:
    """Of one run: the mean over as many as fill a second, after one that warms up."""
    way()
    began, runs = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < LEAST_SECONDS:
        way()
        runs += 1
    return passed / runs


@contextmanager
def _watched(looks: list[float]) -> Iterator[None]:
    """Ask nvidia-smi now and then how busy the GPU is, into a list; without nvidia-smi, never."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(EVERY):
            try:
                said = subprocess.check_output(
                    ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"], text=True
                )
            except (OSError, subprocess.CalledProcessError):
                return
            looks.append(int(said.split()[0]) / 100)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda", "cuda-tf32"), default="cuda")
    device = parser.parse_args().device
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"Examples a second on {device}, medians of {ROUNDS} interleaved rounds.\n")
    print(
        "| network | batch | unmasked | masked | of it | torch with hooks | GPU busy | start, s |",
        "|---" * 8 + "|",
        sep="\n",
    )
    with TemporaryDirectory() as folder:
        for work in workloads():
            print(measured(work, device, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
