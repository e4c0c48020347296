"""Files on their way up: the parts of a form, a model's several files, a folder of images as one zip."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from service import packing

Part = tuple[str, tuple[str, IO[bytes], str]]  # field, (file name, bytes, media type), as the HTTP client takes it
BYTES = "application/octet-stream"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file to read; a folder becomes a zip of all in it, in a temporary file. Raises `OSError`."""
    with ExitStack() as stack:
        if path.is_dir():
            whole = stack.enter_context(TemporaryFile())
            packing.pack(packing.folder(path), whole)
            whole.seek(0)
            yield whole
        else:
            yield stack.enter_context(path.open("rb"))


@contextmanager
def parts(files: Mapping[str, Sequence[Path]]) -> Iterator[list[Part]]:
    """The parts of a form, by field. A field with several files gives several parts."""
    with ExitStack() as stack:
        yield [
            (field, (_name(path), stack.enter_context(opened(path)), BYTES))
            for field, paths in files.items()
            for path in paths
        ]


def weights_beside(model: Path) -> list[Path]:
    """The file in which PyTorch's exporter keeps the weights of an .onnx file, if it lies beside it."""
    beside = model.with_name(model.name + ".data")
    return [beside] if model.suffix == ".onnx" and beside.is_file() else []


def _name(path: Path) -> str:
    return f"{path.resolve().name}.zip" if path.is_dir() else path.name
