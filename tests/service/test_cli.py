"""The command line: usage, exit codes, what goes to stdout and what to stderr; one real run of each kind."""

import json
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from service import __version__, examples, problems, schemas, uploading
from service.cli import app
from service.settings import Settings
from service.store import listing
from service.store.session import connect, reading
from service.store.tenants import DEFAULT
from tests.conftest import alive, wait_until, words
from tests.service import answers
from tests.service.conftest import LESION, lesion_apart

COMMANDS = (
    *("serve", "score", "gate", "compare", "inspect", "verify", "keys", "mlflow"),
    *("demo", "api", "worker", "migrate"),
)


def lesion(*arguments: str | Path) -> Result:
    """Run the command in this process, without a terminal."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_version():
    """Which Lesion is this?"""
    assert lesion("--version").output == f"lesion {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    """Help exists, and the list of commands has a sentence for each."""
    assert lesion(command, "--help").exit_code == 0
    assert command in lesion("--help").output


def test_no_other_commands():
    """What this test does not know is not tested."""
    alone = [command.callback.__name__ for command in app.registered_commands if command.callback]
    assert sorted(COMMANDS) == sorted([*alone, *(group.name or "" for group in app.registered_groups)])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--precision", "7"], "--precision"),
        (["--site", "conv1"], "needs scope `layer`"),
        (["--estimator", "grid", "--precision", "0.1"], "belongs to the estimator"),
        (["--server", "http://127.0.0.1:1", "--data", "here"], "--data"),
        (["--scope", "everything"], "--scope"),
        (["--metric", "f1"], "--metric"),
        (["--k", "3"], "belongs to the metric"),
        (["--scale", "1/0"], "--scale"),
        (["--mean", "1,2,3", "--std", "1,2"], "equally many channels"),
        (["--resize", "0"], "--resize"),
        (["--input", "ids"], "MODELINPUT=COLUMN"),
        (["--model-data", "nowhere.bin"], "does not exist"),
        (["--charts", "kept"], "--analyses"),
    ],
)
def test_wrong_usage_exits_with_2(files, arguments, told):
    """A contradiction is found before anything is started, and named."""
    result = lesion("score", *files, *arguments)
    assert result.exit_code == 2
    assert told in result.output


def test_a_missing_file_exits_with_2(files, tmp_path):
    """So does a file that is not there."""
    result = lesion("score", files[0], tmp_path / "none.npz")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_a_bad_setting_is_named(monkeypatch):
    """A variable that cannot be read is named, with what is wrong about it."""
    monkeypatch.setenv("LESION_THREADS", "many")
    result = lesion("migrate")
    assert result.exit_code == 2
    assert "LESION_THREADS: Input should be a valid integer" in result.output


def test_migrate_makes_the_tables(monkeypatch, tmp_path):
    """An empty database becomes one that the service can use; again changes nothing."""
    monkeypatch.setenv("LESION_DATA", str(tmp_path))
    for _ in range(2):
        assert lesion("migrate").exit_code == 0
    engine = connect(Settings().database)
    with reading(engine) as db:
        assert listing.page(db, DEFAULT, 1, None, None) == []
    engine.dispose()


def test_a_worker_without_a_broker_says_what_is_missing(monkeypatch):
    """A worker of its own has nobody to hear from."""
    monkeypatch.delenv("LESION_BROKER_URL", raising=False)
    result = lesion("worker")
    assert result.exit_code == 1
    assert "LESION_BROKER_URL" in result.output


def test_a_signing_key_that_signs_nothing_is_said_before_anything_starts(monkeypatch, tmp_path):
    """One line on how to make one, not a traceback from a child."""
    (tmp_path / "key.pem").write_text("no key")
    monkeypatch.setenv("LESION_SIGNING_KEY", str(tmp_path / "key.pem"))
    result = lesion("api")
    assert result.exit_code == 1
    assert "openssl" in result.output
    assert "Traceback" not in result.output


def test_score_prints_what_was_found(server, files, worker):
    """The intact accuracy first, then the score, then the curve; without a terminal nothing else."""
    thread = worker(answers.result())
    result = lesion_apart("score", *files, "--server", server.address)
    thread.join()
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("intact accuracy   0.982")
    assert "score             0.612 [0.602, 0.622]" in result.stdout
    assert "● digits.onnx" in result.stdout
    assert result.stderr == ""
    assert "\x1b" not in result.stdout


def test_charts_are_kept_in_a_folder(server, files, worker, tmp_path):
    """Each analysis that was asked for, as numbers and as a picture."""
    thread = worker(answers.result(analyses=answers.analyses()))
    asked = ("--analyses", "noise", "--analyses", "classes", "--charts", tmp_path / "kept" / "here")
    result = lesion_apart("score", *files, "--server", server.address, *asked)
    thread.join()
    assert result.returncode == 0, result.stderr
    kept = {path.name for path in (tmp_path / "kept" / "here").iterdir()}
    assert kept == {f"{name}.{kind}" for name in ("selectivity", "classes", "noise") for kind in ("csv", "svg")}
    assert (tmp_path / "kept/here/noise.csv").read_text().startswith("deviations,value,low,high\n0.0,")


def test_score_as_json_prints_nothing_else(server, files, worker):
    """stdout is one JSON document: the evaluation, with the config that was asked for."""
    thread = worker(answers.result())
    result = lesion_apart(
        "score", *files, "--server", server.address, "--json", "--seed", "9", "--precision", "0.05", "--split", "test"
    )
    thread.join()
    answer = schemas.Evaluation.model_validate(json.loads(result.stdout))
    assert (answer.config.seed, answer.config.precision, answer.config.split) == (9, 0.05, "test")
    assert answer.result == answers.result(cost=answer.result.cost if answer.result else None)
    assert result.returncode == 0


def test_options_of_reading_and_preprocessing_reach_the_service(server, files, worker, tmp_path):
    """Options win over the file of --config; several files and a folder go up, and all is told in the answer."""
    images = tmp_path / "images"
    for name in ("cat/1.png", "dog/2.png"):
        (images / name).parent.mkdir(parents=True)
        (images / name).write_bytes(name.encode())
    (tmp_path / "config.json").write_text('{"seed": 1, "labels": "y", "preprocessing": {"scale": 2, "resize": 32}}')
    thread = worker(answers.result())
    result = lesion_apart(
        *("score", files[0], images, "--model-data", files[1], "--server", server.address, "--json"),
        *("--config", tmp_path / "config.json", "--seed", "9", "--metric", "top_k", "--k", "3"),
        *("--sites", "conv*", "--sites", "fc1", "--input", "x=pixels", "--output", "logits"),
        *("--scale", "1/255", "--mean", "0.1,-0.2,0.3", "--std", "0.5", "--crop", "24x28", "--layout", "NHWC"),
    )
    thread.join()
    assert result.returncode == 0, result.stderr
    config = schemas.Evaluation.model_validate(json.loads(result.stdout)).config
    assert (config.seed, config.labels, config.metric, config.k, config.output) == (9, "y", "top_k", 3, "logits")
    assert (config.sites, config.inputs) == (["conv*", "fc1"], {"x": "pixels"})
    assert config.preprocessing == schemas.Preprocessing(
        resize=32, scale=1 / 255, mean=[0.1, -0.2, 0.3], std=0.5, crop=[24, 28], layout="NHWC"
    )


def test_weights_beside_the_model_go_along(files):
    """PyTorch's exporter writes model.onnx.data; nobody has to name it."""
    assert uploading.weights_beside(files[0]) == []
    beside = files[0].with_name("digits.onnx.data")
    beside.write_bytes(b"weights")
    assert uploading.weights_beside(files[0]) == [beside]


