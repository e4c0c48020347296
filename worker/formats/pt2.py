"""A `.pt2` archive taken apart and put together again without anything that torch would unpickle. No torch here.

torch.export.load loads pickles, and falls back to loading them without restraint. So it is never shown the upload:
what it gets is an archive of our own, with raw weights and a checked program, in which nothing is pickled.
"""

import io
import json
import re
import zipfile
from typing import IO, Any

from worker.formats import exported, zips
from worker.formats.refusals import Refused

LARGEST = 2 * 1024**3 - 1  # bytes of all members; ONNX ends there too
JSON_LIMIT = 256 * 1024**2  # bytes of the program's text
MEMBERS = 200_000
RAW = re.compile(r"data/weights/weight_\d+|data/constants/tensor_\d+", re.ASCII)
PROGRAM = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
SAMPLES = "data/sample_inputs/model.pt"  # examples, a pickle; they are not read
MARKS = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little", ".data/version": b"6\n"}
IGNORED = frozenset([SAMPLES, ".data/serialization_id", ".data/version", "version"])
AGAIN = (
    "Load it where it was made, with the torch that saved it, and save it again with torch 2.9 or newer "
    "(torch.export.save), or export it to ONNX: torch.onnx.export(program, dynamo=True).save('model.onnx')."
)
Json = dict[str, Any]


def rebuilt(file: IO[bytes]) -> bytes:
    """An archive of our own with the same weights and the same program, checked, and with no pickle in it.

    Raises `Refused` for pickled weights or constants, compiled code, and whatever else torch does not write.
    """
    with zips.refusing(lambda why: _malformed(f"it is no sound zip archive ({why})")), zipfile.ZipFile(file) as archive:
        return _rebuilt(archive)


def _rebuilt(archive: zipfile.ZipFile) -> bytes:
    members = _members(archive)
    _refuse_pickles(members)
    program = exported.cleaned(_json(archive, members, PROGRAM))
    configs = {name: _config(archive, members, name) for name in CONFIGS}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as copy:
        for name, content in MARKS.items():
            copy.writestr(f"model/{name}", content)
        copy.writestr(f"model/{SAMPLES}", b"")
        for name, found in {PROGRAM: program, **configs}.items():
            copy.writestr(f"model/{name}", json.dumps(found))
        for name, member in members.items():
            if RAW.fullmatch(name):
                copy.writestr(f"model/{name}", _bytes(archive, member))
    return out.getvalue()


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by their names below its one folder."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise _malformed(f"it has {len(infos):,} members")
    if sum(info.file_size for info in infos) > LARGEST:
        raise Refused("model-too-large", f"The .pt2 unpacks to more than {LARGEST:,} bytes.")
    members = {info.filename.partition("/")[2]: info for info in infos}
    if len(members) < len(infos) or len({info.filename.partition("/")[0] for info in infos}) != 1:
        raise _malformed("its members do not lie in one folder, each once")
    return members


def _refuse_pickles(members: dict[str, zipfile.ZipInfo]) -> None:
    known = {PROGRAM, *CONFIGS, *MARKS, *IGNORED}
    for name in members:
        if name.startswith("extra/"):  # the exporter's notes
            continue
        if name.startswith(("data/aotinductor/", "executorch/")):
            detail = f"The .pt2 holds compiled code ({name[:100]}). {AGAIN}"
            raise Refused("unsupported-format", detail)
        if (name.endswith(".pt") and name != SAMPLES) or "custom_obj" in name or "opaque" in name:
            raise Refused("unsupported-format", f"The .pt2 holds a pickle ({name[:100]}), which is a program. {AGAIN}")
        if name not in known and not RAW.fullmatch(name):
            raise _malformed(f"{name[:100]!r} is no member that torch writes for one model")


def _json(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> Json:
    member = members.get(name)
    if member is None:
        raise Refused("unsupported-format", f"The .pt2 has no {name}: it is of an older or another kind. {AGAIN}")
    if member.file_size > JSON_LIMIT:
        raise Refused("model-too-large", f"{name} in the .pt2 has more than {JSON_LIMIT:,} bytes.")
    try:
        found = json.loads(_bytes(archive, member))
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{name} is no JSON") from error
    if not isinstance(found, dict):
        raise _malformed(f"{name} is no JSON object")
    return found


def _config(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> Json:
    """What the raw members are: {"config": {parameter: {"path_name", "use_pickle", "tensor_meta", ..}}}."""
    entries = _json(archive, members, name).get("config")
    if not isinstance(entries, dict):
        raise _malformed(f'{name} has no "config"')
    folder = name.rpartition("/")[0]
    for parameter, entry in entries.items():
        path = entry.get("path_name") if isinstance(entry, dict) else None
        if not isinstance(path, str) or entry.get("use_pickle") is not False or not entry.get("tensor_meta"):
            detail = f"The .pt2 keeps {parameter[:100]!r} as a pickle, which is a program. {AGAIN}"
            raise Refused("unsupported-format", detail)
        if not RAW.fullmatch(f"{folder}/{path}") or f"{folder}/{path}" not in members:
            raise _malformed(f"the values of {parameter[:100]!r} are not in it")
        if members[f"{folder}/{path}"].file_size == 0 and not _is_empty(entry["tensor_meta"]):
            raise _malformed(f"the values of {parameter[:100]!r} are missing")  # torch would make as many zeros
    return {"config": exported.checked(entries)}


def _is_empty(tensor: Any) -> bool:
    sizes = tensor.get("sizes") if isinstance(tensor, dict) else None
    return isinstance(sizes, list) and {"as_int": 0} in sizes


def _bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's content, never more than its header says."""
    with archive.open(member) as opened:
        content = opened.read(member.file_size)
        if len(content) < member.file_size or opened.read(1):
            raise _malformed(f"{member.filename[:100]} has another length than its header says")
    return content


def _malformed(what: str) -> Refused:
    return Refused("model-malformed", f"The .pt2 cannot be read: {what}. Save it again with torch.export.save.")
