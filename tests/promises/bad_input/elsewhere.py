"""ONNX whose weights lie in other files: none but those that were uploaded with it, wherever a path may lead."""

import io
import stat
import zipfile
from collections.abc import Mapping

from onnx import TensorProto

from tests.promises.bad_input.case import Case, Class, from_zoo
from tests.promises.misdeeds import zipped
from tests.zoo import models
from tests.zoo.graphs import network, saved

KIND, DAMAGED = "external-data-forbidden", "model-malformed"


def apart(entries: Mapping[str, str] | list[tuple[str, str]]) -> bytes:
    """A network whose first weights lie in another file, as these entries say."""
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items() if isinstance(entries, Mapping) else entries:
        tensor.external_data.add(key=key, value=value)
    return saved(model)


def beside(entries: Mapping[str, str] | list[tuple[str, str]], **members: bytes) -> bytes:
    """The same in a zip, with its data beside it."""
    return zipped({"net.onnx": apart(entries), "net.data": bytes(96), **members})


def outward(name: str, location: str, says: str = "'a'") -> Case:
    """A location that leads out of the zip."""
    return Case(name, lambda: beside({"location": location}), KIND, says)


def linked(mode: int, target: bytes) -> bytes:
    """The data file is a link or a device."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net.onnx", apart({"location": "net.data"}))
        member = zipfile.ZipInfo("net.data")
        member.create_system, member.external_attr = 3, (mode | 0o777) << 16
        archive.writestr(member, target)
    return file.getvalue()


def placed(name: str, says: str, **entries: str) -> Case:
    """A place in the data file that is none."""
    return Case(name, lambda: beside({"location": "net.data", **entries}), DAMAGED, says)


ONNX = Class(
    "model",
    14,
    (
        outward("a folder above", "../net.data"),
        outward("a folder above, by detour", "x/../../net.data"),
        outward("a path from the root", "/etc/passwd", "/etc/passwd"),
        outward("a process's own environment", "/proc/self/environ", "/proc/self/environ"),
        outward("a process's own memory", "/proc/self/mem"),
        outward("a device", "/dev/zero"),
        outward("an open file", "/dev/fd/3"),
        outward("no place", ""),
        outward("the folder itself", "."),
        outward("a folder", "./"),
        outward("a share of Windows", "\\\\server\\share\\net.data"),
        outward("a drive of Windows", "C:/net.data"),
        outward("a backslash upwards", "..\\net.data"),
        outward("NUL in a name", "net.data\0.txt"),
        outward("an address", "http://169.254.169.254/latest/meta-data"),
        outward("an address of a file", "file:///etc/passwd"),
        outward("a name of 5,000 letters", "d" * 5000),
        outward("the model itself", "net.onnx", "not among"),
        outward("a file that did not come", "other.data", "other.data"),
        outward("a name in another case", "NET.DATA", "NET.DATA"),
        Case("a symbolic link", lambda: linked(stat.S_IFLNK, b"/etc/passwd"), KIND, "link"),
        Case("a device in the zip", lambda: linked(stat.S_IFCHR, b""), KIND, "no plain file"),
        Case("a pipe in the zip", lambda: linked(stat.S_IFIFO, b""), KIND, "no plain file"),
        Case("no location at all", lambda: beside({"offset": "0"}), KIND, "''"),
        Case("alone, with its data at home", lambda: apart({"location": "net.data"}), KIND, "net.data"),
        Case(
            "two locations",
            lambda: beside([("location", "/etc/passwd"), ("location", "net.data")]),
            KIND,
            "twice",
        ),
        Case("a member that climbs", lambda: beside({"location": "../up"}, **{"../up": bytes(96)}), KIND, "../up"),
        *from_zoo(models.REFUSED, KIND),
        placed("an offset below zero", "'-4'", offset="-4"),
        placed("an offset behind the end", "9,999", offset="9999"),
        placed("an offset that is no number", "'0x4'", offset="0x4"),
        placed("an offset of 40 digits", "'9999", offset="9" * 40),
        placed("a length behind the end", "another export", length="999999"),
        placed("a length in exponents", "'1e9'", length="1e9"),
        placed("a length that is too short", "need 96 bytes and bring 4", length="4"),
        Case(
            "two offsets",
            lambda: beside([("location", "net.data"), ("offset", "0"), ("offset", "4")]),
            KIND,
            "twice",
        ),
    ),
)
