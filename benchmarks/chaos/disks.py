"""Small file systems, to be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 16 * 1024**2


class CannotMountError(Exception):
    """This machine lets nobody mount one, or not this user."""


@contextmanager
def small(place: Path) -> Iterator[None]:
    """A small file system, for as long as the block lasts. Raises `CannotMountError`."""
    if os.geteuid() != 0:
        raise CannotMountError("only root may mount the small file systems that are filled here")
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotMountError(f"small file systems cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(filler: Path) -> None:
    """Take all room that there is."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
