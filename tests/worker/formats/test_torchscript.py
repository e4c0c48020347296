"""TorchScript archives looked at from outside."""

import io
import zipfile
from pathlib import Path

import pytest
import torch

from tests.worker.torch_nets import Block, Cnn, Mlp, example, made, save
from worker.formats import torchscript
from worker.formats.refusals import Refused
from worker.formats.torchscript import Traced


def inspected(path: Path) -> list[Traced]:
    """What an archive says of its inputs."""
    with path.open("rb") as file:
        return torchscript.inspected(file)


def test_a_trace_notes_its_inputs_and_a_script_does_not(tmp_path: Path) -> None:
    """Shapes and types of all inputs, in order, without unpickling anything."""
    path = tmp_path / "net.pt"
    assert inspected(save(made(Cnn), "traced", path, example(Cnn, 3))) == [Traced("float32", (3, 1, 12, 12))]
    assert inspected(save(made(Block), "traced", path, example(Block))) == [Traced("int64", (2, 7))] * 2
    half = made(Mlp).half(), (example(Mlp)[0].half(),)
    assert inspected(save(half[0], "traced", path, half[1])) == [Traced("float16", (2, 6))]
    assert inspected(save(made(Cnn), "scripted", path, ())) == []


def test_a_note_that_is_none_is_left_alone(tmp_path: Path) -> None:
    """Whatever lies where the shapes should be, the answer is that there are none."""
    path = save(made(Mlp), "traced", tmp_path / "net.pt", example(Mlp))
    for note in (b"", b"\x80\x02", b"\xff" * 100, b"\x80\x02(((((((Q.", b"cos\nsystem\n(S'x'\ntR."):
        file = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
            for name in old.namelist():
                new.writestr(name, note if name.endswith("traced_inputs.pkl") else old.read(name))
        assert torchscript.inspected(file) == []


class Reader(torch.nn.Module):
    """Maps a file of the machine it runs on."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 4] to [N, 4]."""
        return values + torch.from_file("/etc/passwd", shared=False, size=4)


def test_a_script_that_reaches_for_files_is_refused(tmp_path: Path) -> None:
    """from_file can read and write files; it is named."""
    with pytest.raises(Refused, match=r"calls 'from_file'") as refused:
        inspected(save(Reader(), "scripted", tmp_path / "net.pt", ()))
    assert refused.value.kind == "operator-not-allowed"


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes are added up before anything is read."""
    path = save(made(Mlp), "traced", tmp_path / "net.pt", example(Mlp))
    monkeypatch.setattr(torchscript, "LARGEST", 100)
    with pytest.raises(Refused, match="unpacks to more than 100 bytes") as refused:
        inspected(path)
    assert refused.value.kind == "model-too-large"
