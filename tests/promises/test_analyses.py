"""Analyses end to end: over HTTP, with real workers, through kill -9, to the same signed table."""

import hashlib
import io
import json
from csv import DictReader
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service import signing
from service.examples import paths
from tests.conftest import wait_until
from tests.promises.test_same_bytes import outcome, workers_that_computed
from tests.stack import Stack, running

UNITS = 176  # of the shipped network
ALL = ["selectivity", "importance", "relation", "targeted", "classes", "noise"]
CONFIG = {"precision": 0.1, "seed": 3, "analyses": ALL[2:], "passes": 30_000}


def submitted(stack: Stack, workers: int = 1, **config: Any) -> str:
    answer = stack.submit(*paths("learned"), json.dumps(CONFIG | {"limits": {"workers": workers}} | config))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def table(stack: Stack, evaluation: str) -> bytes:
    """All units as lines of JSON; their digest is in the signed result."""
    return bytes(stack.client.get(f"/v1/evaluations/{evaluation}/units.jsonl").content)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> tuple[dict[str, Any], bytes]:
    """Result and table when nothing happens; and what every form of them says."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with running(folder, f"sqlite:///{folder}/lesion.db", valkey, inspect_wait=0) as stack:
        stack.worker()
        evaluation = submitted(stack)
        ended = stack.ended(evaluation)
        lines = table(stack, evaluation)
        check_forms(stack, evaluation, lines)
        keys = signing.public_keys(stack.client.get("/v1/signing-keys").content)
        signing.verify(ended, keys)
        check_comparison(stack, evaluation)
        return outcome(ended), lines


def check_forms(stack: Stack, evaluation: str, lines: bytes) -> None:
    """Pages, CSV and pictures tell the same units."""
    at = f"/v1/evaluations/{evaluation}/units"
    units, cursor = [], ""
    while cursor is not None:
        page = stack.client.get(at, params={"limit": 70} | ({"cursor": cursor} if cursor else {})).json()
        units += page["data"]
        cursor = page["next_cursor"]
    assert [json.loads(line) for line in lines.splitlines()] == units
    rows = list(DictReader(io.StringIO(stack.client.get(f"{at}.csv").text)))
    assert [float(row["cross_entropy_added"]) for row in rows] == [
        unit["importance"]["cross_entropy_added"]["value"] for unit in units
    ]
    assert sorted(int(row["rank"]) for row in rows) == list(range(1, UNITS + 1))
    svg = stack.client.get(f"{at}.svg").text
    assert "class selectivity" in svg
    with Image.open(io.BytesIO(stack.client.get(f"{at}.png").content)) as picture:
        assert len(picture.convert("RGB").getcolors(100_000) or []) > 50


def check_comparison(stack: Stack, evaluation: str) -> None:
    """The score is that of the same config without analyses: the difference of the two is nothing, pair by pair."""
    plain = submitted(stack, analyses=None, passes=None)
    assert stack.ended(plain)["result"]["score"] == stack.get(evaluation)["result"]["score"]
    asked = {"baseline": plain, "candidate": evaluation}
    told = stack.client.post("/v1/comparisons", json=asked).json()
    assert told["paired"]
    assert told["difference"]["value"] == 0


def test_the_result_tells_what_was_found(undisturbed: tuple[dict[str, Any], bytes]) -> None:
    """Sites, the most important units, a sentence with its correlations, and the digest of the table."""
    result, lines = undisturbed
    found = result["analyses"]
    assert found["units"] == {"units": UNITS, "digest": "sha256:" + hashlib.sha256(lines).hexdigest()}
    assert [site["units"] for site in found["selectivity"]] == [16, 32, 64, 64]
    top = found["importance"]["top"]
    assert [unit["importance"]["rank"] for unit in top] == list(range(1, 11))
    assert top[0]["importance"]["cross_entropy_added"]["low"] > 0
    assert found["relation"]["finding"].count("on this model") == 2
    assert [each["property"] for each in found["relation"]["overall"]] == ["selectivity", "information"]
    assert len(found["relation"]["layers"]) == 8
    assert [each["order"] for each in found["targeted"]["orders"]][:2] == ["random", "most_selective"]
    assert found["targeted"]["orders"][4]["less_than_random"]["low"] > 0  # the most important
    assert sorted(each["label"] for each in found["classes"]["curves"]) == list(range(10))
    assert found["noise"]["curve"][0]["value"] > found["noise"]["curve"][-1]["value"]
    units = [json.loads(line) for line in lines.splitlines()]
    dead = [unit for unit in units if unit["dead"]]
    assert len(dead) == sum(site["dead"] for site in found["selectivity"]) > 0
    assert {unit["importance"]["cross_entropy_added"]["value"] for unit in dead} == {0}
    assert {unit["importance"]["accuracy_lost"]["value"] for unit in dead} == {0}
    assert result["cost"]["passes"] > found["passes"] > 0
    assert result["provenance"]["config"]["analyses"] == ALL


def test_kill_9_and_three_workers_change_nothing(
    undisturbed: tuple[dict[str, Any], bytes], database: str, tmp_path: Path, valkey: str
) -> None:
    """Killed in the middle of the analyses, taken over by others: each chunk counts once, to the same bytes."""
    with running(tmp_path, database, valkey, inspect_wait=0) as stack:
        first = stack.worker()
        evaluation = submitted(stack, workers=3)
        wait_until(lambda: 0.05 < stack.get(evaluation)["progress"]["share"] < 0.5, "some of the analyses", 90)
        stack.kill(first)
        assert stack.get(evaluation)["state"] == "running"
        for _ in range(2):
            stack.worker()
        assert outcome(stack.ended(evaluation)) == undisturbed[0]
        assert table(stack, evaluation) == undisturbed[1]
        assert workers_that_computed(stack, evaluation) >= 2
        assert stack.client.delete(f"/v1/evaluations/{evaluation}?forget=true").status_code == 204
        assert stack.client.get(f"/v1/evaluations/{evaluation}/units").status_code == 404


def test_the_most_important_alone_cost_less(tmp_path: Path, valkey: str) -> None:
    """`top` ends when it is certain which units they are: fewer passes a unit than all would take, the same leader."""
    with running(tmp_path, f"sqlite:///{tmp_path}/lesion.db", valkey, inspect_wait=0) as stack:
        stack.worker()
        told = stack.ended(submitted(stack, analyses=["importance"], top=1, passes=400_000))["result"]["analyses"]
    assert told["importance"]["certain"]
    assert (told["importance"]["top"][0]["site"], told["importance"]["top"][0]["unit"]) == ("layers.7", 11)
    assert told["passes"] < 60_000
    assert told["relation"] is None
