"""The load that `make load` measures, for a moment: here only what must hold however busy the machine is."""

from collections.abc import Iterator

import pytest

from benchmarks.load import promises, site, soak, traffic, uploading
from benchmarks.load.site import MIB, Reading, Site


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


def test_a_soak_ends_what_it_begins() -> None:
    """A dozen evaluations through two workers: each succeeds, and every process was looked at."""
    with site.running("sqlite") as alone:  # nothing of the others' is queued
        seen = soak.soak(alone, 120, count=12, workers=2)
    assert (seen["ended"], seen["failed"]) == (12, 0), seen
    for looked in seen["along"].values():
        assert min(looked.values()) > 0, seen
    assert "api_mib" in promises.told("soak", "sqlite", seen, [])


def test_a_soak_tells_what_grows_from_what_has_grown() -> None:
    """Caches that are full by half time are no growth; ten kilobytes an evaluation are."""
    full = [(at, {"api": Reading(100 * MIB + min(at, 4_000) * 10_000, 50, 0.0)}) for at in range(0, 10_000, 100)]
    leaks = [(at, {"api": Reading(100 * MIB + at * 10_000, 50 + at // 1000, 0.0)}) for at in range(0, 10_000, 100)]
    assert soak.growth(full, "api") == {"rss": 0.0, "descriptors": 0.0}
    assert min(soak.growth(leaks, "api").values()) > soak.STEADY
