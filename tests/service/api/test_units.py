"""The table of units over HTTP where tests play the worker: pages of many units, and every reason to have none."""

import json
from typing import Any

from service import schemas
from service.store import evaluations, units
from service.store.session import transaction
from tests.service import answers
from tests.service.api.conftest import Api

MANY = 1234


def line(number: int) -> str:
    """One unit's line."""
    return schemas.canonical(schemas.Unit(site="fc1", unit=number, mean=number / 7).model_dump(mode="json")) + "\n"


def analysed(api: Api, count: int = MANY, relation: schemas.Relation | None = None) -> str:
    """An evaluation that has succeeded, with so many units; its id."""
    asked = api.uploaded()
    body = {**asked, "config": {"analyses": ["selectivity"]}}
    evaluation: str = api.client.post("/v1/evaluations", json=body).json()["id"]
    table = schemas.UnitTable(units=count, digest=answers.MODEL)
    result = answers.result(analyses=schemas.Analyses(units=table, passes=0, relation=relation))
    result.cost.seconds = None
    with transaction(api.engine) as db:
        claim = evaluations.claim(db, evaluation, "worker", 30)
        assert claim is not None
        evaluations.finish(db, claim, schemas.canonical(result.model_dump(mode="json")), 0)
        units.keep(db, evaluation, [line(number) for number in range(count)])
    return evaluation


def test_pages_of_any_size_give_each_unit_once(api: Api) -> None:
    """Across the pages in which they are stored, and with an end exactly at one."""
    evaluation = analysed(api)
    for limit in (499, 500, 617, 100):
        at, found, cursor = f"/v1/evaluations/{evaluation}/units", list[int](), None
        while True:
            asked: dict[str, Any] = {"limit": min(limit, 500)} | ({"cursor": cursor} if cursor else {})
            page = api.client.get(at, params=asked).json()
            found += [unit["unit"] for unit in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == list(range(MANY))


def test_whole_tables_are_streamed_as_they_are_stored(api: Api) -> None:
    """Lines of JSON byte by byte, and CSV with a head; empty where there is nothing."""
    evaluation = analysed(api)
    at = f"/v1/evaluations/{evaluation}/units"
    assert api.client.get(f"{at}.jsonl").text == "".join(line(number) for number in range(MANY))
    rows = api.client.get(f"{at}.csv").text.splitlines()
    assert len(rows) == MANY + 1
    assert rows[0].startswith("site,unit,mean,")
    assert rows[8] == "fc1,7,1.0,,,,,,,,,,,,,,,,,"


def test_what_has_no_table_says_so(api: Api) -> None:
    """Not ended: 425 or so with when to come again; without analyses, and without what a picture shows: 409."""
    waiting = api.client.post("/v1/evaluations", json={**api.uploaded(), "config": {"seed": 9}}).json()["id"]
    assert api.client.get(f"/v1/evaluations/{waiting}/units").json()["type"] == "/problems/not-ready"
    api.finish(waiting)
    told = api.client.get(f"/v1/evaluations/{waiting}/units.csv")
    assert (told.status_code, told.json()["type"]) == (409, "/problems/conflict")
    assert "analyses" in told.json()["detail"]
    evaluation = analysed(api, 3)
    picture = api.client.get(f"/v1/evaluations/{evaluation}/units.svg")
    assert (picture.status_code, "relation" in picture.json()["detail"]) == (409, True)
    for cursor in ("x", "WyJhIl0", "Wy0xLjBd", "WzFlOTld"):
        at = f"/v1/evaluations/{evaluation}/units?cursor={cursor}"
        assert api.client.get(at).status_code == 422, cursor


def test_what_cannot_be_analysed_is_refused_at_once(api: Api) -> None:
    """An example must have one class: not with R², and `top` belongs to `importance`."""
    asked = api.uploaded()
    for config, told in (
        ({"analyses": ["importance"], "metric": "r2"}, "`analyses`"),
        ({"analyses": ["classes"], "top": 3}, "`top` belongs"),
        ({"analyses": ["selectivity"], "passes": 5000}, "`passes` belongs"),
        ({"analyses": ["nothing"]}, "selectivity"),
        ({"analyses": []}, "analyses"),
    ):
        answer = api.client.post("/v1/evaluations", json={**asked, "config": config})
        assert answer.status_code == 422, config
        assert told in json.dumps(answer.json()), answer.json()


def test_what_an_analysis_needs_is_written_out() -> None:
    """`relation` alone, or with what it needs, in any order and twice: one config, one identity, one answer."""
    configs = [{"analyses": ["relation"]}, {"analyses": ["importance", "relation", "selectivity", "relation"]}]
    one, other = (schemas.Config.model_validate(config) for config in configs)
    assert one.analyses == ["selectivity", "importance", "relation"]
    assert one.identity() == other.identity()
    assert "analyses" not in schemas.Config().identity()
    assert schemas.Config.model_validate_json(one.model_dump_json()) == one
