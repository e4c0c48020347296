"""Damaged files through the real readers in the real walled processes; benchmarks/fuzz is the long form."""

from pathlib import Path

import pytest

from benchmarks.fuzz import campaign, cases, seeds
from benchmarks.fuzz.campaign import Tally
from benchmarks.fuzz.readers import Datasets
from benchmarks.fuzz.seeds import Seed
from tests.worker.formats.reading import reading, wanted
from worker.formats.refusals import Refused

FOUND = sorted(path for path in (Path(__file__).parent / "found").rglob("*") if path.is_file())
SEED = 2026
# Cases of each format, as many as half a minute on two cores is enough for; programs are converted with torch.
CASES = {"onnx": 60, "bundle": 40, "pt2": 3, "torchscript": 6, "json": 80, "form": 60}
OTHERS = 150
DEEP = 0.2  # of the cases come past the outermost parser at least; of most formats half do


@pytest.mark.timeout(600)
@pytest.mark.parametrize("form", cases.FORMATS)
def test_damaged_files_get_a_verdict(form: str) -> None:
    """Accepted, or refused in words that may be shown: no crash, no time, no memory, no file beyond what there is."""
    tally = campaign.run(Tally(form), SEED, range(CASES.get(form, OTHERS)))
    assert not tally.faults, [f"case {number}: {outcome.fault}" for number, outcome in tally.faults]
    assert tally.words["accepted"] > 0, "sound files are among them"
    assert tally.shallow < (1 - DEEP) * tally.total, "most refusals come from the outermost parser"


def test_a_case_can_be_made_again() -> None:
    """A number and a seed are all that is needed to see a failure again."""
    for form in ("onnx", "npz", "tar", "json"):
        assert cases.case(form, 1, 7) == cases.case(form, 1, 7)
        assert cases.case(form, 1, 7).data != cases.case(form, 2, 7).data


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_files_that_once_failed_get_a_verdict(path: Path, tmp_path: Path) -> None:
    """Each was found by a long run, named by its format, seed and number, and mended."""
    reader = campaign.READERS[path.parent.name](tmp_path)
    try:
        outcome = campaign.judged(reader, Seed(path.name, path.read_bytes(), reading(wanted("x", 4))))
    finally:
        reader.renew()
    assert not outcome.fault, outcome.fault


def test_a_fault_is_found(tmp_path: Path) -> None:
    """A reader that tells a caller where it lies, or dies, does not pass."""

    class Telling(Datasets):
        def read(self, case: Seed) -> str:
            raise Refused("dataset-malformed", f"no such file: {seeds.ROOT}/x")

    class Dying(Datasets):
        def read(self, case: Seed) -> str:
            super().read(case)
            self.children["dataset"].kill()
            return super().read(case)

    sound = cases.case("csv", 1, 0)
    assert "tells of the server" in campaign.judged(Telling(tmp_path), sound).fault
    assert "crashed: signal SIGKILL" in campaign.judged(Dying(tmp_path), sound).fault
