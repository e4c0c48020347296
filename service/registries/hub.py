"""A commit of a model's repository on Hugging Face's hub: fetched, its report kept in a folder of our own.

The hub has no place for a verdict, short of a pull request to its owner's repository; so nothing is written there.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2

from service.registries import flavours
from service.registries.flavours import UnusableModelError
from service.registries.names import Named
from service.registries.versions import Version, WentWrongError

ADDRESS = "https://huggingface.co"
PREFERRED = ("model.onnx", "onnx/model.onnx")  # where exporters put it
DATA = (".data", ".onnx_data")  # ends of files with an ONNX model's weights
LARGEST = 32 * 1024**3  # bytes of one file
SECONDS = 60.0


class Hub:
    """The hub, and the folder in which reports are kept. Raises `WentWrongError`."""

    def __init__(self, reports: Path, token: str | None = None, address: str = ADDRESS) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}  # not sent along to another host
        self._http = httpx2.Client(base_url=address, timeout=SECONDS, follow_redirects=True, headers=headers)
        self._reports = reports

    def version(self, named: Named) -> Version:
        """The commit of a name."""
        return Version(named.name, named.version or "", scheme="hf")

    def fetch(self, version: Version, folder: Path) -> list[Path]:
        """The repository's ONNX model and the files its weights lie in. Raises `UnusableModelError`."""
        with _explained():
            answer = self._http.get(f"/api/models/{version.name}/revision/{version.version}").raise_for_status()
            files = _files(answer.json())
        model = _model(files, version.uri)
        beside = [file for file in files if file.parent == model.parent and file.name.endswith(DATA)]
        for file in (model, *beside):
            self._download(version, file, folder / file.name)
        return [folder / model.name, *flavours.weights(folder / model.name)]

    def _download(self, version: Version, file: PurePosixPath, place: Path) -> None:
        address = f"/{version.name}/resolve/{version.version}/{file}"
        with _explained(), self._http.stream("GET", address) as answer, place.open("wb") as local:
            answer.raise_for_status()
            for data in answer.iter_bytes():
                if local.tell() + len(data) > LARGEST:
                    raise UnusableModelError(f"{version.uri} has a file of more than {LARGEST:,} bytes.")
                local.write(data)

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        """Keep the verdict in the commit's folder, as verdict.json."""
        (self._place(version) / "verdict.json").write_text(json.dumps(dict(tags), indent=2))

    def record(self, version: Version, metrics: list[tuple[str, float, int]], files: Path) -> str:
        """Keep curve, report and evaluation in the commit's folder; its path."""
        place = self._place(version)
        shutil.copytree(files, place, dirs_exist_ok=True)
        return str(place)

    def promote(self, version: Version, alias: str, *, only_forward: bool = False) -> bool:
        """The hub has no aliases."""
        return False

    def _place(self, version: Version) -> Path:
        place = self._reports / version.name.replace("/", "--") / version.version
        place.mkdir(parents=True, exist_ok=True)
        return place


def _files(told: Any) -> list[PurePosixPath]:
    siblings = told.get("siblings") if isinstance(told, dict) else None
    names = [str(entry.get("rfilename")) for entry in siblings or () if isinstance(entry, dict)]
    paths = [PurePosixPath(name) for name in names]
    return [path for path in paths if not path.is_absolute() and ".." not in path.parts]


def _model(files: list[PurePosixPath], uri: str) -> PurePosixPath:
    found = [file for file in files if file.suffix == ".onnx"]
    preferred = [file for name in PREFERRED for file in found if str(file) == name]
    if preferred or len(found) == 1:
        return (preferred or found)[0]
    raise UnusableModelError(
        f"{uri} has {len(found)} .onnx files, none of them model.onnx or onnx/model.onnx. Export it, and commit that: "
        "torch.onnx.export(model.eval(), (example,), 'model.onnx', dynamo=True, external_data=False)"
    )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise WentWrongError(f"Hugging Face: {str(error)[:500]}") from error
