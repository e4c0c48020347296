"""Datasets of images: folders, splits and lists in zips and tars; the pixels; and archives that mean harm."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.worker.formats.reading import refused, taken, wanted

PIXELS = np.random.default_rng(3).integers(0, 256, (3, 4, 5, 3), np.uint8)
PICTURE = wanted("pixels", 3, 4, 5)
Files = dict[str, bytes]


def encoded(pixels: Any, form: str = "PNG", **how: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tarred(files: Files, mode: Any = "w", kind: bytes = tarfile.REGTYPE) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, "/etc/passwd"
            if kind != tarfile.REGTYPE:
                member.size = 0
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


ONE, TWO, THREE = (encoded(picture) for picture in PIXELS)
FOLDERS = {"cat/1.png": ONE, "dog/2.png": TWO, "cat/3.png": THREE}
PACKERS = {"zip": zipped, "tar": tarred, "tar.gz": lambda files: tarred(files, "w:gz")}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("around", ["", "./", "data/images/"])
def test_folders_are_classes(pack: Any, around: str) -> None:
    """In alphabetical order, whatever folder is around them, and what a Finder leaves there is not looked at."""
    files = {around + name: data for name, data in FOLDERS.items()}
    found, made = taken(pack({**files, "__MACOSX/cat/._1.png": b"x", around + "cat/.DS_Store": b"x"}), PICTURE)
    names = ["cat", "dog"]
    assert found["labels"]["names"] == names
    by_label = sorted(zip(made["labels"].tolist(), made["pixels"].sum((1, 2, 3)).tolist(), strict=True))
    sums = PIXELS.sum((1, 2, 3), dtype=np.float64).tolist()
    assert by_label == sorted([(0, sums[0]), (1, sums[1]), (0, sums[2])])


def test_folders_of_splits_hold_folders_of_classes() -> None:
    """The test's images unasked, the train's when asked."""
    data = zipped({"train/cat/1.png": ONE, "train/dog/2.png": TWO, "test/cat/3.png": THREE, "test/dog/2.png": TWO})
    _, made = taken(data, PICTURE)
    np.testing.assert_array_equal(made["pixels"], PIXELS[[2, 1]].transpose(0, 3, 1, 2))
    assert made["labels"].tolist() == [0, 1]
    _, made = taken(data, PICTURE, split="train")
    np.testing.assert_array_equal(made["pixels"], PIXELS[[0, 1]].transpose(0, 3, 1, 2))


def test_a_list_tells_the_classes() -> None:
    """labels.csv beside the images; an image that it leaves out is named."""
    files = {"images/1.png": ONE, "images/2.png": TWO, "labels.csv": b"filename,label\nimages/1.png,b\n2.png,a\n"}
    _, made = taken(zipped(files), PICTURE)
    assert made["labels"].tolist() == [1, 0]
    assert "images/3.png" in refused("dataset-malformed", zipped({**files, "images/3.png": THREE}))
    assert "needs a header" in refused("dataset-malformed", zipped({**files, "labels.csv": b"1.png,b\n"}))


GREY = Image.fromarray(PIXELS[0]).convert("L")
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned to the right


@pytest.mark.parametrize(
    ("file", "pixels"),
    [
        (encoded(GREY), np.asarray(GREY.convert("RGB"))),
        (encoded(Image.fromarray(PIXELS[0]).convert("RGBA")), PIXELS[0]),
        (encoded(PIXELS[0], "BMP"), PIXELS[0]),
        (encoded(PIXELS[0], "WEBP", lossless=True), PIXELS[0]),
        (encoded(GREY.convert("P"), "GIF"), np.asarray(GREY.convert("P").convert("RGB"))),
        (encoded(PIXELS[0].transpose(1, 0, 2)[::-1], exif=EXIF), PIXELS[0]),
    ],
    ids=["grey", "with alpha", "BMP", "WebP", "a palette", "turned by its EXIF"],
)
def test_images_become_rgb_as_they_are_seen(file: bytes, pixels: Any) -> None:
    """Bytes 0 to 255, in the model's layout."""
    _, made = taken(zipped({"a/1.png": file, "b/2.png": ONE}), PICTURE)
    np.testing.assert_array_equal(made["pixels"][0], pixels.transpose(2, 0, 1))


def test_jpeg_and_cmyk_are_what_pillow_makes_of_them() -> None:
    """Lossy, so held against the decoder."""
    for image in (Image.fromarray(PIXELS[0]), Image.fromarray(PIXELS[0]).convert("CMYK")):
        file = encoded(image, "JPEG")
        _, made = taken(zipped({"a/1.jpg": file, "b/2.png": ONE}), PICTURE)
        seen = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        np.testing.assert_array_equal(made["pixels"][0], seen.transpose(2, 0, 1))


