"""What datasets, good and bad, are put together from."""

import io
import struct
import zipfile
from typing import Any

import numpy as np

EXAMPLES = 5


def inputs(dtype: Any = np.float32) -> Any:
    """Good inputs."""
    return np.arange(EXAMPLES * 4).reshape(EXAMPLES, 4).astype(dtype)


def labels(dtype: Any = np.int64) -> Any:
    """Good labels."""
    return (np.arange(EXAMPLES) % 3).astype(dtype)


def npz(**arrays: Any) -> bytes:
    """What numpy writes."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array: Any, pickled: bool = False) -> bytes:
    """One array as numpy writes it; `pickled` is for arrays of objects, which nothing reads."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=pickled)
    return file.getvalue()


def zipped(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    """An archive of raw .npy members, which may say what they like."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def header(text: str, version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """A .npy header of any text, with a length that may be a lie."""
    form = "<H" if version == (1, 0) else "<I"
    return b"\x93NUMPY" + bytes(version) + struct.pack(form, len(text) if length is None else length) + text.encode()


def described(descr: str, shape: str, fortran: bool = False) -> bytes:
    """The header that goes with a dtype and a shape."""
    return header(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
