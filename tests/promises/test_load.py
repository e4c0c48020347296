"""The load that `make load` measures, for a moment: here only what must hold however busy the machine is."""

from collections.abc import Iterator

import pytest

from benchmarks.load import site, traffic, uploading
from benchmarks.load.site import Site


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    """The API as a process of its own, with a real broker, on SQLite."""
    with site.running("sqlite") as place:
        yield place


def test_reads_and_submissions_are_answered(place: Site) -> None:
    """Many at once, and none fails, is lost, or waits for a lock until it gives up."""
    for load in (traffic.reads, traffic.submits):
        seen = load(place, 0.2)
        assert set(seen["statuses"]) <= {"200", "202", "503"}, seen
        assert not seen.get("refused", {}).get("without_retry_after"), seen


def test_too_much_is_refused_and_nothing_breaks(place: Site) -> None:
    """With three times what it can do, each caller is served, or told when to come again; afterwards all is well."""
    seen = traffic.overload(place, 1)
    assert set(seen["flood"]["statuses"]) <= {"200", "202", "503"}, seen
    assert not seen["flood"].get("refused", {}).get("without_retry_after"), seen
    assert set(seen["after"]["statuses"]) <= {"200", "202"}, seen


def test_a_large_upload_costs_no_memory(place: Site) -> None:
    """64 MiB raise the API's peak by less than 32."""
    assert uploading.upload(place, 0, mib=64)["peak_rise_mib"] < 32