def test_a_model_of_one_channel_gets_grey() -> None:
    """By the weights of BT.601, as Pillow converts."""
    _, made = taken(zipped(FOLDERS), wanted("x", 1, 4, 5))
    np.testing.assert_array_equal(made["x"][0, 0], np.asarray(GREY))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header tells a size that its pixels do not have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


DEEP = encoded(Image.fromarray(np.arange(20, dtype=np.uint16).reshape(4, 5) * 3000))


@pytest.mark.parametrize(
    ("kind", "file", "words"),
    [
        ("dataset-too-large", bomb(60_000, 60_000), "pixels"),
        ("dataset-too-large", bomb(8193, 8193), "pixels"),
        ("dataset-malformed", bomb(300, 300), "decoded"),
        ("dataset-malformed", b"", "decoded"),
        ("dataset-malformed", b"SIMPLE  =                    T" + bytes(3000), "none of these formats"),
        ("dataset-malformed", encoded(PIXELS[0], "TIFF"), "none of these formats"),
        ("dataset-malformed", encoded(PIXELS[0], "EPS"), "none of these formats"),
        ("dataset-malformed", ONE[:60], "decoded"),
        ("dataset-malformed", DEEP, "16 bits"),
    ],
    ids=["3.6 gigapixels", "one row too many", "a lie", "empty", "FITS", "TIFF", "EPS", "cut", "16 bits"],
)
def test_hostile_images_are_refused_by_name(kind: str, file: bytes, words: str) -> None:
    """Before anything of their size is allocated."""
    detail = refused(kind, zipped({"a/1.png": ONE, "b/evil.png": file}), PICTURE)
    assert words in detail
    assert "b/evil.png" in detail


def test_pictures_that_are_not_read_are_not_left_out() -> None:
    """A dataset without its TIFF files would be another dataset; whatever else lies there is nobody's example."""
    detail = refused(
        "dataset-malformed", zipped({"a/1.png": ONE, "b/scan.TIFF": b"II*\0", "README.md": b"hi"}), PICTURE
    )
    assert "b/scan.TIFF" in detail
    assert "Convert" in detail


def test_images_of_other_sizes_want_a_resize() -> None:
    """What to set is said, and the file that differs is named."""
    detail = refused("dataset-mismatch", zipped({"a/1.png": ONE, "b/2.png": encoded(PIXELS[0][:3])}), PICTURE)
    assert "resize" in detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_not_followed(kind: bytes) -> None:
    """They are nothing: what is left holds no image."""
    assert "no image" in refused("dataset-malformed", tarred({"a/1.png": b"", "b/2.png": b""}, kind=kind))


def test_a_link_in_a_zip_is_not_followed() -> None:
    """The image that it would be is not there."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("a/1.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "no image" in refused("dataset-malformed", file.getvalue())


def test_names_that_climb_are_only_names(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is unpacked, so that nothing can be written elsewhere."""
    monkeypatch.chdir(tmp_path)
    taken(zipped({"../../a/1.png": ONE, "../../b/2.png": TWO}), PICTURE)
    taken(tarred({"/etc/a/1.png": ONE, "/etc/b/2.png": TWO}), PICTURE)
    assert list(tmp_path.iterdir()) == []


def flagged() -> bytes:
    """A zip whose members say that they are encrypted."""
    data = bytearray(zipped(FOLDERS))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(mark)
        while place >= 0:
            data[place + at] |= 1
            place = data.find(mark, place + 1)
    return bytes(data)


def twice(pack: Any) -> bytes:
    return bytes(pack({"a/1.png": ONE, "a/2.png": TWO}).replace(b"a/2.png", b"a/1.png"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("dataset-malformed", flagged(), "encrypted"),
        ("dataset-malformed", zipped(FOLDERS, zipfile.ZIP_LZMA), "deflate"),
        ("dataset-malformed", twice(zipped), "twice"),
        ("dataset-malformed", zipped({"a/readme.txt": b"hello"}), "a/readme.txt"),
        ("dataset-too-large", zipped({"a/1.png": bytes(257 * 1024**2), "b/2.png": ONE}), "a/1.png"),
        ("dataset-malformed", tarred(FOLDERS)[:700], "a"),
        ("dataset-malformed", tarred(FOLDERS, "w:gz")[:60], "a"),
    ],
    ids=["encrypted", "LZMA", "a name twice", "no image", "a file of 257 MiB", "a cut tar", "a cut tar.gz"],
)
def test_hostile_archives_are_refused(kind: str, data: bytes, words: str) -> None:
    """In words that name the file."""
    assert words in refused(kind, data, PICTURE)
