"""`lesion mlflow check` against a live MLflow and a live Lesion: what is fetched, written back, moved and refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service import examples
from service.cli import app
from service.client import Client
from service.registries.checking import Plan, check
from service.registries.flavours import UnusableModelError
from service.registries.names import read
from service.registries.registry import Registry
from service.schemas import Config

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow and torch warn of is not ours
QUICK = ("--precision", "0.05", "--seed", "7")
LINE = "0.3"  # between the two shipped networks: 0.41 and 0.15


def lesion(*arguments: str | Path) -> Result:
    """Run `lesion mlflow check`."""
    return CliRunner().invoke(app, ["mlflow", "check", *map(str, arguments)])


def tags(mlflow: Any, name: str, version: str) -> dict[str, str]:
    """What was written to the version."""
    found = mlflow.MlflowClient().get_model_version(name, version)
    return {key.removeprefix("lesion."): value for key, value in found.tags.items()}


def test_a_pass_is_written_back_and_moves_the_alias(mlflow, register, service, tmp_path):
    """Score, interval and curve are metrics of the run, verdict and digests tags, and champion is the version."""
    model, dataset = examples.paths("learned")
    version = register("learned", model)
    result = lesion(
        f"models:/learned/{version}", "--dataset", dataset, *QUICK, "--min-score", LINE, "--alias", "champion",
        "--server", service,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"PASS  models:/learned/{version}" in result.output
    client = mlflow.MlflowClient()
    assert client.get_model_version_by_alias("learned", "champion").version == version
    told, found = tags(mlflow, "learned", version), client.get_model_version("learned", version)
    assert told["verdict"] == "pass"
    assert told["run"] == found.run_id
    metrics = client.get_run(found.run_id).data.metrics
    assert metrics["lesion.score_low"] < metrics["lesion.score"] < metrics["lesion.score_high"]
    assert told["score"].startswith(f"{metrics['lesion.score']:.4f} [")
    curve = client.get_metric_history(found.run_id, "lesion.curve")
    steps = [point.step for point in curve]
    assert steps == sorted(set(steps)), "one point a percent"
    assert steps[0] == 0
    assert steps[-1] > 90
    logged = mlflow.artifacts.download_artifacts(
        run_id=found.run_id, artifact_path=f"lesion/learned-v{version}", dst_path=str(tmp_path)
    )
    files = {path.name: path.read_bytes() for path in Path(logged).iterdir()}
    assert files["curve.png"].startswith(b"\x89PNG")
    assert files["curve.svg"].startswith(b"<?xml")
    assert b"<svg" in files["report.html"]
    assert b"pass" in files["report.html"]
    assert json.loads(files["evaluation.json"])["id"] == told["evaluation"]


def test_a_fail_exits_with_1_and_leaves_the_alias(mlflow, register, service):
    """The network that memorised has the same accuracy on what it was trained on, and fails."""
    model, dataset = examples.paths("memorised")
    version = register("memorised", model)
    asked = ("--dataset", dataset, *QUICK, "--min-score", LINE, "--alias", "champion", "--server", service, "--json")
    result = lesion(f"models:/memorised/{version}", *asked)
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert (told["verdict"], told["promoted"]) == ("fail", False)
    assert tags(mlflow, "memorised", version)["verdict"] == "fail"
    assert mlflow.MlflowClient().get_registered_model("memorised").aliases == {}


def test_a_version_without_a_run_gets_one(mlflow, register, service):
    """A model that was registered by its files alone has no run; the metrics need one, and the tag says which."""
    model, dataset = examples.paths("learned")
    first = mlflow.MlflowClient().get_model_version("runless", register("runless", model))
    version = (
        mlflow.MlflowClient()
        .create_model_version("runless", first.source, model_id=first.source.removeprefix("models:/"))
        .version
    )
    config = Config(precision=0.05, seed=7)
    with Client(service) as client:
        checked = check(Registry(), client, read(f"models:/runless/{version}"), Plan(dataset, config))
    assert (checked.judged.verdict, checked.judged.code) == (None, 0)
    run = mlflow.MlflowClient().get_run(tags(mlflow, "runless", str(version))["run"])
    assert run.info.status == "FINISHED"
    assert "lesion.score" in run.data.metrics


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return open, (self.place, "w")


def test_a_pickled_model_is_refused_and_never_opened(mlflow, tmp_path):
    """The answer shows the lines that register it as an exported program; the pickle's own program never ran."""
    import torch
    from mlflow import pytorch

    module = torch.nn.Linear(4, 2)
    module.trap = Trap(str(tmp_path / "sprung"))
    with mlflow.start_run():
        logged = pytorch.log_model(module, name="model", serialization_format="pickle", registered_model_name="pickled")
    (tmp_path / "sprung").unlink(missing_ok=True)
    data = tmp_path / "test.npz"
    data.write_bytes(b"never sent")
    result = lesion(
        f"models:/pickled/{logged.registered_model_version}", "--dataset", data, "--server", "http://127.0.0.1:1"
    )
    assert result.exit_code == 3, result.output
    for line in ("never loaded", 'serialization_format="pt2"', "registered_model_name='pickled'"):
        assert line in result.output
    assert tags(mlflow, "pickled", str(logged.registered_model_version))["verdict"] == "not judged"
    assert not (tmp_path / "sprung").exists()


