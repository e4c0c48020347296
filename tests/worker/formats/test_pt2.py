"""`.pt2` archives that would run code: each is one change to a real one, which torch itself would fall for."""

import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.worker.torch_nets import Mlp, example, made, save
from worker.formats import pt2
from worker.formats.convert import convert
from worker.formats.refusals import Refused

WEIGHTS = "data/weights/model_weights_config.json"
PROGRAM = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
Members = dict[str, bytes]


class Touch:
    """Pickled, it makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The members of a real .pt2."""
    path = save(made(Mlp), "pt2", tmp_path_factory.mktemp("pt2") / "net.pt2", example(Mlp))
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(members: Members) -> io.BytesIO:
    """An archive with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"net/{name}", content)
    file.seek(0)
    return file


def changed(members: Members, name: str, change: Callable[[Any], None]) -> Members:
    """The same with one JSON member changed."""
    found = json.loads(members[name])
    change(found)
    return {**members, name: json.dumps(found).encode()}


def trap(path: Path) -> bytes:
    """What torch.save makes of a Touch."""
    file = io.BytesIO()
    torch.save(Touch(path), file)
    return file.getvalue()


def python(path: Path) -> str:
    """Python that makes a folder."""
    return f"__import__('os').mkdir('{path}')"


def first(program: Any) -> Any:
    """The first node of a program."""
    return program["graph_module"]["graph"]["nodes"][0]


def guard(code: str) -> Callable[[Any], None]:
    """Give a program a guard, which torch runs as Python."""
    return lambda program: program["guards_code"].append(code)


def test_a_pickle_in_the_sample_inputs_is_never_loaded(honest: Members, tmp_path: Path) -> None:
    """torch.export.load unpickles it and makes the folder; ours converts the network and does not."""
    made_by = tmp_path / "made"
    evil = {**honest, SAMPLES: trap(made_by)}
    # It fails at last, in one of two ways.
    with pytest.raises(Exception, match=r"not enough arguments|expected tuple or dict"):
        torch.export.load(packed(evil))
    assert made_by.exists()
    made_by.rmdir()
    assert convert(packed(evil), "pt2").report["agreement"] == 1
    assert not made_by.exists()


def test_guards_are_never_run(honest: Members, tmp_path: Path) -> None:
    """torch compiles a guard as Python when the program is called; ours leaves guards out."""
    made_by = tmp_path / "made"
    evil = changed(honest, PROGRAM, guard(f"not {python(made_by)}"))
    torch.export.load(packed(evil)).module()(*example(Mlp))
    assert made_by.exists()
    made_by.rmdir()
    assert convert(packed(evil), "pt2").report["agreement"] == 1
    assert not made_by.exists()


def test_a_size_that_is_python_is_refused(honest: Members, tmp_path: Path) -> None:
    """torch evaluates sizes with sympify, which is eval; ours knows sympy's words and no others."""
    made_by = tmp_path / "made"
    evil = {**honest, PROGRAM: re.sub(rb"Symbol\('s\d+'[^)]*\)", python(made_by).encode(), honest[PROGRAM])}
    with pytest.raises(Exception):  # noqa: B017 - whatever torch makes of None as a size
        torch.export.load(packed(evil))
    assert made_by.exists()
    made_by.rmdir()
    with pytest.raises(Refused, match=r"holds the size .*mkdir") as refused:
        convert(packed(evil), "pt2")
    assert refused.value.kind == "model-malformed"
    assert not made_by.exists()


def test_pickled_weights_are_refused(honest: Members, tmp_path: Path) -> None:
    """A weight that says it is a pickle is refused by name, and left unread."""

    def as_pickle(config: Any) -> None:
        config["config"]["layers.0.weight"]["use_pickle"] = True

    evil = {**changed(honest, WEIGHTS, as_pickle), "data/weights/weight_0": trap(tmp_path / "made")}
    with pytest.raises(Refused, match=r"keeps 'layers.0.weight' as a pickle") as refused:
        convert(packed(evil), "pt2")
    assert refused.value.kind == "unsupported-format"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data/weights/model.pt", "holds a pickle"),
        ("data/constants/model.pt", "holds a pickle"),
        ("data/constants/custom_obj_0", "holds a pickle"),
        ("data/constants/opaque_obj_0", "holds a pickle"),
        ("data/aotinductor/model/a.so", "compiled code"),
        ("executorch/model.pte", "compiled code"),
        ("models/other.json", "no member that torch writes for one model"),
        ("data/weights/../../weight_0", "no member that torch writes"),
    ],
)
def test_members_that_hold_programs_are_refused(honest: Members, name: str, words: str, tmp_path: Path) -> None:
    """Pickled weights, constants and objects, and compiled code, are refused by the member's name."""
    with pytest.raises(Refused, match=words) as refused:
        pt2.rebuilt(packed({**honest, name: pickle.dumps(Touch(tmp_path / "made"))}))
    assert name in refused.value.detail


