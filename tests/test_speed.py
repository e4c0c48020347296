"""The benchmark of speed in small: its questions add up, and Lesion's side of it runs on a real network."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student_t

from benchmarks.speed import data, drawing, lesion, memory, questions, reference, rounds, table
from benchmarks.speed.questions import FRACTIONS, MET
from service.examples import paths


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the shipped network stands for the MLP, with the first 200 of its examples."""
    model, _ = paths("learned")
    (tmp_path / "mlp.onnx").write_bytes(model.read_bytes())
    (tmp_path / "units.json").write_text(json.dumps({"mlp": [1000]}))
    monkeypatch.setattr(lesion, "MET", 8)
    return tmp_path


def asked(place: Path, form: str, estimator: str, seconds: float = 0.0) -> dict[str, Any]:
    told = SimpleNamespace(
        folder=place,
        estimator=estimator,
        workload="mlp",
        form=form,
        seconds=seconds,
        examples=200,
        orderings=3,
        seed=0,
        precision=0.02,
    )
    run = place / f"{form}-{estimator}"
    run.mkdir()
    arrays = np.load(paths("learned")[1])
    few: dict[str, Any] = {name: arrays[name][:200] for name in arrays.files}
    np.savez(run / "data.npz", **few)
    return lesion.measured(told, run)


def test_the_grid_is_timed_whole(place: Path) -> None:
    """Every pass of three orderings; what the child holds is its own for the most part, and files besides."""
    found = asked(place, "network", "grid")
    assert found["passes"] == found["needed"] == 3 * FRACTIONS * 200
    assert found["child_mib"] > 10
    assert 0 < found["anonymous_mib"] < found["child_mib"]
    assert 0 < found["mapped_mib"] < found["child_mib"]


