"""From an open file to what is in it: a model in one file or a bundle, a dataset in any format."""

from collections.abc import Mapping
from typing import IO, Any

from numpy.typing import NDArray

from worker.formats.models import Read
from worker.formats.refusals import Refused

PROGRAMS = ("pt2", "torchscript")


def model(file: IO[bytes], output: str | None) -> Read:
    """A checked model. output: the name of its class output, if somebody named it. Raises `Refused`."""
    from worker.formats import bundles, kinds, models

    kind = kinds.kind_of(file)
    file.seek(0)
    if kind in PROGRAMS:
        raise Refused(
            "unsupported-format",
            "This is a PyTorch program, which is converted to ONNX before it is opened; this one was not. Upload it "
            "again, or export it to ONNX yourself.",
        )
    return models.read_onnx(bundles.unbundled(file) if kind == "bundle" else file.read(), output)


def dataset(
    file: IO[bytes], out: IO[bytes], reading: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What was found in a dataset, and its arrays by name; its inputs go to `out`. Raises `Refused`."""
    from worker.formats import datasets

    return datasets.read(file, out, reading)