def test_programs_are_fetched_as_they_are(mlflow, tmp_path):
    """An exported program is data/model.pt2; TorchScript is data/model.pth, as pickles are, and is taken."""
    import torch
    from mlflow import pytorch

    from worker.formats.kinds import kind_of

    module, example = (
        torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)),
        torch.zeros(2, 4),
    )
    with mlflow.start_run():
        pytorch.log_model(module, name="a", input_example=example.numpy(), registered_model_name="exported")
        pytorch.log_model(
            torch.jit.trace(module, example), name="b", serialization_format="pickle", registered_model_name="scripted"
        )
    for name, kind in {"exported": "pt2", "scripted": "torchscript"}.items():
        folder = tmp_path / name
        folder.mkdir()
        registry = Registry()
        (file,) = registry.fetch(registry.version(read(f"models:/{name}/1")), folder)
        with file.open("rb") as opened:
            assert kind_of(opened) == kind


def test_other_flavours_name_what_would_do(mlflow, tmp_path):
    """A model of plain Python is a program too."""
    from mlflow import pyfunc

    class Constant(pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return [0] * len(model_input)

    with mlflow.start_run():
        pyfunc.log_model(name="model", python_model=Constant(), registered_model_name="plain")
    registry = Registry()
    with pytest.raises(UnusableModelError, match="onnx and pytorch"):
        registry.fetch(registry.version(read("models:/plain/1")), tmp_path)


def test_an_alias_only_goes_forward_where_that_was_asked(mlflow, register):
    """Checks that come in another order than versions must not put an old model back."""
    model = examples.paths("learned")[0]
    old, new = register("ordered", model), register("ordered", model)
    registry = Registry()
    versions = [registry.version(read(f"models:/ordered/{version}")) for version in (old, new)]
    assert registry.promote(versions[1], "champion", only_forward=True)
    assert not registry.promote(versions[0], "champion", only_forward=True)
    assert registry.version(read("models:/ordered@champion")).version == new
    assert registry.promote(versions[0], "champion")
    assert registry.version(read("models:/ordered@champion")).version == old


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["models:/learned"], 2, "models:/NAME/VERSION"),
        (["models:/learned/1", "--alias", "champion"], 2, "--min-score"),
        (["models:/learned/1", "--precision", "7"], 2, "--precision"),
        (["models:/nobody/1"], 3, "nobody"),
        (["models:/nobody@champion"], 3, "nobody"),
    ],
)
def test_what_goes_wrong_is_told_with_its_exit_code(mlflow, arguments, code, told):
    """Usage is 2, and what was not judged is 3."""
    dataset = examples.paths("learned")[1]
    result = lesion(*arguments, "--dataset", dataset, "--server", "http://127.0.0.1:1")
    assert result.exit_code == code, result.output
    assert told in result.output


def test_a_model_is_not_judged_where_nothing_answers(mlflow, register, tmp_path):
    """Nothing is written to a version because our own service was away: it is safe to try again."""
    model, dataset = examples.paths("learned")
    version = register("patient", model)
    result = lesion(f"models:/patient/{version}", "--dataset", dataset, "--server", "http://127.0.0.1:1")
    assert result.exit_code == 3, result.output
    assert "lesion serve" in result.output
    assert tags(mlflow, "patient", version) == {}
