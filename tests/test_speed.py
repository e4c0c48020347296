"""The benchmark of speed in small: its questions add up, and Lesion's side of it runs on a real network."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import lesion, questions, table
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
        folder=place, estimator=estimator, workload="mlp", form=form, seconds=seconds, examples=200, orderings=3, seed=0
    )
    run = place / f"{form}-{estimator}"
    run.mkdir()
    arrays = np.load(paths("learned")[1])
    few: dict[str, Any] = {name: arrays[name][:200] for name in arrays.files}
    np.savez(run / "data.npz", **few)
    return lesion.measured(told, run)


def test_the_grid_is_timed_whole_and_its_orderings_are_told(place: Path) -> None:
    """Every pass of three orderings, and an area for each, below the intact accuracy."""
    found = asked(place, "network", "grid")
    assert found["passes"] == found["needed"] == 3 * FRACTIONS * 200
    assert len(found["aucs"]) == 3
    assert all(0 < area < 1 for area in found["aucs"])
    assert found["child_mib"] > 10


def test_adaptive_agrees_with_the_grid(place: Path) -> None:
    """The mean of three orderings lies near what `adaptive` says; each is some 0.03 off."""
    adaptive = asked(place, "network", "adaptive")
    grid = asked(place, "network", "grid")
    assert adaptive["auc"][0] == pytest.approx(np.mean(grid["aucs"]), abs=0.1)
    assert adaptive["passes"] > 1000


def test_importance_is_timed_by_pairs(place: Path) -> None:
    """Pairs are counted whether or not they took a pass."""
    found = asked(place, "importance", "grid")
    assert found["passes"] == found["needed"] >= found["ran"] > 0


def test_a_loop_needs_what_its_orderings_say() -> None:
    """(1.96 x 0.04 / 0.01)^2 is 62; of two sites at once or one by one; a unit meets so many examples at most."""
    assert questions.orderings(0.04) == 62
    assert questions.orderings(0.0) == 2
    assert questions.passes("network", [3, 4], 1000, 62) == 62 * 21 * 1000
    assert questions.passes("layer", [3, 4], 1000, 62) == 2 * 62 * 21 * 1000
    assert questions.passes("importance", [3, 4], 1000, 62) == 7 * MET


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
