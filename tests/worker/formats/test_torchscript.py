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


def packed(path: Path, **changed: bytes) -> io.BytesIO:
    """The archive with other members, by the end of their name."""
    file = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, next((data for end, data in changed.items() if name.endswith(end)), old.read(name)))
    return file


class Kinds(torch.nn.Module):
    """Tensors of many types, some in a list, one a constant of its code."""

    def __init__(self) -> None:
        super().__init__()
        for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int16, torch.bool, torch.complex64):
            self.register_buffer("of_" + str(dtype).removeprefix("torch."), torch.ones(3, 2).to(dtype))
        self.many: list[torch.Tensor] = [torch.ones(4, 2), torch.zeros(0, 2)]

    of_float64: torch.Tensor

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """[N, 2] to [N, 2]."""
        return values + self.many[0][0] + torch.arange(2) * self.of_float64[0]


@pytest.mark.parametrize(("form", "besides"), [("traced", "constants/0"), ("scripted", "data/7")])
def test_a_storage_that_is_shorter_than_its_tensors_is_refused(form: str, besides: str, tmp_path: Path) -> None:
    """torch would read on in memory beyond it, and crash or use what it finds there."""
    path = save(Kinds(), form, tmp_path / "net.pt", (torch.ones(5, 2),))
    inspected(path)
    with zipfile.ZipFile(path) as archive:
        storages = [name for name in archive.namelist() if "/data/" in name or "/constants/" in name]
        sizes = {name.partition("/")[2]: len(archive.read(name)) for name in storages}
    assert sizes.keys() >= {*(f"data/{place}" for place in range(6)), besides}
    for name, size in sizes.items():
        if size:
            with pytest.raises(
                Refused, match=rf"'{name}' has {size - 1} bytes, and a tensor in it needs {size}\."
            ) as shown:
                torchscript.inspected(packed(path, **{f"/{name}": bytes(size - 1)}))
            assert shown.value.kind == "model-malformed"
        torchscript.inspected(packed(path, **{f"/{name}": bytes(size + 1)}))


def test_a_pickle_that_is_damaged_or_endless_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what tells how large the storages must be, so nothing goes on without it."""
    path = save(made(Mlp), "traced", tmp_path / "net.pt", example(Mlp))
    for data in (b"", b"\x80\x02", b"\x80\x02a.", b"\x80\x02h\x07.", b"\x80\x02K\x01Q.", b"\xff" * 9):
        with pytest.raises(Refused, match=r"The TorchScript's data\.pkl is damaged: .*\.") as refused:
            torchscript.inspected(packed(path, **{"data.pkl": data}))
        assert refused.value.kind == "model-malformed"
    monkeypatch.setattr(torchscript, "PICKLE_LIMIT", 10)
    with pytest.raises(Refused, match="has more than 10 bytes"):
        inspected(path)


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """What is looked at must be what torch reads; and torch reads what lies in the first member's folder."""
    path = save(made(Mlp), "traced", tmp_path / "net.pt", example(Mlp))
    file = packed(path)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("other/data/0", b"")
    torchscript.inspected(file)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("net/data/0", b"")
    with pytest.raises(Refused, match="it holds 'data/0' twice"):
        torchscript.inspected(file)


def test_torch_gets_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    """No notes of where code came from, which end the process if they are damaged; the rest to the byte."""
    path = save(Kinds(), "traced", tmp_path / "net.pt", (torch.ones(5, 2),))
    with path.open("rb") as file:
        made = io.BytesIO(torchscript.rebuilt(file))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made) as new:
        before = {name.partition("/")[2]: old.read(name) for name in old.namelist()}
        after = {name.partition("/")[2]: new.read(name) for name in new.namelist()}
    left_out = before.keys() - after.keys()
    assert after.items() <= before.items()
    assert any(name.endswith(".debug_pkl") for name in left_out)
    assert not [name for name in left_out if name.endswith(".py") or name.startswith(("data", "constants", "version"))]


def test_a_note_that_is_none_is_left_alone(tmp_path: Path) -> None:
    """Whatever lies where the shapes should be, the answer is that there are none."""
    path = save(made(Mlp), "traced", tmp_path / "net.pt", example(Mlp))
    for note in (b"", b"\x80\x02", b"\xff" * 100, b"\x80\x02(((((((Q.", b"cos\nsystem\n(S'x'\ntR."):
        assert torchscript.inspected(packed(path, **{"traced_inputs.pkl": note})) == []


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
