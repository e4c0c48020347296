"""Several files as one: a zip that depends on their names and bytes alone, so that its digest names them all.

Members are stored, in the order of their names, each dated 1980: the same files packed anywhere give the same bytes.
"""

import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

MOST_FILES = 1024  # of one upload of several files
LONGEST_NAME = 255  # bytes of a file's name
PIECE = 1024**2  # bytes copied at once
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold


class UnfitNameError(ValueError):
    """A file's name cannot be packed; the message says why, and what to do."""


def pack(files: Mapping[str, Path], out: IO[bytes]) -> None:
    """Write the files under these names, such as `weights.bin` or `cat/1.png`, as a zip to an empty seekable file."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, EPOCH)
            member.create_system, member.external_attr = 3, 0o644 << 16
            member.file_size = files[name].stat().st_size  # decides between zip and zip64
            with files[name].open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target, PIECE)


def flat(name: str) -> str:
    """The name of a file among others of one upload, checked: no folder, nothing that means something to a disk."""
    if not name or name in (".", ".."):
        raise UnfitNameError("Each of several files needs its file name: send -F 'file=@PATH', which gives it.")
    if "/" in name or "\\" in name or not name.isprintable():
        raise UnfitNameError(
            f"The file name {name!r} has a folder or an unprintable sign in it; several files lie side by side, so "
            "give the bare name, or send a zip."
        )
    if len(name.encode()) > LONGEST_NAME:
        raise UnfitNameError(f"The file name {name[:40]!r}… is longer than {LONGEST_NAME} bytes; shorten it.")
    return name


def folder(place: Path) -> dict[str, Path]:
    """All files in a folder and below, by their names seen from it; hidden ones are left out."""
    return {path.relative_to(place).as_posix(): path for path in _visible(place)}


def _visible(place: Path) -> Iterator[Path]:
    for path in sorted(place.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():  # a link to a folder may lead in circles
            yield from _visible(path)
        elif path.is_file():
            yield path
