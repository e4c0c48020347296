"""Archives of images that climb, lie or never end, and pictures that are none."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from PIL import Image

from tests.promises.bad_input.case import Case, Class
from tests.promises.bad_input.formats import encrypted
from tests.promises.misdeeds import png, zipped
from tests.worker.formats.reading import reading, wanted

KIND, LARGE = "dataset-malformed", "dataset-too-large"
PICTURE = reading(wanted("pixels", 3, 4, 4))
Members = dict[str, bytes]


def encoded(form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (4, 4), **how: Any) -> bytes:
    """A picture."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, form, **how)
    return file.getvalue()


GOOD = encoded()
TWO = {"cat/1.png": GOOD, "dog/2.png": GOOD}


def picture(name: str, data: Callable[[], bytes], says: str = "2.png", kind: str = KIND, ending: str = "png") -> Case:
    """One picture of two is none. What a picture is, is seen when it is read for a model."""
    return Case(name, lambda: zipped({"cat/1.png": GOOD, f"dog/2.{ending}": data()}), kind, says, PICTURE)


def archive(name: str, make: Callable[[], bytes], says: str, kind: str = KIND, memory: int = 64) -> Case:
    """An archive that is refused."""
    return Case(name, make, kind, says, PICTURE, memory)


def spoilt(change: Callable[[bytearray], object], packed: bool = True) -> Callable[[], bytes]:
    """A good archive with some of its bytes changed."""

    def make() -> bytes:
        data = bytearray(zipped(TWO, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED))
        change(data)
        return bytes(data)

    return make


def put(data: bytearray, sign: bytes, offset: int, value: bytes, last: bool = False) -> None:
    at = (data.rindex(sign) if last else data.index(sign)) + offset
    data[at : at + len(value)] = value


def same_name(data: bytearray) -> None:
    """The second member is called as the first."""
    for _ in range(2):
        put(data, b"dog/2.png", 0, b"cat/1.png")


def tarred(*members: tuple[Any, bytes]) -> bytes:
    """A tar of these members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for member, data in members:
            made.addfile(member, io.BytesIO(data))
    return file.getvalue()


def member(name: str, size: int, **fields: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = size
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def false_size(size: bytes) -> bytes:
    """A tar whose member says it is so large."""
    data = bytearray(tarred((member("cat/1.png", len(GOOD)), GOOD)))
    data[124:136] = size
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    return bytes(data)


def chunked(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def text_bomb() -> bytes:
    """A picture with a compressed note of 64 MiB."""
    note = chunked(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26)))
    return GOOD[:33] + note + GOOD[33:]


def links() -> bytes:
    """Nothing but links."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        link = zipfile.ZipInfo("cat/1.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")
    return file.getvalue()


