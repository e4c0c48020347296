"""Which files of a registered MLflow model are evaluated. They are named and counted here, never loaded."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

MLMODEL = "MLmodel"
LARGEST_MLMODEL = 4 * 1024**2  # bytes
PICKLES = (".pth", ".pkl", ".pickle", ".joblib")


class UnusableModelError(Exception):
    """The registered model is of no kind that can be evaluated; the message shows how to register it so that it is."""


@dataclass(frozen=True)
class Wanted:
    """The model's own file, and the folder in which the files its weights lie in are, both relative to the model."""

    file: PurePosixPath
    flavour: str

    @property
    def folder(self) -> PurePosixPath:
        """Where it lies; `.` is the model's own folder."""
        return self.file.parent


ONNX_FIRST = """Register it as ONNX:
    import mlflow, torch
    torch.onnx.export(model.eval(), (example,), "model.onnx", dynamo=True, external_data=False)
    mlflow.onnx.log_model(onnx.load("model.onnx"), name="model", registered_model_name={name!r})"""
EXPORT = """Where you trust it, load it, and register it again as an exported program:
    import mlflow
    model = mlflow.pytorch.load_model({uri!r}).eval()
    mlflow.pytorch.log_model(model, name="model", input_example=example.numpy(), serialization_format="pt2",
                             registered_model_name={name!r})
or as ONNX, which needs no torch to evaluate:
    torch.onnx.export(model, (example,), "model.onnx", dynamo=True, external_data=False)
    mlflow.onnx.log_model(onnx.load("model.onnx"), name="model", registered_model_name={name!r})
where `example` is a batch of your own inputs."""


def wanted(mlmodel: Mapping[str, Any], uri: str, name: str) -> Wanted:
    """The file to evaluate, by what MLmodel says: ONNX before PyTorch. Raises `UnusableModelError`."""
    flavours = mlmodel.get("flavors")
    flavours = flavours if isinstance(flavours, Mapping) else {}
    for flavour, key, inside in (("onnx", "data", ""), ("pytorch", "model_data", "model.pt2")):
        told = flavours.get(flavour)
        place = told.get(key) if isinstance(told, Mapping) else None
        if isinstance(place, str) and place:
            return Wanted(_inside(place) / inside, flavour)
    others = ", ".join(sorted(str(flavour) for flavour in flavours if flavour != "python_function")) or "no flavour"
    raise UnusableModelError(
        f"{uri} has {others}; the flavours that can be evaluated are onnx and pytorch. {ONNX_FIRST.format(name=name)}"
    )


def _inside(place: str) -> PurePosixPath:
    path = PurePosixPath(place)
    if path.is_absolute() or ".." in path.parts or "\\" in place:
        raise UnusableModelError(f"Its MLmodel names a file outside of the model: {place[:100]!r}.")
    return path


def pickled(uri: str, name: str) -> UnusableModelError:
    """For a PyTorch model that torch.save wrote: loading it runs what is in it, so it is not loaded."""
    return UnusableModelError(
        f"{uri} is a pickled PyTorch model. A pickle is a program, and is never loaded here. "
        + EXPORT.format(uri=uri, name=name)
    )


def is_torchscript(file: Path) -> bool:
    """Did torch.jit.save write it? Told by the names inside; MLflow calls both kinds model.pth."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def weights(model: Path) -> list[Path]:
    """The files beside an ONNX model that it names: those its weights lie in. MLflow gives them random names."""
    told = model.read_bytes() if model.stat().st_size < 2**31 else b""
    others = sorted(path for path in model.parent.iterdir() if path.is_file() and path != model)
    return [path for path in others if path.name != MLMODEL and path.name.encode() in told]
