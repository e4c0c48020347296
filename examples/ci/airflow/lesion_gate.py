"""A DAG whose later tasks run only if a model passes. Where tasks run, `lesion` is installed and LESION_KEY set."""

import subprocess

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

LATER = (3, 4)  # not judged, or timed out: worth another try


@task(retries=2)
def gate(model: str, dataset: str, rules: list[str], server: str) -> str:
    """The line of the verdict. Fails for good unless it is a pass; what was not judged is tried again."""
    command = ["lesion", "gate", model, dataset, *rules, "--server", server, "--timeout", "1800"]
    judged = subprocess.run(command, capture_output=True, text=True)
    said = (judged.stdout or judged.stderr).strip()
    if judged.returncode in LATER:
        raise AirflowException(said)
    if judged.returncode != 0:
        raise AirflowFailException(said)
    return said


@task
def deploy(verdict: str) -> None:
    """Yours."""
    print(verdict)


@dag(schedule=None, catchup=False, tags=["lesion"])
def lesion_gate(
    model: str = "/models/model.onnx", dataset: str = "/models/test.npz", server: str = "https://lesion.example"
):
    deploy(gate(model, dataset, ["--policy", "production"], server))


lesion_gate()
