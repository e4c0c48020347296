"""Damage to zips and tars: members changed and packed anew with right checksums, so that it gets past the archive."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from random import Random

from benchmarks.fuzz import damage

Inner = Callable[[str, bytes, Random], bytes]  # damage to a member of this name
Members = list[tuple[str, bytes]]
NAMES = ("../../etc/passwd", "/etc/passwd", "a\\b", "x" * 300, "", ".", "nul\0byte", "é/ü.png", "__MACOSX/._x", "con")
EOCD, CENTRAL, LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"


def members(data: bytes) -> Members:
    """Names and contents of a sound zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def zipped(held: Members, random: Random) -> bytes:
    """A zip with right checksums, each member stored or deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in held:
            info = zipfile.ZipInfo(name.replace("\0", "?"))
            info.compress_type = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            if name in archive.NameToInfo:
                archive.NameToInfo.clear()  # else it warns of the second member of one name
            archive.writestr(info, content)
    return file.getvalue()


def of_zip(inner: Inner) -> Callable[[bytes, Random], bytes]:
    """Damage to a zip: most often to what a member holds, else to which members there are, else to its directory."""

    def damaged(data: bytes, random: Random) -> bytes:
        held = members(data)
        for _ in range(random.choice((1, 1, 2))):
            _change(held, random, inner)
        packed = zipped(held, random)
        return _directory(packed, random) if random.random() < 0.15 else packed

    return damaged


def _change(held: Members, random: Random, inner: Inner) -> None:
    if not held:
        return
    place = random.randrange(len(held))
    name, content = held[place]
    match random.randrange(12):
        case 0:
            del held[place]
        case 1:
            held.append((name, content))
        case 2:
            held[place] = (random.choice(NAMES), content)
        case 3:
            held[place] = (name, held[random.randrange(len(held))][1])
        case 4:
            random.shuffle(held)
        case _:
            held[place] = (name, inner(name, content, random))


def _directory(data: bytes, random: Random) -> bytes:
    """A number in a local header, in the directory or at its end is another."""
    made = bytearray(data)
    mark = random.choice((LOCAL, CENTRAL, EOCD))
    places = [place for place in range(len(made)) if made.startswith(mark, place)]
    if not places:
        return data
    place = random.choice(places) + 4 + random.choice((0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 34, 38))
    width = random.choice((2, 4))
    made[place : place + width] = (damage.integer(random) % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(made)


def of_tar(inner: Inner) -> Callable[[bytes, Random], bytes]:
    """Damage to a tar, packed or not: to what a member holds, or to a field of a header, with the sum made right."""

    def damaged(data: bytes, random: Random) -> bytes:
        packed = data.startswith(b"\x1f\x8b")
        plain = gzip.decompress(data) if packed else data
        plain = _refilled(plain, random, inner) if random.random() < 0.6 else _headed(plain, random)
        return gzip.compress(plain, 1, mtime=0) if packed else plain

    return damaged


def _refilled(data: bytes, random: Random, inner: Inner) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old:
        held: Members = [(each.name, _content(old, each)) for each in old]
    _change(held, random, inner)
    with tarfile.open(fileobj=file, mode="w", format=random.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))) as new:
        for name, content in held:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.type = random.choice((*[tarfile.REGTYPE] * 20, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CONTTYPE))
            member.linkname = "" if member.isreg() else random.choice(NAMES).replace("\0", "?")
            new.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    return b"" if opened is None else opened.read()


def _headed(data: bytes, random: Random) -> bytes:
    made = bytearray(data)
    headers = [place for place in range(0, len(made) - 511, 512) if made[place + 257 : place + 262] == b"ustar"]
    if not headers:
        return data
    start = random.choice(headers)
    field, width = random.choice(((0, 100), (100, 8), (124, 12), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8)))
    value = random.choice((b"7" * width, b"\xff" * width, b"\x80" + bytes(width), b"-1", b"x", b"L", b"S", b"K", b"g"))
    made[start + field : start + field + width] = value[:width].ljust(width, b"\0")
    made[start + 148 : start + 156] = b" " * 8
    made[start + 148 : start + 156] = b"%06o\0 " % (sum(made[start : start + 512]) % 0o777777)
    return bytes(made)


def blind_inside(_name: str, content: bytes, random: Random) -> bytes:
    """Damage to a member of which nothing is known."""
    return damage.blind(content, random, content)
