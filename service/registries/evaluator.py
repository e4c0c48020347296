"""`mlflow.models.evaluate(..., evaluators="lesion")`: the score beside MLflow's own figures, through the client.

MLflow finds it by its entry point `mlflow.model_evaluator`, and imports it whenever anything is evaluated.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models.evaluation import EvaluationArtifact, EvaluationResult, ModelEvaluator

from service import plots, terminal
from service.client import Client, ClientError
from service.processes import CannotStartError
from service.reaching import reached
from service.registries.checking import metrics
from service.registries.flavours import UnusableModelError
from service.registries.registry import METRIC, Registry
from service.registries.versions import WentWrongError
from service.schemas import Evaluation, Result

OPTIONS = frozenset({"server", "data", "config", "dataset", "timeout"})


class Picture(EvaluationArtifact):  # type: ignore[misc] # mlflow's types are not followed
    """The curve as a PNG."""

    def _save(self, output_artifact_path: str) -> None:
        Path(output_artifact_path).write_bytes(self.content)

    def _load_content_from_file(self, local_artifact_path: str) -> bytes:
        return Path(local_artifact_path).read_bytes()


class LesionEvaluator(ModelEvaluator):  # type: ignore[misc]
    """Scores a logged ONNX or PyTorch model, in `evaluator_config`: server, data, config, dataset, timeout.

    Without `server` a Lesion is started for as long as it takes. Without `dataset`, a file, MLflow's own data is used:
    numbers, with labels or without.
    """

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: Mapping[str, Any] | None, **more: Any) -> bool:
        """What has classes or values; MLflow asks evaluators of other packages only where they are named."""
        return model_type in ("classifier", "regressor", None)

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any] | None,
        model: Any = None,
        model_id: str | None = None,
        **more: Any,
    ) -> Any:
        """Score the model; metrics, curve and picture go to the run. Raises `MlflowException`."""
        options = dict(evaluator_config or {})
        if unknown := set(options) - OPTIONS:
            raise _problem(f"evaluator_config has {sorted(unknown)}; there are {sorted(OPTIONS)}.")
        logged = model_id or getattr(getattr(model, "metadata", None), "model_id", None)
        if not logged:
            raise _problem("Give the model as models:/… or runs:/…: what was not logged has no file to evaluate.")
        try:
            evaluation = _evaluated(logged, dataset, options)
        except (UnusableModelError, WentWrongError, ClientError, CannotStartError, TimeoutError, OSError) as error:
            raise _problem(str(error)) from error
        result = evaluation.result
        if result is None or result.score is None:
            why = result.score_refused if result else evaluation.problem.detail if evaluation.problem else None
            raise _problem(f"No score: {why or evaluation.state}")
        return _recorded(run_id, logged, result)


def _evaluated(model_id: str, dataset: Any, options: Mapping[str, Any]) -> Evaluation:
    server, data = options.get("server"), options.get("data")
    quiet = terminal.console(stderr=True)
    quiet.quiet = True
    with TemporaryDirectory(prefix="lesion-evaluated-") as folder:
        files = Registry().fetch_logged(model_id, Path(folder))
        given = options.get("dataset")
        examples = Path(given) if given is not None else _written(dataset, Path(folder) / "dataset.npz")
        with reached(server, None if data is None else Path(data), quiet) as client:
            return _waited(client, files, examples, options)


def _waited(client: Client, files: list[Path], examples: Path, options: Mapping[str, Any]) -> Evaluation:
    return client.evaluate(files, examples, options.get("config")).wait(timeout=options.get("timeout"))


def _written(dataset: Any, file: Path) -> Path:
    """MLflow's dataset as an .npz of features `x` and labels `y`."""
    features = dataset.features_data
    x = np.asarray(features.to_numpy() if hasattr(features, "to_numpy") else features)
    if x.dtype == np.float64:
        x = x.astype(np.float32)  # what networks take; pandas and lists know only the other
    arrays = {"x": x} | ({} if dataset.labels_data is None else {"y": np.asarray(dataset.labels_data)})
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise _problem(f"The data's {name} is not made of numbers; give evaluator_config a `dataset`, a file.")
    np.savez(file, allow_pickle=False, **arrays)
    return file


def _recorded(run_id: str, model_id: str, result: Result) -> Any:
    client = MlflowClient()
    told = metrics(result)
    now = int(time.time() * 1000)
    client.log_batch(run_id, [Metric(METRIC + name, value, now, step, model_id=model_id) for name, value, step in told])
    picture = plots.png(result, model_id)
    with TemporaryDirectory(prefix="lesion-curve-") as folder:
        file = Path(folder) / "lesion-curve.png"
        file.write_bytes(picture)
        client.log_artifact(run_id, str(file))
    uri = f"{client.get_run(run_id).info.artifact_uri}/lesion-curve.png"
    figures = {METRIC + name: value for name, value, _ in told if name != "curve"}
    return EvaluationResult(figures, {"lesion_curve": Picture(uri, picture)}, run_id)


def _problem(message: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"lesion: {message}")
