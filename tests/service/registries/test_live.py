"""Versions checked as they come, against a live MLflow and a live Lesion: by webhook, by looking, by its evaluator."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from service import examples
from service.cli import app
from tests import nets
from tests.conftest import wait_until
from tests.service.conftest import LESION

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow warns of is not ours
QUICK = ("--precision", "0.05", "--seed", "7", "--min-score", "0.3", "--alias", "champion")
SECRET = "what MLflow signs with"


def verdict(mlflow: Any, name: str, version: str) -> str | None:
    """What was written to the version, if anything was."""
    tags: dict[str, str] = mlflow.MlflowClient().get_model_version(name, version).tags
    return tags.get("lesion.verdict")


@contextmanager
def listening(service: str, folder: Path, model: str) -> Iterator[str]:
    """`lesion mlflow listen`, as a process of its own; its address."""
    options = ("--dataset", str(examples.paths("learned")[1]), "--model", model, "--server", service, "--port", "0")
    running = subprocess.Popen(
        [LESION, "mlflow", "listen", *options, *QUICK],
        env=os.environ | {"LESION_MLFLOW_SECRET": SECRET, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        yield running.stdout.readline().split()[2].rstrip(":")
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)


def test_a_registered_version_is_checked_by_webhook(mlflow, register, service, tmp_path):
    """MLflow signs, the receiver answers at once, and verdict and alias follow; its own tags ask for nothing."""
    client = mlflow.MlflowClient()
    with listening(service, tmp_path, "hook*") as address:
        hook = client.create_webhook(
            "lesion", f"{address}/hooks/mlflow", ["model_version.created", "model_version_tag.set"], secret=SECRET
        )
        try:
            assert client.test_webhook(hook.webhook_id).response_status == 202
            version = register("hooked", examples.paths("learned")[0])
            wait_until(lambda: verdict(mlflow, "hooked", version), "a verdict is written", 120)
        finally:
            client.delete_webhook(hook.webhook_id)
        assert verdict(mlflow, "hooked", version) == "pass"
        wait_until(lambda: client.get_registered_model("hooked").aliases == {"champion": version}, "the alias moved")
    assert (tmp_path / "lesion-inbox.db").exists()


def test_versions_without_a_verdict_are_found_by_looking(mlflow, register, service):
    """For an MLflow that sends nothing to private addresses; who has a verdict is not checked again."""
    learned, dataset = examples.paths("learned")
    version = register("watched", learned)
    mlflow.MlflowClient().set_model_version_tag("watched", version, "robustness", "pending")
    looked = ["mlflow", "watch", "--dataset", str(dataset), "--model", "watch*", *QUICK, "--server", service]
    once = [*looked, "--every", "0", "--tag"]
    other = CliRunner().invoke(app, [*once, "robustness=done"])
    assert (other.exit_code, other.stdout) == (0, "")
    first = CliRunner().invoke(app, [*once, "robustness=pending"])
    assert first.exit_code == 0, first.output
    assert f"PASS  models:/watched/{version}" in first.stdout
    assert verdict(mlflow, "watched", version) == "pass"
    assert mlflow.MlflowClient().get_registered_model("watched").aliases == {"champion": version}
    again = CliRunner().invoke(app, [*once, "robustness=pending"])
    assert (again.exit_code, again.stdout) == (0, "")


def test_mlflow_finds_the_evaluator(mlflow, register, service, tmp_path):
    """By its entry point; the score is among the metrics, and may be held against a threshold as any other."""
    from mlflow.models import MetricThreshold

    (tmp_path / "net.onnx").write_bytes(nets.one_each(8))
    version = register("evaluated", tmp_path / "net.onnx")
    assert "lesion" in mlflow.models.list_evaluators()
    rows = np.tile(np.eye(8, dtype=np.float32), (40, 1))
    targets = np.ones(len(rows), dtype=np.int64)
    targets[:40] = 0  # else the best constant answer is as good as the network
    rows[:40] = 0
    with mlflow.start_run() as run:
        found = mlflow.models.evaluate(
            f"models:/evaluated/{version}",
            data=rows,
            targets=targets,
            model_type="classifier",
            evaluators="lesion",
            evaluator_config={"server": service, "config": {"precision": 0.05, "seed": 7}},
        )
    assert found.metrics["lesion.intact"] == 1.0
    assert found.metrics["lesion.score_low"] < found.metrics["lesion.score"] < found.metrics["lesion.score_high"]
    assert mlflow.get_run(run.info.run_id).data.metrics["lesion.score"] == found.metrics["lesion.score"]
    assert found.artifacts["lesion_curve"].content.startswith(b"\x89PNG")
    line = {"lesion.score": MetricThreshold(threshold=0.99, greater_is_better=True)}
    with pytest.raises(mlflow.models.evaluation.validation.ModelValidationFailedException):
        mlflow.validate_evaluation_results(validation_thresholds=line, candidate_result=found)


def test_the_evaluator_says_what_it_cannot_do(mlflow, register, service):
    """An option that is none is named, instead of being ignored."""
    version = register("misasked", examples.paths("learned")[0])
    asked = {"data": np.zeros((2, 3)), "targets": np.zeros(2), "model_type": "classifier", "evaluators": "lesion"}
    with mlflow.start_run(), pytest.raises(mlflow.exceptions.MlflowException, match="precison"):
        mlflow.models.evaluate(f"models:/misasked/{version}", **asked, evaluator_config={"precison": 0.05})