def test_the_format_of_older_torch_is_refused_with_what_to_do(honest: Members) -> None:
    """The archive that torch.export.save once wrote was all pickles: the caller is told to save it again."""
    old = {"version": b"8.8", "serialized_exported_program.json": honest[PROGRAM]}
    with pytest.raises(Refused, match=r"no member that torch writes|save it again"):
        pt2.rebuilt(packed(old))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda p: first(p).update(target="torch.os.system"), "operator-not-allowed", r"calls 'torch\.os\.system'"),
        (lambda p: first(p).update(target="torch.ops.aten.from_file.default"), "operator-not-allowed", "from_file"),
        (lambda p: first(p).update(target="torch.ops.mylib.op.default"), "operator-not-allowed", "mylib"),
        (lambda p: first(p).update(target="torch.load"), "operator-not-allowed", r"torch\.load"),
        (lambda p: first(p).update(target="_operator.attrgetter"), "operator-not-allowed", "attrgetter"),
        (lambda p: first(p).update(target="_operator.call"), "operator-not-allowed", "call"),
        (lambda p: first(p).update(name="x = print(1)\ny"), "model-malformed", "holds the name"),
        (lambda p: first(p)["inputs"][0].update(name="a');print('"), "model-malformed", "holds the name"),
        (lambda p: p.update(torch_version="2'); print('"), "model-malformed", "torch_version"),
        (lambda p: p.pop("graph_module"), "model-malformed", "graph_module"),
        (lambda p: p["graph_module"].pop("signature"), "model-malformed", "signature"),
        (lambda p: p["graph_module"].update(graph=[]), "model-malformed", "torch cannot load"),
        (lambda p: p["graph_module"]["graph"].update(nodes=[{}]), "model-malformed", "torch cannot load"),
    ],
)
def test_what_torch_would_look_up_or_write_into_python_is_checked(
    honest: Members, change: Callable[[Any], None], kind: str, words: str
) -> None:
    """Operators beyond ATen and names that are no names are refused, and so is what has another form."""
    with pytest.raises(Refused, match=words) as refused:
        convert(packed(changed(honest, PROGRAM, change)), "pt2")
    assert refused.value.kind == kind


def test_what_a_caller_nests_is_not_imported(honest: Members) -> None:
    """A treespec may name any class of any module, to be imported; it is replaced by a plain one."""

    def nested(program: Any) -> None:
        call = program["graph_module"]["module_call_graph"][0]["signature"]
        enum = json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "y"}])
        call["out_spec"] = json.dumps([1, {"type": "builtins.dict", "context": enum, "children_spec": []}])

    assert convert(packed(changed(honest, PROGRAM, nested)), "pt2").report["agreement"] == 1


def test_a_trace_of_calls_in_the_wrong_place_is_not_shown(honest: Members) -> None:
    """It has paths of the machine that exported, and nobody who reads a refusal needs them."""

    def misplace(program: Any) -> None:
        first(program)["notes"] = {"stack_trace": 'File "/home/me/net.py", line 24, in forward'}

    with pytest.raises(Refused) as refused:
        pt2.rebuilt(packed(changed(honest, PROGRAM, misplace)))
    assert refused.value.kind == "model-malformed"
    assert "/home/me" not in refused.value.detail


def test_weights_that_are_not_there_are_not_made_up(honest: Members) -> None:
    """An empty member with large sizes would become as many zeros."""

    def huge(config: Any) -> None:
        config["config"]["layers.0.weight"]["tensor_meta"]["sizes"] = [{"as_int": 2**20}, {"as_int": 2**20}]

    for weight in (b"", honest["data/weights/weight_0"]):
        evil = {**changed(honest, WEIGHTS, huge), "data/weights/weight_0": weight}
        with pytest.raises(Refused, match=r"are missing|torch cannot load") as refused:
            convert(packed(evil), "pt2")
        assert refused.value.kind == "model-malformed"


def test_bombs_are_refused_by_their_headers_and_by_what_they_unpack_to(
    honest: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members' sizes are added up first, and none may have more or less than its header says."""
    monkeypatch.setattr(pt2, "LARGEST", 1000)
    with pytest.raises(Refused, match="unpacks to more than 1,000 bytes") as refused:
        pt2.rebuilt(packed(honest))
    assert refused.value.kind == "model-too-large"
    monkeypatch.undo()
    lying = bytearray(packed(honest).getvalue())
    at = lying.rfind(b"net/data/weights/weight_0") - 46  # its entry in the table of contents
    lying[at + 20 : at + 28] = (10).to_bytes(4, "little") * 2
    with pytest.raises(Refused) as refused:
        pt2.rebuilt(io.BytesIO(bytes(lying)))
    assert refused.value.kind == "model-malformed"


def test_a_model_saved_on_a_gpu_is_read_on_a_cpu(honest: Members) -> None:
    """Devices are rewritten: who exported on CUDA is not asked to export again."""
    text = {name: honest[name].replace(b'"type": "cpu"', b'"type": "cuda"') for name in (WEIGHTS, PROGRAM)}
    assert text[WEIGHTS] != honest[WEIGHTS]
    assert convert(packed({**honest, **text}), "pt2").report["agreement"] == 1