def test_an_evaluation_that_failed_exits_with_3(server, files, worker):
    """Not judged is another thing than judged badly."""
    thread = worker(problems.ModelCrashed("It died three times at chunk 7."))
    result = lesion_apart("score", *files, "--server", server.address)
    thread.join()
    assert result.returncode == 3
    assert result.stdout == ""
    assert "The model crashed the runtime: It died three times at chunk 7." in result.stderr


def test_a_score_that_is_refused_exits_with_3(server, files, worker):
    """There is a result, and no score in it."""
    thread = worker(answers.refused())
    result = lesion_apart("score", *files, "--server", server.address)
    thread.join()
    assert result.returncode == 3
    assert "No score:" in result.stdout


def test_nobody_at_the_server_exits_with_3(files):
    """The message says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = lesion("score", *files, "--server", f"http://127.0.0.1:{port}")
    assert result.exit_code == 3
    assert "lesion serve" in result.stderr
    assert "Traceback" not in result.output


def interruptible(command):
    """A command that minds Ctrl-C, although whoever runs the tests in the background has it ignored."""

    def mind():
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=mind)


def test_ctrl_c_cancels_the_evaluation(server, files, settings):
    """Who stops waiting wants no answer: the worker need not go on. Exits with 130."""
    command = [LESION, "score", *map(str, files), "--server", server.address]
    engine = connect(settings.database)

    def states() -> list[str]:
        with reading(engine) as db:
            return [row.state for row in listing.page(db, DEFAULT, 2, None, None)]

    with interruptible(command) as process:
        wait_until(lambda: any(path.endswith("/events") for path in server.asked), "the command follows the events")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    assert states() == ["cancelled"]
    engine.dispose()


def test_demo_tells_the_two_networks_apart(tmp_path, monkeypatch):
    """The whole of it, on a dumb terminal: two scores that differ, one plot, and nothing left behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    run = lesion_apart("demo")
    assert run.returncode == 0, run.stderr
    rows = {
        line.split()[0]: line.split() for line in run.stdout.splitlines() if line.startswith(("learned", "memorised"))
    }
    assert float(rows["learned"][1]) > 0.95
    assert float(rows["memorised"][1]) > 0.95
    assert float(rows["learned"][2]) > float(rows["memorised"][2]) + 0.1
    for part in ("● learned", "○ memorised", "lesion serve", "curl -F model=@"):
        assert part in run.stdout
    assert "\x1b" not in run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == []


def test_inspect_on_a_stack_of_its_own(tmp_path, monkeypatch):
    """From a file to a table of its sites, with nothing left behind."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = lesion_apart("inspect", examples.paths("learned")[0])
    assert run.returncode == 0, run.stderr
    for part in ("learned.onnx", "sites, in network order", "Conv", "← 10 classes"):
        assert part in run.stdout, run.stdout
    assert "\x1b" not in run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_takes_down_the_stack_of_a_score(tmp_path, monkeypatch):
    """An evaluation of hours on a stack of its own: interrupted, all of it is gone within seconds."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [LESION, "score", *map(str, examples.paths("learned")), "--precision", "0.0005"]
    with interruptible(command) as process:
        computing = "worker.sandbox.child"
        family: list[psutil.Process] = []

        def under_way() -> bool:
            family[:] = psutil.Process(process.pid).children(recursive=True)
            return any(computing in words(one) for one in family)

        wait_until(under_way, "the model is being run", 90)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 130, errors
    assert (out, errors) == (b"", b"")
    assert not [one for one in family if alive(one)]
    assert list(tmp_path.iterdir()) == []
