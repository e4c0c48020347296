"""The child process: what it answers, what it may not do, and that nothing of it is left."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests import nets
from tests.conftest import wait_until
from tests.nets import checked, noise
from worker.ablation.network import Network
from worker.formats.refusals import Refused
from worker.sandbox.parent import MIB, Child, Crashed, TimedOut

MEMORY = 4 * 1024 * MIB
INPUTS = [{"name": "x", "dtype": "float32", "shape": [40, 2, 8, 8]}]
READING = {
    "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 2, 8, 8]}],
    "columns": None,
    "labels": None,
    "weights": None,
    "split": None,
    "preprocessing": None,
    "targets": "classes",
    "label_names": None,
}


def child(**changes: Any) -> Child:
    return Child(**{"memory_bytes": MEMORY, "seconds": 60, "threads": 1, **changes})


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its inputs as they are stored, and a dataset."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "model.onnx").write_bytes(nets.residual())
    inputs = noise(1, 40, 2, 8, 8)
    (folder / "inputs").write_bytes(inputs.tobytes())
    np.savez(folder / "data.npz", x=inputs, y=np.arange(40) % 3)
    return folder


@pytest.fixture(scope="module")
def loaded(files: Path) -> Iterator[Child]:
    """A child that holds a model, its masks and its inputs."""
    with child() as one:
        found = one.open_model(files / "model.onnx")
        one.load(files / "inputs", INPUTS, [site["site"] for site in found["sites"]], "zero")
        yield one


def test_a_child_answers_what_a_network_does(loaded: Child, files: Path) -> None:
    """Masks and trials go over, outputs come back, bit for bit those of the same network in this process."""
    inputs = {"x": noise(1, 40, 2, 8, 8)}
    network = Network(*checked((files / "model.onnx").read_bytes()))
    names, units = [site.name for site in network.sites], [site.units for site in network.sites]
    generator = np.random.default_rng(2)
    masks = [generator.random((9, n)) < 0.5 for n in units]
    examples, lesions = generator.integers(0, 40, 70), generator.integers(0, 9, 70)
    for clamp in ("zero", "mean"):
        means = loaded.means(units) if clamp == "mean" else None
        assert loaded.load(files / "inputs", INPUTS, names, clamp, means) == {"tail": [3], "warnings": []}
        network.mask(names, clamp, network.means(inputs) if clamp == "mean" else None)
        expected = network.outputs(inputs, examples, lesions, masks)
        np.testing.assert_array_equal(loaded.outputs(examples, lesions, masks), expected)
        np.testing.assert_array_equal(loaded.intact(3, 38), network.intact(inputs, 3, 38))


def test_a_child_has_no_secret_and_no_privilege(files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its environment holds nothing of ours; it cannot dump core, gain privileges or open many files."""
    monkeypatch.setenv("LESION_DATABASE_URL", "postgresql://secret")
    with child() as one:
        one.read_dataset(files / "data.npz", tmp_path / "x")
        process = Path(f"/proc/{one.pid}")
        environment = process.joinpath("environ").read_bytes()
        assert b"LESION" not in environment
        # Byte code written up to the limit on files, and no further, once broke all later children.
        assert b"PYTHONDONTWRITEBYTECODE=1" in environment
        assert "NoNewPrivs:\t1" in process.joinpath("status").read_text()
        limits = {line[:26].strip(): line[26:].split()[:2] for line in (process / "limits").read_text().splitlines()}
        assert limits["Max core file size"] == ["0", "0"]
        assert limits["Max open files"] == ["256", "256"]
        assert limits["Max data size"] == [str(MEMORY)] * 2
        assert os.getpgid(one.pid) == one.pid
        open_files = {os.readlink(each) for each in (process / "fd").iterdir()}
        assert {each for each in open_files if each.startswith("/") and each != os.devnull} == {
            each for each in open_files if "(deleted)" in each
        }


