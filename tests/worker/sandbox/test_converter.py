"""The converting child: a fresh interpreter, with walls, for one program."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.worker.torch_nets import Block, Cnn, Mlp, example, made, save
from worker.formats.refusals import Refused
from worker.sandbox.conversion import Converter, converted, kind_of
from worker.sandbox.process import ENVIRONMENT, TimedOut

GIB = 1024**3


@pytest.fixture
def converter(tmp_path: Path) -> Iterator[Converter]:
    """A child with a few gigabytes and two minutes a question."""
    with Converter(memory_bytes=4 * GIB, seconds=120, scratch=tmp_path) as child:
        yield child


def padded(array: np.ndarray) -> bytes:
    """An array's bytes, up to the next multiple of 64."""
    plain = array.tobytes()
    return plain + bytes(-len(plain) % 64)


def test_a_program_becomes_a_file_and_is_compared_on_a_dataset(converter: Converter, tmp_path: Path) -> None:
    """The ONNX lies in the file it was asked for, and the report tells what was compared."""
    out, inputs = tmp_path / "net.onnx", tmp_path / "inputs"
    path = save(made(Block), "traced", tmp_path / "net.pt", example(Block))
    report = converter.convert(path, "torchscript", out)
    assert (report["from"], report["inputs"], report["examples"]) == ("torchscript", "random", 16)
    assert report["torch"] == torch.__version__
    assert [each.name for each in onnx.load(out).graph.input] == ["ids", "mask"]
    ids, mask = (each.numpy() for each in example(Block, 50))
    inputs.write_bytes(padded(ids) + padded(mask))
    described = [{"name": name, "dtype": "int64", "shape": [50, 7]} for name in ("ids", "mask")]
    report = converter.compare(inputs, described)
    assert (report["inputs"], report["examples"], report["agreement"]) == ("dataset", 32, 1.0)
    assert converter.compare(inputs, described, examples=50)["examples"] == 50


def test_a_pt2_is_converted_in_a_child_of_its_own(tmp_path: Path) -> None:
    """One call, one child; the file is complete when it returns."""
    path = save(made(Mlp), "pt2", tmp_path / "net.pt2", example(Mlp))
    report = converted(path, "pt2", tmp_path / "net.onnx", memory_bytes=4 * GIB, seconds=120)
    assert report["exporter"] == "dynamo"
    onnx.checker.check_model(onnx.load(tmp_path / "net.onnx"))


def test_a_refusal_comes_back_as_one(converter: Converter, tmp_path: Path) -> None:
    """Its kind and its words are those that were given in the child, which lives on."""
    path = save(made(Mlp).train(), "traced", tmp_path / "net.pt", example(Mlp))
    with pytest.raises(Refused, match=r"model\.eval\(\)") as refused:
        converter.convert(path, "torchscript", tmp_path / "net.onnx")
    assert refused.value.kind == "model-unsupported"
    save(made(Mlp), "traced", path, example(Mlp))
    assert converter.convert(path, "torchscript", tmp_path / "net.onnx")["agreement"] == 1.0


class Endless(torch.nn.Module):
    """Never answers."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4], for ever."""
        while bool(values.sum() < 1e9):
            values = values * 0
        return values


class Hungry(torch.nn.Module):
    """Wants sixteen gigabytes."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Linear(4, 3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 3], by way of far too much."""
        return self.out(values) + torch.ones([65536, 65536]).sum()


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    """The wall clock runs for the conversion as a whole."""
    path = save(Endless(), "scripted", tmp_path / "net.pt", ())
    hints = [{"name": "values", "dtype": "float32", "shape": [10, 4]}]
    with pytest.raises(TimedOut), Converter(memory_bytes=4 * GIB, seconds=10, scratch=tmp_path) as child:
        child.convert(path, "torchscript", tmp_path / "net.onnx", hints)
    assert (tmp_path / "net.onnx").read_bytes() == b""


def test_a_program_that_wants_too_much_memory_gets_none(converter: Converter, tmp_path: Path) -> None:
    """The limit holds for what torch allocates."""
    path = save(Hungry(), "scripted", tmp_path / "net.pt", ())
    with pytest.raises(Refused, match="more memory than a compute process may use") as refused:
        converter.convert(path, "torchscript", tmp_path / "net.onnx")
    assert refused.value.kind == "resource-exhausted"


def test_without_torch_the_caller_is_told_what_to_do(tmp_path: Path) -> None:
    """A worker without the extra refuses, and says how to export instead."""
    code = """
import sys
sys.modules["torch"] = None
from worker.formats.refusals import Refused
from worker.sandbox.converter import Conversion
try:
    Conversion().convert({"kind": "pt2", "inputs": []}, [])
except Refused as refused:
    print(refused)
"""
    said = subprocess.run(
        [sys.executable, "-P", "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert "unsupported-format: This worker cannot convert" in said
    assert "no torch. Install Lesion's extra `convert`" in said
    assert "torch.onnx.export(model" in said


def test_the_parent_imports_neither_torch_nor_a_runtime() -> None:
    """A pool process that has either would hang when it forks."""
    code = """
import sys, worker.sandbox.conversion
print([name for name in ("torch", "onnxruntime", "onnx") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_uploads_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    """Both exports of torch are known, old and new; state dicts, other zips and ONNX are nothing to convert."""
    path = tmp_path / "file"
    assert kind_of(save(made(Cnn), "pt2", path, example(Cnn))) == "pt2"
    assert kind_of(save(made(Cnn), "traced", path, example(Cnn))) == "torchscript"
    assert kind_of(save(made(Cnn), "scripted", path, ())) == "torchscript"
    torch.save(made(Cnn).state_dict(), path)
    assert kind_of(path) is None
    for name, kind in {"serialized_exported_program.json": "pt2", "model.onnx": None}.items():
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        assert kind_of(path) == kind
    for content in (b"", b"PK\x03\x04", b"PK\x03\x04" + b"PK\x01\x02" * 100, b"\x08\x07\x12\x04onnx"):
        path.write_bytes(content)
        assert kind_of(path) is None
