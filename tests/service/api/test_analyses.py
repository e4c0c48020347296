"""Analyses over HTTP, in every form, where tests play the worker; and every reason to have none."""

import pytest

from service import schemas
from service.store import evaluations, units
from service.store.session import transaction
from tests.service import answers
from tests.service.api.conftest import Api

EVERY = ["relation", "targeted", "classes", "noise"]
MEDIA = {"json": "application/json", "csv": "text/csv", "svg": "image/svg+xml", "png": "image/png"}


def analysed(api: Api) -> str:
    """An evaluation that has succeeded, with all analyses; its id."""
    body = {**api.uploaded(), "config": {"analyses": EVERY}}
    evaluation: str = api.client.post("/v1/evaluations", json=body).json()["id"]
    result = answers.result(analyses=answers.analyses())
    result.cost.seconds = None
    with transaction(api.engine) as db:
        claim = evaluations.claim(db, evaluation, "worker", 30)
        assert claim is not None
        evaluations.finish(db, claim, schemas.canonical(result.model_dump(mode="json")), 0)
        units.keep(db, evaluation, [unit.model_dump_json() + "\n" for unit in answers.units()])
    return evaluation


def test_links_lead_to_each_analysis_in_each_form(api: Api) -> None:
    """What was asked for and what it needs, by the links of the evaluation; JSON as in the result."""
    shown = api.client.get(f"/v1/evaluations/{analysed(api)}").json()
    links = shown["links"]["analyses"]
    assert list(links) == list(schemas.NEEDS)
    for name, forms in links.items():
        assert list(forms) == list(MEDIA)
        for kind, at in forms.items():
            answer = api.client.get(at)
            assert answer.status_code == 200, (at, answer.text)
            assert answer.headers["content-type"].partition(";")[0] == MEDIA[kind]
            assert len(answer.content) > 50
        assert api.client.get(forms["json"]).json() == shown["result"]["analyses"][name]
    rows = api.client.get(links["targeted"]["csv"]).text.splitlines()
    assert (rows[0], len(rows)) == ("order,fraction,value,low,high,trials", 1 + 5 * 21)


@pytest.mark.parametrize("kind", list(MEDIA))
def test_what_was_not_asked_for_says_how_to_ask(api: Api, kind: str) -> None:
    """409 at once, however long one would wait; what is to come is not ready; what nobody knows is not found."""
    asked = {**api.uploaded(), "config": {"analyses": ["classes"]}}
    made = api.client.post("/v1/evaluations", json=asked).json()
    assert list(made["links"]["analyses"]) == ["classes"]
    at = f"/v1/evaluations/{made['id']}/analyses"
    told = api.client.get(f"{at}/noise.{kind}")
    assert (told.status_code, told.json()["type"]) == (409, "/problems/conflict")
    assert '{"analyses": ["noise"]}' in told.json()["detail"]
    assert api.client.get(f"{at}/classes.{kind}").json()["type"] == "/problems/not-ready"
    assert api.client.get(f"{at}/weather.{kind}").status_code == 422
    assert api.client.get(f"/v1/evaluations/ev_none/analyses/noise.{kind}").status_code == 404
    api.client.delete(f"/v1/evaluations/{made['id']}")
    told = api.client.get(f"{at}/classes.{kind}")
    assert (told.status_code, "cancelled" in told.json()["detail"]) == (409, True)


def test_the_report_shows_them(api: Api) -> None:
    """A heading and a picture for each, its finding as text, and the units that matter most by name."""
    text = api.client.get(f"/v1/evaluations/{analysed(api)}/report.html").text
    assert text.count("<img ") == 1 + len(schemas.NEEDS)
    for part in (
        "Do selective units matter more?",
        "No &lt;relation&gt; was found.",
        "Any order hurts.",
        "<td>conv1</td>",
    ):
        assert part in text