def test_a_dataset_is_unpacked_and_its_labels_come_back(files: Path, tmp_path: Path) -> None:
    """Inputs go to a file of ours, whatever was in it; labels come to the parent."""
    (tmp_path / "x").write_bytes(b"old" * 10_000)
    with child(file_bytes=MIB) as one:
        found, arrays = one.read_dataset(files / "data.npz", tmp_path / "x", READING)
    assert list(arrays) == ["labels"]
    np.testing.assert_array_equal(arrays["labels"], np.arange(40) % 3)
    assert (tmp_path / "x").read_bytes() == (files / "inputs").read_bytes()
    assert found["examples"] == 40


def test_a_refusal_leaves_the_child_usable(files: Path, tmp_path: Path) -> None:
    """A file that is refused is an answer, not a crash."""
    (tmp_path / "evil.onnx").write_bytes(b"\x80\x04\x95 a pickle")
    with child() as one:
        with pytest.raises(Refused) as refused:
            one.open_model(tmp_path / "evil.onnx")
        assert refused.value.kind == "unsupported-format"
        assert one.open_model(files / "model.onnx")["output"]["classes"] == 3


def test_a_model_without_units_is_refused(tmp_path: Path) -> None:
    """A linear model has nothing to lose before its classifier."""
    (tmp_path / "linear.onnx").write_bytes(nets.linear())
    with child() as one, pytest.raises(Refused, match="no unit"):
        one.open_model(tmp_path / "linear.onnx")


def test_a_model_says_what_it_costs_and_how_it_runs(tmp_path: Path) -> None:
    """Sites, cost, batch and warnings come with what was read; a model that mixes examples is run alone."""
    (tmp_path / "mixing.onnx").write_bytes(nets.mixing())
    (tmp_path / "three.onnx").write_bytes(nets.fixed_batch(3))
    with child() as one:
        found = one.open_model(tmp_path / "mixing.onnx")
        [warning] = found["warnings"]
        assert "depends on which others are in its batch" in warning
        assert found["cost"]["multiply_adds"] == 3 * 4 + 4 * 2
        assert found["cost"]["milliseconds"] > 0
        assert found["batch"] is None
        [site] = found["sites"]
        assert {key: site[key] for key in ("op", "units", "exits", "means")} == {
            "op": "Gemm",
            "units": 4,
            "exits": 1,
            "means": 4,
        }
        found = one.open_model(tmp_path / "three.onnx")
        assert (found["batch"], found["warnings"]) == (3, [])


def test_a_model_that_runs_on_nothing_invented_is_not_refused(tmp_path: Path) -> None:
    """It is said, and the first real examples decide."""
    table = np.zeros((10, 4), np.float32)
    nodes = [
        nets.node("Cast", "x", "i", to=7),
        nets.node("Add", "i far", "j"),
        nets.node("Gather", "table j", "e"),
        nets.node("ReduceMean", "e middle", "a", keepdims=0),
        nets.node("MatMul", "a w", "h"),
        nets.node("Relu", "h", "r"),
        nets.node("MatMul", "r v", "y"),
    ]
    weights = {
        "far": np.array(-1000),
        "table": table,
        "middle": np.array([1]),
        "w": noise(1, 4, 6),
        "v": noise(2, 6, 3),
    }
    (tmp_path / "model.onnx").write_bytes(nets.net(nodes, weights, ["batch", 5], ["batch", 3]))
    inputs = [{"name": "x", "dtype": "float32", "shape": [4, 5]}]
    (tmp_path / "good").write_bytes(np.full((4, 5), 1003, np.float32).tobytes())
    (tmp_path / "bad").write_bytes(np.full((4, 5), 3, np.float32).tobytes())
    with child() as one:
        found = one.open_model(tmp_path / "model.onnx")
        [warning] = found["warnings"]
        assert "runs on none of the inputs" in warning
        assert found["cost"]["milliseconds"] is None
        sites = [site["site"] for site in found["sites"]]
        with pytest.raises(Refused, match="indices") as refused:
            one.load(tmp_path / "bad", inputs, sites, "zero")
        assert refused.value.kind == "model-unsupported"
        assert one.load(tmp_path / "good", inputs, sites, "zero") == {"tail": [3], "warnings": []}
        assert one.intact(0, 4).shape == (4, 3)


