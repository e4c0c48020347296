"""`lesion inspect`: what is found is shown as tables or as JSON; a refusal and a wait have exit codes of their own."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import Engine

from service import problems, schemas
from service.commands import inspect as inspect_command
from service.commands.inspect import Order
from service.settings import Settings
from service.store import artifacts
from service.store.session import connect, transaction
from service.store.tenants import DEFAULT
from tests.conftest import wait_until
from tests.service.api.conftest import DATASET_FOUND, MODEL_FOUND
from tests.service.conftest import Server, lesion_apart


def shown(kind: str, found: dict[str, Any], width: int = 100) -> str:
    """What is printed about an artifact in which this was found."""
    known = {"id": "sha256:" + "1a" * 32, "size": 1, "state": "ready", "created_at": "now", "found": found}
    answer = schemas.Model(**known) if kind == "model" else schemas.Dataset(**known)
    out = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    inspect_command.show(out, answer, f"the {kind}")
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_a_models_table_has_all_that_was_found():
    """Sites in network order with their units, the class output marked, costs, batch and warnings."""
    found = MODEL_FOUND | {
        "sites": [
            {"site": "conv1", "op": "Conv", "units": 32, "convolutional": True},
            {"site": "fc1", "op": "Gemm", "units": 1128, "convolutional": False},
        ],
        "outputs": [{"name": "features", "dtype": "float32", "shape": ["batch", 8]}, *MODEL_FOUND["outputs"]],
        "output": MODEL_FOUND["output"] | {"probabilities": True, "labels": ["cat", "dog", "cow"]},
        "batch": 3,
        "warnings": ["fc1 cannot matter"],
    }
    said = shown("model", found)
    for part in ("opset 18", "pytorch 2.13.0", "67", "56 multiply-adds, 0.01 ms", "3, fixed", "[batch, 4]"):
        assert part in said, part
    assert "2, with 1,160 units" in said
    assert "Warning: fc1 cannot matter" in said
    lines = said.splitlines()
    rows = [line.split() for line in lines]
    assert rows.index(["conv1", "Conv", "32"]) < rows.index(["fc1", "Gemm", "1,128"])
    [marked] = [line for line in lines if "←" in line]
    assert marked.startswith("logits")
    assert "3 classes, probabilities" in marked
    assert ["classes", "cat,", "dog,", "cow"] in rows


def test_a_datasets_table_has_all_that_was_found():
    """Examples, labels with their names, columns and splits; no labels is said as well."""
    found = DATASET_FOUND | {
        "labels": DATASET_FOUND["labels"] | {"names": ["cat", "dog", "cow"]},
        "splits": {"train": 7, "test": 3},
    }
    said = shown("dataset", found)
    for part in ("0 to 2, 3 distinct", "40.0%", "cat, dog, cow", "x, y", "train (7), test (3)", "[10, 4]"):
        assert part in said, part
    assert "agreement" in shown("dataset", DATASET_FOUND | {"labels": None})


def test_nothing_from_an_upload_can_steer_the_terminal():
    """Names in a file may hold escape sequences; they are printed, not obeyed."""
    nasty = "\x1b[2J\x07"
    array = {"name": nasty, "dtype": nasty, "shape": [nasty]}
    output = MODEL_FOUND["output"] | {"name": nasty, "labels": [nasty], "kind": nasty}
    site = {"site": nasty, "op": nasty, "units": 1, "convolutional": False}
    changes = {"inputs": [array], "outputs": [array], "output": output, "sites": [site], "warnings": [nasty]}
    said = shown("model", MODEL_FOUND | changes | {"producer": nasty, "converted": {nasty: nasty}})
    columns = {"columns": [nasty], "splits": {nasty: 1}, "warnings": [nasty]}
    said += shown("dataset", DATASET_FOUND | columns | {"labels": {"names": [nasty]}, "format": nasty})
    assert not set(said) & set("\x1b\x07")


def test_what_0_1_0_found_is_still_shown():
    """Uploads of an older service have fewer fields."""
    old = {
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
        "output": {"name": "logits", "classes": 3},
        "sites": MODEL_FOUND["sites"],
    }
    assert "fc1" in shown("model", old)
    older = {"examples": 10, "inputs": DATASET_FOUND["inputs"], "labels": {"min": 0, "max": 2}}
    assert "0 to 2" in shown("dataset", older)


def zipped(path: Path, *names: str) -> Path:
    """A zip with these names in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def test_models_and_datasets_are_told_apart(tmp_path):
    """By name; a zip, by what is in it; a folder holds images; several files are one model."""
    assert inspect_command.kind([tmp_path]) == "dataset"
    for name in ("a.npz", "a.parquet", "a.CSV", "a.safetensors", "a.tar.gz"):
        assert inspect_command.kind([tmp_path / name]) == "dataset", name
    for name in ("a.onnx", "a.pt2", "a.pt", "a.pth", "a"):
        assert inspect_command.kind([tmp_path / name]) == "model", name
    assert inspect_command.kind([zipped(tmp_path / "m.zip", "m.onnx", "m.data")]) == "model"
    assert inspect_command.kind([zipped(tmp_path / "d.zip", "cat/1.png")]) == "dataset"
    assert inspect_command.kind([tmp_path / "a.onnx", tmp_path / "a.npz"]) == "model"


@pytest.fixture
def engine(settings: Settings, server: Server) -> Iterator[Engine]:
    """The database of the running API."""
    engine = connect(settings.database)
    yield engine
    engine.dispose()


def inspecting(engine: Engine, outcome: dict[str, Any] | problems.Problem) -> threading.Thread:
    """Play a worker that looks at the next upload."""

    def look() -> bool:
        with transaction(engine) as db:
            waiting = artifacts.uninspected(db, -1, 1)
            for _, kind, digest in waiting:
                if isinstance(outcome, problems.Problem):
                    artifacts.refuse(db, DEFAULT, kind, digest, outcome.body())
                else:
                    artifacts.accept(db, DEFAULT, kind, digest, outcome)
        return bool(waiting)

    thread = threading.Thread(target=wait_until, args=(look, "an upload"))
    thread.start()
    return thread


def test_inspect_prints_json_of_the_artifact(server, engine, tmp_path):
    """stdout is one JSON document, as the API answers."""
    (tmp_path / "m.onnx").write_bytes(b"graph")
    (tmp_path / "m.bin").write_bytes(b"weights")
    thread = inspecting(engine, MODEL_FOUND)
    run = lesion_apart("inspect", tmp_path / "m.onnx", tmp_path / "m.bin", "--server", server.address, "--json")
    thread.join()
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["kind"] == "model"
    assert answer["found"] == MODEL_FOUND


def test_a_refused_upload_exits_with_3(server, engine, tmp_path):
    """The reason goes to stderr."""
    (tmp_path / "d.csv").write_bytes(b"a,b")
    thread = inspecting(engine, problems.DatasetMalformed("Line 2 has 3 fields."))
    run = lesion_apart("inspect", tmp_path / "d.csv", "--server", server.address)
    thread.join()
    assert (run.returncode, run.stdout) == (3, "")
    assert "Line 2 has 3 fields." in run.stderr


def test_a_service_without_workers_exits_with_4(server, tmp_path, capsys, monkeypatch):
    """Waiting ends, and says that the upload is kept."""
    monkeypatch.setattr(inspect_command, "PATIENCE", 0.1)
    (tmp_path / "m.onnx").write_bytes(b"graph")
    assert inspect_command.run(Order((tmp_path / "m.onnx",), server.address)) == 4
    assert "No worker" in capsys.readouterr().err
