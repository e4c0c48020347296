"""A model in several files: a zip of one .onnx file and the data files in which its weights lie, made into one.

Nothing is unpacked to disk and no name in the zip becomes a path: a location can only mean another member.
"""

import posixpath
import stat
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from worker.formats import graphs, weights, zips
from worker.formats.refusals import Refused

LARGEST = 2 * 1024**3 - 1  # bytes of the model that comes out; protobuf ends there too
MEMBERS = 10_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
PIECE = 16 * 1024**2  # bytes read at once
ENCRYPTED = 1
LONGEST = 4096  # letters of a location
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z")
# What lies beside models and is none of their data.
NOTES = (".csv", ".json", ".md", ".model", ".png", ".py", ".rst", ".txt", ".yaml", ".yml", "license", "notice", ".jpg")
JUNK = ("__MACOSX/", ".git/")
Infos = dict[str, zipfile.ZipInfo]


@dataclass(frozen=True)
class _Piece:
    """Where a tensor's bytes lie: so many from an offset on in a member."""

    member: str
    offset: int
    length: int


def unbundled(file: IO[bytes]) -> bytes:
    """The bytes of a zip's model with all its weights in it. Raises `Refused` with the member that is at fault."""
    with zips.refusing(lambda why: _malformed(f"The zip cannot be read ({why}).")), zipfile.ZipFile(file) as archive:
        return _unbundled(archive)


def _unbundled(archive: zipfile.ZipFile) -> bytes:
    members = _members(archive)
    name = _only_model(members)
    model = _parsed(_whole(archive, members[name]), name)
    outside = [tensor for tensor in graphs.tensors(model) if weights.is_elsewhere(tensor)]
    places = [_piece(tensor, name, members) for tensor in outside]
    if members[name].file_size + sum(place.length for place in places) > LARGEST:
        raise Refused("model-too-large", f"The model in {name!r} has more than {LARGEST:,} bytes with its weights.")
    _refuse_unused(members, {name, *(place.member for place in places)})
    _fill(archive, members, outside, places)
    return bytes(model.SerializeToString())


def _malformed(detail: str) -> Refused:
    return Refused("model-malformed", f"{detail} Pack or upload the files again.")


def _members(archive: zipfile.ZipFile) -> Infos:
    infos = [info for info in archive.infolist() if not zips.is_folder(info) and not _is_junk(info.filename)]
    if len(infos) > MEMBERS:
        raise _malformed(f"The zip has {len(infos):,} members; {MEMBERS:,} are the limit.")
    members: Infos = {}
    for info in infos:
        _check(info)
        if info.filename in members:
            raise _malformed(f"{info.filename[:100]!r} is in the zip twice.")
        members[info.filename] = info
    if sum(info.file_size for info in infos) > LARGEST:
        raise Refused("model-too-large", f"The zip unpacks to more than {LARGEST:,} bytes.")
    return members


def _is_junk(name: str) -> bool:
    return name.startswith(JUNK) or posixpath.basename(name).startswith("._") or name.endswith(".DS_Store")