def test_what_real_examples_show_is_said_by_every_load(tmp_path: Path) -> None:
    """A warning that only the dataset brings about comes with the first masks and with the second."""
    (tmp_path / "model.onnx").write_bytes(nets.residual())
    broken = noise(1, 4, 2, 8, 8)
    broken[2] = np.nan
    (tmp_path / "inputs").write_bytes(broken.tobytes())
    inputs = [{"name": "x", "dtype": "float32", "shape": [4, 2, 8, 8]}]
    with child() as one:
        sites = [site["site"] for site in one.open_model(tmp_path / "model.onnx")["sites"]]
        first = one.load(tmp_path / "inputs", inputs, sites, "zero")
        assert "NaN" in first["warnings"][0]
        assert one.load(tmp_path / "inputs", inputs, sites[:1], "zero") == first


def test_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    """A model that needs more than its process may have ends as `resource-exhausted`, and nothing else is harmed."""
    (tmp_path / "wide.onnx").write_bytes(nets.tall(2**26))
    with child(memory_bytes=700 * MIB) as one, pytest.raises(Refused) as refused:
        one.open_model(tmp_path / "wide.onnx")
    assert refused.value.kind == "resource-exhausted"


def test_a_killed_child_is_a_crash(files: Path, tmp_path: Path) -> None:
    """The parent learns which signal it was, and guesses why."""
    with child() as one:
        one.read_dataset(files / "data.npz", tmp_path / "x")
        os.kill(one.pid, signal.SIGKILL)
        with pytest.raises(Crashed, match="SIGKILL, perhaps out of memory") as crash:
            one.read_dataset(files / "data.npz", tmp_path / "x")
    assert crash.value.signal == signal.SIGKILL


def test_last_words_are_kept(files: Path, tmp_path: Path) -> None:
    """A child that fails says why on its stderr, and the parent waits for that."""
    with child() as one, pytest.raises(Crashed, match=r"exit code 1.*AttributeError") as crash:
        one.load(files / "inputs", INPUTS, ["conv"], "zero")  # before any model
    assert crash.value.signal is None


def test_a_child_that_hangs_is_killed(files: Path, tmp_path: Path) -> None:
    """The wall clock is the parent's, and needs no help from the child."""
    with child(seconds=0.5) as one:
        os.kill(one.pid, signal.SIGSTOP)
        with pytest.raises(TimedOut):
            one.read_dataset(files / "data.npz", tmp_path / "x")
        wait_until(lambda: gone(one.pid), "the hanging child is killed")


def test_another_thread_may_end_it(files: Path, tmp_path: Path) -> None:
    """Whoever waits for an answer gets a crash at once."""
    with child() as one:
        os.kill(one.pid, signal.SIGSTOP)
        killer = threading.Timer(0.2, one.kill)
        killer.start()
        with pytest.raises(Crashed):
            one.read_dataset(files / "data.npz", tmp_path / "x")
        killer.join()


def test_nothing_is_left(files: Path, tmp_path: Path) -> None:
    """After the block there is no process, no zombie and no open file; ending twice is fine."""
    before = len(os.listdir("/proc/self/fd"))
    with child() as one:
        one.read_dataset(files / "data.npz", tmp_path / "x")
    assert not psutil.pid_exists(one.pid)
    assert len(os.listdir("/proc/self/fd")) == before
    one.kill()
    one.close()


def test_the_child_of_a_killed_parent_dies(tmp_path: Path) -> None:
    """kill -9 of a worker leaves no child behind: the kernel sees to it."""
    script = """
        import signal
        from worker.sandbox.parent import Child
        child = Child(memory_bytes=2**32, seconds=60, threads=1)
        print(child.pid, flush=True)
        signal.pause()
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until(lambda: b"worker.sandbox.child" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the child is up")
        parent.kill()
        parent.wait()
        wait_until(lambda: gone(pid), "the child is dead")
