"""Every bad file is refused by the real readers, in words, by arithmetic; a sample of each class over real HTTP too."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import problems
from tests.promises.bad_input.case import Artifact, Case
from tests.promises.bad_input.files import CLASSES
from tests.promises.bad_input.readers import Readers
from tests.promises.bad_input.served import DATASET_LIMIT, MODEL_LIMIT, ROOT, Served, check_problem
from worker.formats.refusals import KINDS

SECONDS = 5  # of processor time, until there is a verdict
TOTAL = 370  # cases of files and requests together, at least
Named = tuple[Artifact, Case]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    """One child for all files of a kind: what one of them breaks, the next ones would notice."""
    readers = Readers(tmp_path_factory.mktemp("readers"))
    yield readers
    readers.close()


def every() -> list[object]:
    return [
        pytest.param((each.artifact, case), id=f"{name}: {case.name}")
        for name, each in CLASSES.items()
        for case in each.cases
    ]


def sample() -> list[object]:
    """Of each class the first case of each problem, among those that the upload itself shows."""
    chosen: dict[tuple[str, str], object] = {}
    for name, each in CLASSES.items():
        for case in each.cases:
            if case.reading is None and case.kind != "resource-exhausted":
                chosen.setdefault((name, case.kind), pytest.param((each.artifact, case), id=f"{name}: {case.name}"))
    return list(chosen.values())


@pytest.mark.parametrize("named", every())
def test_a_file_is_refused(readers: Readers, named: Named) -> None:
    """As its own problem, with what is at fault, soon, within bounded memory; the child that reads it lives on."""
    artifact, case = named
    verdict = readers.read(artifact, case)
    assert verdict.kind == case.kind, verdict
    assert case.says in verdict.detail, verdict
    assert 30 < len(verdict.detail) < 1200, verdict
    assert verdict.seconds <= SECONDS, verdict
    assert verdict.memory <= case.memory, verdict
    assert not any(word in verdict.detail for word in (sys.prefix, str(ROOT), "site-packages", "Traceback")), verdict


@pytest.mark.parametrize("named", sample())
def test_an_upload_is_refused(served: Served, named: Named) -> None:
    """Over HTTP with the documented status, never 5xx; no row, no blob and no scratch file is left of it."""
    artifact, case = named
    before, data = served.standing(), case.make()
    assert len(data) <= (MODEL_LIMIT if artifact == "model" else DATASET_LIMIT), "choose a smaller one"
    answer = served.uploaded(artifact, data)
    if data:
        check_problem(answer, case.status, case.kind, case.says)
    else:
        check_problem(answer, 422, "validation-error", "empty")
    served.check_standing(before)
    served.check_told(answer.text)


@pytest.mark.parametrize("name", CLASSES)
def test_the_table_is_complete(name: str) -> None:
    """No class has fewer cases than were promised, none comes twice, and each is a problem a child may name."""
    each = CLASSES[name]
    assert len(each.cases) >= each.least
    assert len({case.name for case in each.cases}) == len(each.cases)
    assert {case.kind for case in each.cases} <= KINDS | {"deadline-exceeded"}
    assert all(400 <= problems.BY_TYPE[case.kind].status < 500 for case in each.cases)


def test_the_whole_table_is_as_large_as_was_promised() -> None:
    """Files and requests, each with a name."""
    from tests.promises.bad_input.test_requests import STATEFUL, TABLE

    files = sum(len(each.cases) for each in CLASSES.values())
    requests = sum(len(cases) for _, cases in (TABLE | STATEFUL).values())
    assert files + requests >= TOTAL


def test_good_files_are_still_taken(readers: Readers) -> None:
    """After all of that, the children read what is right."""
    from tests.zoo import datasets, models

    assert readers.given("model", models.good()).kind is None
    assert readers.given("dataset", datasets.good()).kind is None


def test_memory_and_time_are_seen(readers: Readers, tmp_path: Path) -> None:
    """What is measured is there to be measured: a file that takes much is seen to take much."""
    import numpy as np

    from tests.zoo.arrays import npz

    rows = np.zeros(4_000_000, np.int64)
    verdict = readers.given("dataset", npz(x=np.zeros((4_000_000, 1), np.uint8), y=rows))
    assert verdict.kind is None
    assert verdict.memory > 30 or not sys.platform.startswith("linux")
    assert verdict.seconds > 0