def _check(info: zipfile.ZipInfo) -> None:
    name = repr(info.filename[:100])
    if info.flag_bits & ENCRYPTED:
        raise _malformed(f"{name} in the zip is encrypted.")
    if info.compress_type not in METHODS:
        raise _malformed(f"{name} in the zip is neither stored nor deflated.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Refused("external-data-forbidden", f"{name} in the zip is a link or no plain file. Pack the file itself.")
    if info.filename.lower().endswith(ARCHIVES):
        raise Refused("unsupported-format", f"{name} is an archive in the archive. Pack the model's files alone.")


def _only_model(members: Iterable[str]) -> str:
    found = [name for name in members if name.lower().endswith(".onnx")]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(repr(name[:100]) for name in found[:5]) or "none"
    raise Refused("unsupported-format", f"The zip must hold one .onnx file, and holds {len(found)}: {shown}.")


def _parsed(data: bytes, name: str) -> ModelProto:
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise _malformed(f"{name[:100]!r} is no ONNX model, or not all of one.") from error


def _piece(tensor: TensorProto, model: str, members: Infos) -> _Piece:
    """Where a tensor's bytes lie, checked: within a member, and as many as its shape needs."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if len(entries) < len(tensor.external_data):
        detail = f"The weights {tensor.name[:100]!r} say twice where they lie. Export the model anew."
        raise Refused("external-data-forbidden", detail)
    member = _located(entries.get("location", ""), model, members, tensor.name)
    offset = _number(entries.get("offset", "0"), tensor.name)
    size = members[member].file_size
    length = _number(entries["length"], tensor.name) if "length" in entries else max(size - offset, 0)
    if offset + length > size:
        raise _malformed(
            f"The weights {tensor.name[:100]!r} are bytes {offset:,} to {offset + length:,} of {member[:100]!r}, which "
            f"has {size:,}. Is the data file of another export?"
        )
    return _Piece(member, offset, length)


def _number(text: str, tensor: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise _malformed(f"The weights {tensor[:100]!r} have the offset or length {text[:20]!r}.")
    return int(text)


def _located(location: str, model: str, members: Infos, tensor: str) -> str:
    """The member that a location means, seen from the model's folder. Raises `Refused` if it leads out of the zip."""
    shown = f"The weights {tensor[:100]!r} lie in {location[:100]!r}"
    parts = location.split("/")
    outward = location.startswith("/") or ".." in parts or "\\" in location or "\0" in location or ":" in parts[0]
    if outward or not location or len(location) > LONGEST:
        raise Refused("external-data-forbidden", f"{shown}, which is no file beside the model. Export the model anew.")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(model), location))
    if name not in members:  # several files that are uploaded together lose their folders
        name = posixpath.join(posixpath.dirname(model), posixpath.basename(location))
    if name not in members or name == model:
        there = ", ".join(repr(each[:100]) for each in list(members)[:5])
        raise Refused(
            "external-data-forbidden",
            f"{shown}, which is not among the files that were uploaded ({there}). Upload it with the model: "
            "-F file=@model.onnx -F file=@DATA, or a zip of both.",
        )
    return name


def _refuse_unused(members: Iterable[str], used: set[str]) -> None:
    """Data that the model does not name is a sign that something is mixed up; notes beside it are none."""
    for name in members:
        if name not in used and not name.lower().endswith(NOTES):
            raise Refused(
                "unsupported-format",
                f"{name[:100]!r} is in the zip, and the model takes nothing from it. Is it of another export? Pack the "
                "model and its own data files alone.",
            )


def _fill(archive: zipfile.ZipFile, members: Infos, tensors: list[TensorProto], places: list[_Piece]) -> None:
    """Put the bytes where they belong. Each member is read once, from its start to its end."""
    wanted: dict[str, dict[_Piece, list[TensorProto]]] = {}
    for tensor, place in zip(tensors, places, strict=True):
        wanted.setdefault(place.member, {}).setdefault(place, []).append(tensor)
    for member, pieces in wanted.items():
        with archive.open(members[member]) as opened:
            _fill_from(opened, pieces)


def _fill_from(opened: IO[bytes], pieces: Mapping[_Piece, list[TensorProto]]) -> None:
    at = 0
    for piece in sorted(pieces, key=lambda each: (each.offset, each.length)):
        if piece.offset < at:
            raise _malformed(f"Two weights share bytes of {piece.member[:100]!r} in part.")
        _skip(opened, piece.offset - at)
        content = _taken(opened, piece.length, piece.member)
        for tensor in pieces[piece]:
            tensor.raw_data = content
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        at = piece.offset + piece.length


def _skip(opened: IO[bytes], count: int) -> None:
    while count > 0 and (read := len(opened.read(min(count, PIECE)))):
        count -= read


def _whole(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as opened:
        return _taken(opened, info.file_size, info.filename)


def _taken(opened: IO[bytes], length: int, member: str) -> bytes:
    """So many bytes, read piece by piece: what a header promises is not believed before it is there."""
    content = bytearray()
    while len(content) < length and (piece := opened.read(min(length - len(content), PIECE))):
        content += piece
    if len(content) < length:
        raise _malformed(f"{member[:100]!r} in the zip is shorter than it says.")
    return bytes(content)
