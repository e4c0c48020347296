"""The table of what was killed: the last run of each class, and what was there before is gone."""

import json
import sys

import pytest

from benchmarks import promises

RUN = {
    "class": "worker",
    "database": "sqlite",
    "lease": 2.0,
    "faults": 50,
    "accepted": 7,
    "lost": 0,
    "doubled": 0,
    "stale": 0,
    "orphans": 0,
    "p50": 2.074,
    "p99": None,
    "max": None,
    "seed": 1,
}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A copy of the page, as it is now."""
    copy = tmp_path / "promises.md"
    copy.write_text(promises.PAGE.read_text())
    monkeypatch.setattr(promises, "PAGE", copy)
    return copy


def written(page, tmp_path, monkeypatch, *runs):
    """Lines of the page after these runs, which are not in it today."""
    lines = tmp_path / "chaos.jsonl"
    lines.write_text("".join(json.dumps(run) + "\n" for run in runs))
    monkeypatch.setattr(sys, "argv", ["promises", str(lines)])
    promises.main()
    return page.read_text().splitlines()


def test_the_table_is_the_last_run_of_each_class(page, tmp_path, monkeypatch):
    """Rows of before go, the words around them stay, and writing twice is writing once."""
    around = promises.BLOCK.sub("", page.read_text())
    runs = [{**RUN, "faults": 3}, RUN, {**RUN, "class": "api", "p50": None}]
    found = written(page, tmp_path, monkeypatch, *runs)
    at = next(number for number, line in enumerate(found) if line.startswith("<!-- chaos:"))
    assert found[at + 3 : at + 6] == [
        "| worker | sqlite | 2 | 50 | 7 | 0 | 0 | 0 | 0 | 2.074 |  |  | 1 |",
        "| api | sqlite | 2 | 50 | 7 | 0 | 0 | 0 | 0 |  |  |  | 1 |",
        "<!-- end of chaos -->",
    ]
    assert len(found[at + 1].split("|")) == len(found[at + 3].split("|"))
    assert promises.BLOCK.sub("", page.read_text()) == around
    assert written(page, tmp_path, monkeypatch, *runs) == found