def test_adaptive_agrees_with_the_reference(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within what eight orderings and a target of 0.02 leave open; the areas themselves are a grid's."""
    model, dataset = paths("learned")
    arrays = np.load(dataset)
    monkeypatch.setattr(reference, "LEAST_DRAWN", 3)
    x, y = (arrays[name][:200] for name in ("x", "y"))
    found, heights = reference.areas(model.read_bytes(), x, y, separate=False, seconds=0)
    assert found.shape == (3, 200)
    assert np.trapezoid(heights, dx=1 / 20) == pytest.approx(found.mean())
    adaptive = asked(place, "network", "adaptive")
    assert adaptive["auc"][0] == pytest.approx(found.mean(), abs=0.1)
    assert adaptive["passes"] > 500


def test_orderings_and_examples_are_told_apart() -> None:
    """Of areas whose parts are known: 0.03 between orderings, 0.2 of each pair, which 400 examples make 0.01."""
    generator = np.random.default_rng(0)
    found = (
        0.5 + generator.normal(0, 0.03, (200, 1)) + generator.normal(0, 0.1, 400) + generator.normal(0, 0.2, (200, 400))
    )
    told = reference.told(found, np.array([1.0, 1.0, 0.0, 0.0, 0.0]))
    assert told["missed"] == 1 / 8  # a step between two of five heights, wherever it is
    assert told["between"] == pytest.approx(0.03**2, rel=0.25)
    assert told["rest"] == pytest.approx(0.2**2, rel=0.05)
    assert told["deviation"] == pytest.approx(np.sqrt((0.03**2 + 0.01**2) / 200), rel=0.25)


def test_an_evaluation_set_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is what would have been written at once."""
    whole = np.arange(50, dtype=np.float32).reshape(25, 2)
    monkeypatch.setattr(data, "BLOCK", 10)
    monkeypatch.setattr(data, "examples", lambda _name, _folder, low, high: (whole[low:high], np.arange(low, high)))
    data.save(tmp_path / "data.npz", "mlp", tmp_path, 25)
    read = np.load(tmp_path / "data.npz")
    np.testing.assert_array_equal(read["x"], whole)
    np.testing.assert_array_equal(read["y"], np.arange(25))


def test_own_pages_and_mapped_ones_are_told_apart(tmp_path: Path) -> None:
    """A file that is mapped and read adds nothing to what is a process's own."""
    (tmp_path / "file").write_bytes(bytes(64 * 1024**2))
    program = "import sys, time, numpy; x = numpy.memmap(sys.argv[1], mode='r'); x.sum(); print(1, flush=True); input()"
    command = [sys.executable, "-P", "-c", program, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        most = memory.Most()
        most.see(Path(f"/proc/{process.pid}/status").read_text())
        process.communicate(b"\n")
    assert most.mapped > 64
    assert most.anonymous < 64


def test_importance_is_timed_by_pairs(place: Path) -> None:
    """Pairs are counted whether or not they took a pass."""
    found = asked(place, "importance", "grid")
    assert found["passes"] == found["needed"] >= found["ran"] > 0


def test_a_loop_needs_what_its_orderings_say() -> None:
    """64 of the deviation 0.04 make ±0.01, an interval that covers; sites one by one; what a unit meets at most."""
    assert questions.orderings(0.04) == 64
    assert questions.orderings(0.0) == 2
    draws = np.random.default_rng(0).normal(0, 0.02, (10_000, questions.orderings(0.02)))
    halves = student_t.ppf(0.975, draws.shape[1] - 1) * draws.std(axis=1, ddof=1) / np.sqrt(draws.shape[1])
    assert np.sqrt(np.mean(halves**2)) == pytest.approx(0.01, rel=0.05)
    assert np.mean(np.abs(draws.mean(axis=1)) <= halves) == pytest.approx(0.95, abs=0.01)
    assert questions.passes("network", [3, 4], 1000, 64) == 64 * 21 * 1000
    assert questions.passes("layer", [3, 4], 1000, 64) == 2 * 64 * 21 * 1000
    assert questions.passes("importance", [3, 4], 1000, 64) == 7 * MET


def test_figures_are_medians_and_ratios_of_the_same_round() -> None:
    """A machine that is twice as slow in the second round changes no ratio."""
    lines = [
        {"who": who, "form": "network", "round": number, "passes": rate, "seconds": float(slow), "peak_mib": 100.0}
        for number, slow in enumerate((1, 2, 1))
        for who, rate in (("hooks", 100), ("grid", 500))
    ]
    figures = table.Figures(lines, [4], {"sites": 1, "units": 4, "million": 1.0})
    assert figures._ratio("grid", "hooks", "network") == 5.0
    assert figures._rate("hooks", "network") == 100.0
    assert "| network | Captum | cannot ask this |" in figures.section("mlp")


def test_a_loop_is_told_as_many_orderings_as_were_measured_apart(tmp_path: Path) -> None:
    """Without a reference there is no ratio; with one, fewer examples ask for more orderings. And all is drawn."""
    common = {"form": "network", "round": 0, "passes": 1000, "seconds": 1.0, "peak_mib": 100.0}
    adaptive = {"open_seconds": 0.5, "intact_seconds": 0.5, "anonymous_mib": 90.0, "mapped_mib": 40.0}
    lines: list[dict[str, Any]] = [
        {**common, "who": "hooks"},
        {**common, **adaptive, "who": "adaptive", "examples": 1000, "auc": [0.51, 0.49, 0.53]},
    ]
    floor = {"sites": 1, "units": 4, "million": 1.0}
    assert table.Figures(lines, [4], floor).curves() == []
    apart = {"auc": 0.5, "deviation": 0.01, "missed": 0.002, "orderings": 9, "between": 0.0004, "rest": 0.04}
    figures = table.Figures([*lines, {**common, **apart, "who": "reference", "examples": 1000}], [4], floor)
    assert figures.drawn("network", 1000) == questions.orderings(np.sqrt(0.00044)) == 20
    assert figures.drawn("network", 100_000) == 18
    assert figures.curves() == [(1000, 2.0, 20 * 21 * 1000 / 1000)]
    section = figures.section("mlp")
    assert "| 20 (11 to 65), 420,000 | 210 | 90, 40 |" in section
    assert "| network | 1,000 | 9 | 0.500 ± 0.020, 0.002 | 0.510 [0.490, 0.530] | +0.010, 0.6 |" in section
    drawing.draw(figures.rows("mlp"), {"mlp": figures.curves()}, tmp_path / "speed.svg")
    assert "seconds to" in (tmp_path / "speed.svg").read_text()


def test_what_there_is_no_time_for_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is begun when the minutes are over."""
    (tmp_path / "units.json").write_text(json.dumps({"mlp": [4]}))
    rounds.run(tmp_path, "nobody", ["mlp"], rounds.Pace(1, 0.1, minutes=0.0))
    assert "the minutes are over" in capsys.readouterr().out
    assert not (tmp_path / "times.jsonl").exists()


def test_its_command_tells_what_it_wants() -> None:
    """`python -m benchmarks.speed --help` needs neither torch nor a folder."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.speed", "--help"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert ran.returncode == 0
    assert "make,run,tell" in ran.stdout
