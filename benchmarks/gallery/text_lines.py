"""PaddleOCR's classifier of the direction of text lines (MobileNetV3), on lines cut out of a PDF of Debian's."""

import gzip
import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image

from benchmarks.gallery import files, outside
from benchmarks.gallery.pairs import Pair

HEIGHT, WIDTH = 48, 192  # what the network takes; lines are padded to the right
LINES = 300
FIRST_PAGE = 8  # behind the title and the contents
SCALE = 150 / 72  # dots per inch of the rendered page
DARK = 128
# Channels in the middle of each block, channels that come out of it, is there squeeze-and-excitation (by a quarter)?
BLOCKS = (
    *((8, 8, True), (24, 8, False), (32, 8, False), (32, 16, True), (88, 16, True), (88, 16, True), (40, 16, True)),
    *((48, 16, True), (104, 32, True), (200, 32, True), (200, 32, True)),
)
STEM, LAST = 8, 200
CONFIG = {
    "preprocessing": {"channels": "BGR", "scale": 1 / 255, "mean": 0.5, "std": 0.5, "pad": [HEIGHT, WIDTH]},
}
COUNTED = (
    "stem; expansion, depthwise and projection of 11 blocks; two convolutions of squeeze-and-excitation in 9 of them; "
    "the last convolution: 1 + 33 + 18 + 1. Channels are those of MobileNetV3-small x 0.35"
)


def lines(folder: Path) -> Iterator[Image.Image]:
    """Pieces of text lines of the Debian Policy, 48 pixels high and at most 192 wide."""
    where = files.debian("debian-policy", folder)
    document = pypdfium2.PdfDocument(gzip.decompress(files.only(where, "policy.pdf.gz").read_bytes()))
    for number in range(FIRST_PAGE, len(document)):
        page = document[number].render(scale=SCALE).to_pil().convert("RGB")
        for top, bottom in _bands(page):
            yield from _pieces(page, top, bottom)


def _bands(page: Image.Image) -> Iterator[tuple[int, int]]:
    """Top and bottom of each line of text, with two white rows."""
    dark = np.any(np.asarray(page.convert("L")) < DARK, axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.astype(np.int8), [0]])))
    for top, bottom in edges.reshape(-1, 2):
        if 12 <= bottom - top <= 40:
            yield int(top) - 2, int(bottom) + 2


def _pieces(page: Image.Image, top: int, bottom: int) -> Iterator[Image.Image]:
    """The left end of a line, about as wide as the network sees, cut between words."""
    ink = np.any(np.asarray(page.convert("L").crop((0, top, page.width, bottom))) < DARK, axis=0)
    [columns] = np.nonzero(ink)
    widest = (bottom - top) * WIDTH // HEIGHT
    left = int(columns[0]) - 2
    gaps = [place for place in range(left + widest - 8, left, -1) if not ink[place : place + 5].any()]
    right = gaps[0] + 3 if gaps else left + widest
    if right - left < widest // 2:
        return
    piece = page.crop((left, top, right, bottom))
    width = min(WIDTH, math.ceil(HEIGHT * piece.width / piece.height))
    yield piece.resize((width, HEIGHT), Image.Resampling.BILINEAR)


def prepared(picture: Image.Image) -> NDArray[np.float32]:
    """float32[3, 48, 192]: BGR, (x/255 - .5)/.5, padded with 0, by hand."""
    pixels = (np.asarray(picture, np.float32)[:, :, ::-1] / 255 - 0.5) / 0.5
    padded = np.zeros((3, HEIGHT, WIDTH), np.float32)
    padded[:, :, : picture.width] = pixels.transpose(2, 0, 1)
    return padded


def make(folder: Path) -> Iterator[Pair]:
    """The file as it is published, on every line upright and upside down."""
    model = files.only(files.pypi("rapidocr", folder), "ch_ppocr_mobile_v2.0_cls_mobile.onnx")
    (folder / model.name).write_bytes(model.read_bytes())
    pieces = [piece for piece, _ in zip(lines(folder), range(LINES), strict=False)]
    rows = []
    with zipfile.ZipFile(folder / "text-lines.zip", "w") as archive:
        for label, name in enumerate(["000-degrees", "180-degrees"]):
            for number, piece in enumerate(pieces):
                turned = piece.rotate(180 * label)
                file = io.BytesIO()
                turned.save(file, "PNG")
                archive.writestr(f"{name}/{number:03}.png", file.getvalue())
                rows.append(prepared(turned))
    y = np.repeat([0, 1], len(pieces))
    yield Pair(
        name="text-line direction",
        family="PaddleOCR MobileNetV3",
        form="PaddlePaddle, as published in rapidocr 3.10.0",
        model=(model.name,),
        dataset="text-lines.zip",
        outside=outside.accuracy_of_onnx(folder / model.name, {"x": np.stack(rows)}, y),
        by="onnxruntime, pictures prepared with numpy",
        sites=1 + sum(5 if gated else 3 for *_, gated in BLOCKS) + 1,
        units=STEM + sum(2 * wide + out + gated * (wide // 4 + wide) for wide, out, gated in BLOCKS) + LAST,
        counted=COUNTED,
        config=CONFIG,
        note=f"{len(pieces)} lines of the Debian Policy's PDF, each upright and turned",
    )
