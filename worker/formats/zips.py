"""What zipfile raises at archives that are damaged or mean harm, which is much more than BadZipFile, as refusals."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.formats.refusals import Refused

# A directory may send zipfile to before the start of the file (OSError), past the largest file (OverflowError) or to a
# name of no letters (IndexError).
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, LookupError, OverflowError, OSError),
    *(NotImplementedError, RuntimeError),
)


@contextmanager
def refusing(refusal: Callable[[str], Refused]) -> Iterator[None]:
    """Turn what a damaged zip makes zipfile raise into a refusal. refusal: makes one of the reason."""
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno == errno.EIO:  # of our own disk
            raise
        raise refusal(str(error)[:100]) from error


def is_folder(info: zipfile.ZipInfo) -> bool:
    """Is a member a folder? `ZipInfo.is_dir` fails at a name of no letters."""
    return info.filename.endswith("/")
