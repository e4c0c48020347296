"""Datasets: images in a zip or tar, in a folder for each class, or with a labels.csv beside them."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.formats.archives import MEMBERS_LIMIT, Archive
from worker.formats.splits import WORDS
from worker.formats.tables import IMAGE, TEXT, Column, Piece, Table, counted, malformed, named, too_large

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif")
# Pictures all the same: they are refused, for a dataset that shrinks in silence would give another score.
FOREIGN = (".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".jfif", ".pgm", ".ppm", ".dcm")
LIST_LIMIT = 64 * 1024**2  # bytes of labels.csv
LISTS = ("labels.csv", "metadata.csv")
FILE_NAMES, LABELS = ("filename", "file_name", "file", "image"), ("label", "class", "target")
PIECE = 16 * 1024**2  # bytes of files, once there are so many, that make a piece
AT_ONCE = 16  # images in a piece at most
HOW = "Put each image into a folder named for its class, and zip those folders."


@dataclass(frozen=True)
class Picture:
    """One image of the archive: its name there, its class, and its split if there are any."""

    member: str
    label: str | None
    split: str | None


class Images(Table):
    """The images of an archive, in the order of their names, or of a packed tar as they lie in it."""

    format = "images"

    def __init__(self, archive: Archive, pictures: Sequence[Picture]) -> None:
        self._archive, self._pictures = archive, pictures
        self.warnings = []
        self.examples = counted(len(pictures))
        splits = Counter(picture.split for picture in pictures)
        self.splits = None if None in splits else {str(name): splits[name] for name in sorted(map(str, splits))}
        self.columns = {"image": Column("image", IMAGE, ("height", "width", 3))}
        if all(picture.label is not None for picture in pictures):
            self.columns["label"] = Column("label", TEXT)

    def pieces(self, names: Sequence[str]) -> Iterator[Piece]:
        """Files of images, and names of classes."""
        if "image" not in names:
            yield {"label": [picture.label for picture in self._pictures]}
            return
        files: list[bytes] = []
        for place, picture in enumerate(self._pictures, 1):
            files.append(self._archive.files[picture.member]())
            if len(files) == AT_ONCE or sum(map(len, files)) > PIECE or place == self.examples:
                some = self._pictures[place - len(files) : place]
                yield {"image": files, "label": [each.label for each in some]}
                files = []

    def of_split(self, name: str) -> "Images":
        """The images below one of the split folders."""
        chosen = [Picture(each.member, each.label, None) for each in self._pictures if each.split == name]
        return Images(self._archive, chosen)

    def called(self, place: int) -> str:
        """The name of the image's file."""
        return self._pictures[place].member[:200]


def read(archive: Archive) -> Images:
    """The images of an archive, with their classes and splits."""
    names = [name for name in archive.files if name.lower().endswith(ENDINGS)]
    if not names:
        held = ", ".join(name[:60] for name in list(archive.files)[:5]) or "nothing"
        raise malformed(f"The archive holds no image (JPEG, PNG, BMP, WebP or GIF), but {held}. {HOW}")
    foreign = [name for name in archive.files if name.lower().endswith(FOREIGN)]
    if foreign:
        more = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        what = f"{foreign[0][:200]}{more} cannot be read; JPEG, PNG, BMP, WebP and GIF are"
        raise malformed(f"{what}. Convert such pictures, or take them out of the archive.")
    listed = _listed(archive, names)
    depth = _depth(names)
    pictures = [_picture(name, listed, depth) for name in names]
    named({picture.label for picture in pictures if picture.label is not None}, "class")
    if any(picture.split is None for picture in pictures):  # then those folders were classes, or nothing
        pictures = [Picture(each.member, each.label, None) for each in pictures]
    return Images(archive, pictures)


def _depth(names: Sequence[str]) -> int:
    """How many folders wrap everything: those that all names begin with, as long as others lie below them."""
    folders = [name.split("/")[:-1] for name in names]
    depth = 0
    while all(len(each) > depth + 1 for each in folders) and len({each[depth] for each in folders}) == 1:
        if folders[0][depth].lower() in WORDS:
            break
        depth += 1
    return depth


def _picture(name: str, listed: Mapping[str, str] | None, depth: int) -> Picture:
    folders = name.split("/")[:-1][depth:]
    levels = 1 if listed is not None else 2  # a folder below that of a split is a class, unless a list tells classes
    split = folders[0].lower() if len(folders) >= levels and folders[0].lower() in WORDS else None
    if listed is not None:
        return Picture(name, listed[name], split)
    below = folders if split is None else folders[1:]
    return Picture(name, below[0] if below else None, split)


def _listed(archive: Archive, names: Sequence[str]) -> dict[str, str] | None:
    """The class of each image by its name, from the lists in the archive; None if there is no list."""
    lists = [name for name in archive.files if name.rpartition("/")[2].lower() in LISTS]
    if not lists:
        return None
    told: dict[str, str] = {}
    for name in lists:
        folder = name[: name.rfind("/") + 1]
        for file, label in _rows(name, archive.files[name]()):
            told[folder + file.removeprefix("./")] = label
            if len(told) > MEMBERS_LIMIT:
                raise too_large(f"{name[:200]} lists more than {MEMBERS_LIMIT:,} files.")
    short = Counter(name.rpartition("/")[2] for name in names)
    by_short = {name.rpartition("/")[2]: label for name, label in told.items()}
    found: dict[str, str] = {}
    for name in names:
        last = name.rpartition("/")[2]
        listed = told.get(name, by_short.get(last) if short[last] == 1 else None)
        if listed is None:
            raise malformed(f"{lists[0][:200]} does not list {name[:200]}. Add a line for it, or take the image out.")
        found[name] = listed
    return found


def _rows(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """File and label of each line of a CSV file with a header."""
    if len(data) > LIST_LIMIT:
        raise too_large(f"{name[:200]} has {len(data):,} bytes; {LIST_LIMIT:,} are the limit.")
    try:
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig")))
        header = [cell.strip().lower() for cell in next(rows, [])]
        file = next((header.index(each) for each in FILE_NAMES if each in header), None)
        label = next((header.index(each) for each in LABELS if each in header), None)
        if file is None or label is None:
            raise malformed(f"{name[:200]} needs a header, with the columns filename and label.")
        for row in rows:
            if row and len(row) <= max(file, label):
                raise malformed(
                    f"{name[:200]} lacks a file's name or its label in line {rows.line_num}. Mend that line."
                )
            if row:
                yield row[file], row[label].strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise malformed(f"{name[:200]} cannot be read as CSV: {str(error)[:100]}.") from error
