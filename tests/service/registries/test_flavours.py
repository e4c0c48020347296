"""Which files of a registered model are evaluated, and what is said of those that are not."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.registries import flavours, names
from service.registries.flavours import UnusableModelError

URI = "models:/digits/3"
ONNX = {"onnx": {"data": "model.onnx"}}
TORCH = {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0"}}


def wanted(found: Mapping[str, object]) -> flavours.Wanted:
    return flavours.wanted({"flavors": found}, URI, "digits")


def test_onnx_comes_first():
    """A model with both flavours is evaluated as ONNX: nothing has to be converted."""
    both = wanted({**TORCH, **ONNX, "python_function": {}})
    assert (both.flavour, str(both.file)) == ("onnx", "model.onnx")
    assert str(wanted(TORCH).file) == "data/model.pt2"


@pytest.mark.parametrize(
    "found", [{}, {"sklearn": {"pickled_model": "model.pkl"}}, {"onnx": None}, {"onnx": {"data": 7}}]
)
def test_other_flavours_are_refused_with_the_lines_that_export(found):
    """What cannot be evaluated is named, with how to register it so that it can."""
    with pytest.raises(UnusableModelError, match=r"mlflow\.onnx\.log_model.*registered_model_name='digits'"):
        wanted(found)


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secret.onnx", "a\\..\\b.onnx"])
def test_mlmodel_leads_nowhere_else(place):
    """MLmodel was written by whoever registered the model."""
    with pytest.raises(UnusableModelError, match="outside of the model"):
        wanted({"onnx": {"data": place}})


def test_weights_are_the_files_that_the_model_names(tmp_path):
    """MLflow gives external data a random name; what else lies there is not sent."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"..location..2b0ecfb6.data..")
    for name in ("2b0ecfb6.data", "other.data", "MLmodel"):
        (tmp_path / name).write_bytes(b"x")
    assert flavours.weights(model) == [tmp_path / "2b0ecfb6.data"]


def test_torchscript_is_told_from_a_pickle_without_reading_either(tmp_path):
    """Both are called model.pth: only one of them has code."""
    for name, members in {
        "script": ["m/constants.pkl", "m/code/a.py"],
        "pickle": ["m/data.pkl"],
        "code": ["m/code/a.py"],
    }.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member in members:
                archive.writestr(member, "x")
    (tmp_path / "text").write_text("no zip")
    told = {name: flavours.is_torchscript(tmp_path / name) for name in ("script", "pickle", "code", "text")}
    assert told == {"script": True, "pickle": False, "code": False, "text": False}


@pytest.mark.parametrize("text", ["models:/digits/3", "models:/a b.c/12", "models:/digits@champion"])
def test_names_read_back(text):
    """What is read is what was written."""
    assert str(names.read(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "digits/3", "models:/digits", "models:/digits/0", "models:/d/Production", "models://h/d/3", "models:/d/1\n"],
)
def test_other_names_are_refused(text):
    """A stage, a whole model, an address: none of them is one version."""
    with pytest.raises(names.NotAVersionError):
        names.read(text)


def test_a_large_file_is_only_named(tmp_path: Path):
    """A folder whose file is missing gives nothing."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"nothing")
    assert flavours.weights(model) == []