def many(count: int) -> bytes:
    """Many entries of nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number in range(count):
            made.writestr(f"c/{number}.png", b"")
    return file.getvalue()


def grown() -> bytes:
    """A member that goes on for 300 MiB, and says so."""
    return zipped({"cat/1.png": bytes(300 * 2**20), "dog/2.png": GOOD}, zipfile.ZIP_DEFLATED)


LOCAL, ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
IMAGES = Class(
    "dataset",
    30,
    (
        archive("no picture", lambda: zipped({"cat/notes.txt": b"x", "dog/more.txt": b"y"}), "cat/notes.txt"),
        archive("nothing but links", links, "nothing"),
        archive("nothing but hidden files", lambda: zipped({".git/1.png": GOOD, "__MACOSX/2.png": GOOD}), "nothing"),
        archive("encrypted", lambda: encrypted(zipped(TWO)), "encrypted"),
        archive("packed by bzip2", lambda: zipped(TWO, zipfile.ZIP_BZIP2), "another method"),
        archive("packed by LZMA", lambda: zipped(TWO, zipfile.ZIP_LZMA), "another method"),
        archive("one name twice", spoilt(same_name), "twice"),
        archive("cut off", spoilt(lambda d: d.__delitem__(slice(-30, None))), "damaged"),
        archive("a directory behind the end", spoilt(lambda d: put(d, END, 16, b"\xff\xff\xff\x7f")), "damaged"),
        archive("a member behind the end", spoilt(lambda d: put(d, ENTRY, 42, b"\xff\xff\xff\x7f")), "damaged"),
        archive(
            "members that overlap", spoilt(lambda d: put(d, ENTRY, 42, bytes(4), last=True), packed=False), "damaged"
        ),
        archive("another checksum", spoilt(lambda d: put(d, ENTRY, 16, b"abcd")), "damaged"),
        archive("data that does not unpack", spoilt(lambda d: put(d, LOCAL, 40, b"\xff" * 20)), "damaged"),
        archive("300 MiB of zeros", grown, "268,435,456 bytes", LARGE),
        archive(
            "a list that names no picture",
            lambda: zipped({**TWO, "labels.csv": b"filename,label\nx.png,1\n"}),
            "does not list",
        ),
        archive("a list without a header", lambda: zipped({**TWO, "labels.csv": b"1.png,cat\n"}), "header"),
        archive("a list of no UTF-8", lambda: zipped({**TWO, "labels.csv": b"filename,label\n\xff,1\n"}), "CSV"),
        archive("a class of 300 letters", lambda: zipped({"c" * 300 + "/1.png": GOOD, "d/2.png": GOOD}), "300"),
        archive(
            "a tar that is cut off", lambda: tarred((member("cat/1.png", len(GOOD)), GOOD))[:540], "unexpected end"
        ),
        archive(
            "a tar of links",
            lambda: tarred((member("cat/1.png", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd"), b"")),
            "no image",
        ),
        archive("a tar of devices", lambda: tarred((member("cat/1.png", 0, type=tarfile.CHRTYPE), b"")), "no image"),
        archive("a tar with a file of 8 GiB", lambda: false_size(b"77777777777\0"), "bytes", LARGE),
        archive("a tar with a file below zero", lambda: false_size(b"\xff" * 12), "", LARGE),
        archive(
            "a tar with one name twice",
            lambda: tarred((member("a/1.png", len(GOOD)), GOOD), (member("a/1.png", len(GOOD)), GOOD)),
            "twice",
        ),
        archive("gzip that is no tar", lambda: b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(60), "tar"),
        archive("50,000 entries of nothing", lambda: many(50_000), "decoded", memory=128),
        picture("no bytes", lambda: b""),
        picture("an SVG", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        picture("a page of HTML", lambda: b"<html></html>"),
        picture("a FITS file", lambda: b"SIMPLE  =                    T".ljust(2880)),
        picture("a PDF", lambda: encoded("PDF")),
        picture("a TIFF", lambda: encoded("TIFF")),
        picture("an EPS, which would want a program", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n"),
        picture("a text of QOI", lambda: b"qoif" + bytes(20)),
        picture("a picture that is cut off", lambda: encoded(size=(64, 64))[:-60]),
        picture("a JPEG that is cut off", lambda: encoded("JPEG", size=(64, 64))[:200], "2.jpg", ending="jpg"),
        picture("ten gigapixels", lambda: png(100_000, 100_000, lines=1), "pixels", LARGE),
        picture(
            "ten gigapixels of GIF",
            lambda: (
                b"GIF89a"
                + struct.pack("<HH", 65535, 65535)
                + bytes(3)
                + b","
                + struct.pack("<HHHH", 0, 0, 65535, 65535)
                + b"\0\x08\x02\x4c\x01\0\x3b"
            ),
            "pixels",
            LARGE,
            "gif",
        ),
        picture(
            "ten gigapixels of BMP",
            lambda: b"BM" + struct.pack("<IHHIIiiHH", 100, 0, 0, 54, 40, 100_000, 100_000, 1, 24) + bytes(40),
            "pixels",
            LARGE,
            "bmp",
        ),
        picture(
            "ten gigapixels of WebP",
            lambda: encoded("WEBP")[:12] + b"VP8X\x0a\0\0\0\0\0\0\0" + b"\x9f\x86\x01" * 2 + bytes(20),
            "pixels",
            LARGE,
            "webp",
        ),
        picture("no width", lambda: png(0, 4), "2.png"),
        picture("a size of 2^31", lambda: GOOD[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + GOOD[24:], "2.png"),
        picture("16 bits a channel", lambda: encoded(mode="I;16"), "16 bits"),
        picture("floats", lambda: png(4, 4)[:24] + b"\x20" + png(4, 4)[25:], "2.png"),
        picture("a compressed note of 64 MiB", text_bomb, "2.png"),
        picture("another checksum in it", lambda: GOOD[:-20] + b"abcd" + GOOD[-16:], "2.png"),
        picture("another size than the others", lambda: encoded(size=(5, 7)), "2.png", "dataset-mismatch"),
    ),
)
