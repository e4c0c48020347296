"""`.pt2` files that would run code: each is one change to a real one, and what it would do is never done."""

import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.promises.bad_input.case import Case, Class
from tests.worker.torch_nets import Mlp, example, made, save

MALFORMED, FORMAT, OPERATOR = "model-malformed", "unsupported-format", "operator-not-allowed"
WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
PROGRAM, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
EVIL = b"\x80\x02cposix\nsystem\n(S'touch /tmp/lesion-was-here'\ntR."
GIB = 1024  # MiB
Members = dict[str, bytes]


@functools.cache
def honest(form: str) -> Members:
    """The members of a real one: `pt2`, `traced` or `scripted`."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(made(Mlp), form, Path(folder) / "net", example(Mlp))
        with zipfile.ZipFile(path) as archive:
            return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(members: Members, folder: str = "net/") -> bytes:
    """An archive of these."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(folder + name, content)
    return file.getvalue()


def pt2(name: str, change: Callable[[Members], Members], kind: str, says: str) -> Case:
    """A `.pt2` with other members."""
    return Case(name, lambda: packed(change(dict(honest("pt2")))), kind, says, memory=GIB)


def holding(member: str, says: str = "", kind: str = FORMAT) -> Case:
    """A `.pt2` with one member too many."""
    return pt2(f"with {member}", lambda members: {**members, member: EVIL}, kind, says or member)


def lacking(member: str, says: str, kind: str) -> Case:
    """A `.pt2` with one member too few."""
    return pt2(f"without {member}", lambda members: {n: c for n, c in members.items() if n != member}, kind, says)


def told(name: str, member: str, change: Callable[[Any], object], kind: str, says: str) -> Case:
    """A `.pt2` with one of its JSON members changed."""

    def changed(members: Members) -> Members:
        found = json.loads(members[member])
        change(found)
        return {**members, member: json.dumps(found).encode()}

    return pt2(name, changed, kind, says)


def program(name: str, change: Callable[[Any], object], kind: str, says: str) -> Case:
    return told(name, PROGRAM, change, kind, says)


def node(found: Any) -> Any:
    """The first node of a program."""
    return found["graph_module"]["graph"]["nodes"][0]


def calling(target: str) -> Case:
    """A node that calls something else."""
    return program(f"calling {target}", lambda found: node(found).update(target=target), OPERATOR, target[:40])


def size(expression: str) -> Callable[[Members], Members]:
    """Sizes that are this Python."""

    def change(members: Members) -> Members:
        found = json.loads(members[PROGRAM])
        _everywhere(found, expression)
        return {**members, PROGRAM: json.dumps(found).encode()}

    return change


def _everywhere(found: Any, expression: str) -> None:
    for value in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        _everywhere(value, expression)
    if isinstance(found, dict) and "expr_str" in found:
        found["expr_str"] = expression


def entry(found: Any) -> Any:
    return found["config"]["layers.0.weight"]


PT2 = Class(
    "model",
    24,
    (
        *(
            holding(member)
            for member in (
                "data/weights/model.pt",
                "data/constants/model.pt",
                "data/weights/custom_obj_0",
                "data/constants/opaque_obj_0",
                "data/aotinductor/model/a.so",
                "data/aotinductor/model/a.wrapper.cpp",
                "executorch/model.pte",
            )
        ),
        holding("models/other.json", kind=MALFORMED),
        holding("data/weights/../../up", kind=MALFORMED),
        holding("code/__init__.py", kind=MALFORMED),
        lacking(WEIGHTS, WEIGHTS, FORMAT),
        lacking(CONSTANTS, CONSTANTS, FORMAT),
        lacking("data/weights/weight_0", "layers.0", MALFORMED),
        pt2(
            "of an older torch",
            lambda _: {"version": b"8.8", "serialized_exported_program.json": b"{}"},
            MALFORMED,
            "no member",
        ),
        pt2("a program that is no JSON", lambda members: {**members, PROGRAM: b"{"}, MALFORMED, "no JSON"),
        pt2("a program that is a list", lambda members: {**members, PROGRAM: b"[]"}, MALFORMED, "no JSON object"),
        pt2(
            "a program of 100,000 brackets", lambda members: {**members, PROGRAM: b"[" * 100_000}, MALFORMED, "no JSON"
        ),
        told(
            "weights that are pickled",
            WEIGHTS,
            lambda found: entry(found).update(use_pickle=True),
            FORMAT,
            "layers.0.weight",
        ),
        told(
            "weights that lie elsewhere",
            WEIGHTS,
            lambda found: entry(found).update(path_name="../../models/model.json"),
            MALFORMED,
            "layers.0.weight",
        ),
        told(
            "weights of another size",
            WEIGHTS,
            lambda found: entry(found)["tensor_meta"].update(sizes=[{"as_int": 2**20}] * 2),
            MALFORMED,
            "torch cannot load",
        ),
        *map(
            calling,
            (
                "torch.os.system",
                "torch.load",
                "torch.ops.aten.from_file.default",
                "torch.ops.mylib.op.default",
                "_operator.attrgetter",
                "_operator.call",
                "builtins.eval",
                "torch.ops.aten.set_.source_Tensor",
            ),
        ),
        pt2("a size that is Python", size("__import__('os').system('id')"), MALFORMED, "holds the size"),
        pt2(
            "a size that is a class of Python", size("Symbol('x', __class__=1).__class__"), MALFORMED, "holds the size"
        ),
        pt2(
            "a size of a hundred thousand letters",
            size("Add(1, " * 10_000 + "1" + ")" * 10_000),
            MALFORMED,
            "holds the size",
        ),
        program(
            "a name that is Python",
            lambda found: node(found).update(name="x = print(1)\ny"),
            MALFORMED,
            "holds the name",
        ),
        program(
            "a version that is Python",
            lambda found: found.update(torch_version="2'); print('"),
            MALFORMED,
            "torch_version",
        ),
        program("no graph", lambda found: found.pop("graph_module"), MALFORMED, "graph_module"),
        program("no signature", lambda found: found["graph_module"].pop("signature"), MALFORMED, "signature"),
        program(
            "nodes of nothing",
            lambda found: found["graph_module"]["graph"].update(nodes=[{}]),
            MALFORMED,
            "torch cannot load",
        ),
        Case("in two folders", lambda: packed(honest("pt2"), ""), MALFORMED, "one folder", memory=GIB),
    ),
)
