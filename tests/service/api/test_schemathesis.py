"""The API does what its document says, by a tool that makes requests of it; benchmarks/contract.py is the long form."""

from pathlib import Path

import pytest

from benchmarks import contract

EXAMPLES = 3  # of each operation in each phase, which takes half a minute; the tool adds its own of each constraint
PATIENT = 60.0  # seconds for an answer: the machine may be busy, and the long form asks for 5


@pytest.mark.timeout(600)
def test_answers_are_what_the_document_says(tmp_path: Path) -> None:
    """All checks in all phases, the stateful one too: statuses, schemas, headers, methods; right requests and wrong."""
    with contract.serving(tmp_path / "data") as served:
        count, found = contract.checked(served, EXAMPLES, 2026, PATIENT, tmp_path)
    assert not found, found
    assert count > 100, "it asked for hardly anything"
