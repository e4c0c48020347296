"""A registered version in MLflow: read, fetched, written back to, its alias moved. Nobody else asks its server."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.registries import flavours
from service.registries.flavours import MLMODEL, UnusableModelError
from service.registries.names import Named
from service.registries.versions import Version, WentWrongError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

FETCHED = "lesion-model"  # folder below the one a model is fetched to
METRIC, TAG = "lesion.", "lesion."  # what ours begin with
LONGEST_TAG = 500  # characters of a tag's value; MLflow keeps 5,000


class MissingError(Exception):
    """mlflow is not installed."""

    def __init__(self) -> None:
        super().__init__("This needs MLflow's client: pip install 'lesion[mlflow]', or mlflow-skinny beside Lesion.")


class Registry:
    """An MLflow server; which one, MLFLOW_TRACKING_URI says unless `tracking_uri` does. Raises `WentWrongError`."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        try:
            import mlflow
        except ImportError as error:
            raise MissingError from error
        self._uri = tracking_uri or mlflow.get_tracking_uri()
        self._client: MlflowClient = mlflow.MlflowClient(tracking_uri=self._uri)

    def version(self, named: Named) -> Version:
        """The version of a name; an alias is looked up."""
        with _explained():
            if named.version is None:
                return _version(self._client.get_model_version_by_alias(named.name, named.alias or ""))
            return _version(self._client.get_model_version(named.name, named.version))

    def versions(self, most: int = 1000) -> Iterator[Version]:
        """All versions of all models, newest first, up to `most`."""
        token: str | None = None
        left = most
        while left > 0:
            with _explained():
                page = self._client.search_model_versions(
                    max_results=min(200, left), order_by=["creation_timestamp DESC"], page_token=token
                )
            yield from map(_version, page)
            left -= len(page)
            token = page.token
            if not token:
                return

    def fetch(self, version: Version, folder: Path) -> list[Path]:
        """The model's files below `folder`: its own first, then those its weights lie in.

        Nothing is loaded: MLmodel says where they are. Raises `UnusableModelError` for what cannot be evaluated.
        """
        with _explained():
            base = self._client.get_model_version_download_uri(version.name, version.version)
        return self._fetch(base, version.uri, version.name, folder)

    def fetch_logged(self, model_id: str, folder: Path) -> list[Path]:
        """The same for a model that was logged, whether or not it was registered."""
        with _explained():
            base = self._client.get_logged_model(model_id).artifact_location
        return self._fetch(base, f"models:/{model_id}", "NAME", folder)

    def _fetch(self, base: str, uri: str, name: str, folder: Path) -> list[Path]:
        wanted = flavours.wanted(_read(self._download(f"{base}/{MLMODEL}", folder)), uri, name)
        place = folder / FETCHED
        place.mkdir(exist_ok=True)
        around = base if str(wanted.folder) == "." else f"{base}/{wanted.folder}"
        if wanted.flavour == "pytorch":
            return [self._program(around, place, flavours.pickled(uri, name))]
        files = [self._download(f"{around}/{file}", place) for file in self._beside(around)]
        model = next((file for file in files if file.name == wanted.file.name), None)
        if model is None:
            raise UnusableModelError(f"{uri} names {wanted.file} as its model, but has no such file.")
        return [model, *flavours.weights(model)]

    def _program(self, around: str, place: Path, pickled: UnusableModelError) -> Path:
        """An exported program or TorchScript; a pickled module is refused, unseen where its name tells."""
        names = self._beside(around)
        if "model.pt2" in names:
            return self._download(f"{around}/model.pt2", place)
        if "model.pth" in names:
            file = self._download(f"{around}/model.pth", place)
            if flavours.is_torchscript(file):
                return file
        raise pickled

    def _beside(self, uri: str) -> list[str]:
        """Names of the files in a folder, without MLflow's own."""
        from mlflow import artifacts

        with _explained():
            found = artifacts.list_artifacts(artifact_uri=uri, tracking_uri=self._uri)
        own = {MLMODEL, "conda.yaml", "python_env.yaml", "requirements.txt", "registered_model_meta"}
        names = [item.path.rpartition("/")[2] for item in found if not item.is_dir]
        return [name for name in names if name not in own and not name.endswith((".json", ".txt"))]

    def _download(self, uri: str, folder: Path) -> Path:
        from mlflow import artifacts

        with _explained():
            local = artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self._uri)
        return Path(local)

    def note(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of the version, each behind `lesion.`."""
        with _explained():
            for name, value in tags.items():
                self._client.set_model_version_tag(version.name, version.version, TAG + name, value[:LONGEST_TAG])

    def record(self, version: Version, metrics: list[tuple[str, float, int]], files: Path) -> str:
        """Log metrics (name, value, step) and a folder of artifacts to the version's run; the run's id.

        A version without a run gets one, in the experiment of its model, or in the default one.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _explained():
            run = version.run or self._new_run(version)
            told = [Metric(METRIC + name, value, now, step, model_id=version.model_id) for name, value, step in metrics]
            self._client.log_batch(run, metrics=told)
            self._client.log_artifacts(run, str(files), f"lesion/{version.name}-v{version.version}")
            if version.run is None:
                self._client.set_terminated(run)
        return run

    def _new_run(self, version: Version) -> str:
        experiment = "0"
        if version.model_id is not None:
            experiment = self._client.get_logged_model(version.model_id).experiment_id
        run = self._client.create_run(experiment, run_name=f"lesion {version.name} v{version.version}")
        return str(run.info.run_id)

    def promote(self, version: Version, alias: str, *, only_forward: bool = False) -> bool:
        """Point the alias at the version; with `only_forward`, not away from a newer one. Did it move?"""
        from mlflow.exceptions import MlflowException

        with _explained():
            if only_forward:
                try:
                    current = self._client.get_model_version_by_alias(version.name, alias)
                except MlflowException as error:
                    if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                        raise
                else:
                    if int(current.version) > int(version.version):
                        return False
            self._client.set_registered_model_alias(version.name, alias, version.version)
        return True


def _version(found: "ModelVersion") -> Version:
    source = str(found.source or "")
    model_id = source.removeprefix("models:/") if source.startswith("models:/m-") else None
    return Version(str(found.name), str(found.version), found.run_id or None, model_id, dict(found.tags))


def _read(file: Path) -> dict[str, Any]:
    import yaml

    if file.stat().st_size > flavours.LARGEST_MLMODEL:
        raise UnusableModelError("Its MLmodel is too large to be one.")
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableModelError(f"Its MLmodel cannot be read: {str(error)[:200]}") from error
    return found if isinstance(found, dict) else {}


@contextmanager
def _explained() -> Iterator[None]:
    """What MLflow's client raises, as `WentWrongError`."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        raise WentWrongError(f"MLflow: {str(error)[:1000]}") from error
