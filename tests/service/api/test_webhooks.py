"""Webhooks over HTTP: made, shown, listed, tried and removed; the secret is seen once."""

from typing import Any

import pytest
from sqlalchemy import select, update

from service.store import webhooks
from service.store.session import reading, transaction
from service.store.tables import WebhookRow
from tests.service.api.conftest import Api

PATH = "/v1/webhooks"
URL = "https://93.184.215.14/hook?token=1"  # an address, so that no name server is asked


def make(api: Api, **changes: Any) -> Any:
    made = api.client.post(PATH, json={"url": URL} | changes)
    assert made.status_code == 201, made.text
    return made.json()


def test_secret_is_shown_once(api: Api) -> None:
    """The answer that makes a webhook has its secret; no later answer has it."""
    made = make(api)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert secret != make(api)["secret"]
    shown = api.client.get(f"{PATH}/{made['id']}")
    assert shown.json() == made
    assert (made["url"], made["disabled_at"]) == (URL, None)
    assert made["events"] == ["evaluation.cancelled", "evaluation.failed", "evaluation.succeeded"]
    for answer in (shown, api.client.get(PATH), api.client.get(f"{PATH}/{made['id']}/deliveries")):
        assert "whsec_" not in answer.text
        assert "secret" not in answer.text


def test_list_is_paged_newest_first(api: Api) -> None:
    """Walking the pages shows each webhook once."""
    made = [make(api)["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = api.client.get(PATH, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "url", ["http://93.184.215.14/", "https://127.0.0.1/", "https://169.254.169.254/latest/", "https://localhost/", "x"]
)
def test_forbidden_urls_are_refused(api: Api, url: str) -> None:
    """A URL that nothing would be sent to is refused at once, with a type and with words."""
    refused = api.client.post(PATH, json={"url": url})
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/webhook-url-forbidden"
    assert api.client.get(PATH).json()["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": None},
        {"url": URL, "events": []},
        {"url": URL, "events": ["evaluation.begun"]},
        {"url": URL, "events": "evaluation.failed"},
        {"url": URL, "secret": "whsec_mine"},
        [],
        "text",
    ],
)
def test_nonsense_is_refused(api: Api, body: Any) -> None:
    """What is missing, unknown or of another type is pointed at."""
    refused = api.client.post(PATH, json=body)
    assert refused.status_code == 422
    assert refused.json()["type"] == "/problems/validation-error"


def test_too_many_are_refused(api: Api) -> None:
    """There is a most of webhooks, and the refusal says what to do."""
    for _ in range(webhooks.MOST):
        make(api)
    refused = api.client.post(PATH, json={"url": URL})
    assert refused.status_code == 409
    assert "delete one" in refused.json()["detail"]


def test_removed_is_gone(api: Api) -> None:
    """After DELETE there is nothing, and nothing twice."""
    place = f"{PATH}/{make(api)['id']}"
    assert api.client.delete(place).status_code == 204
    missing = [
        api.client.get(place),
        api.client.delete(place),
        api.client.get(f"{place}/deliveries"),
        api.client.post(f"{place}/test"),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in missing] == [(404, "/problems/not-found")] * 4


def test_foreign_looks_missing(api: Api) -> None:
    """Another tenant's webhook answers as one that never was."""
    place = f"{PATH}/{make(api)['id']}"
    with transaction(api.engine) as db:
        db.connection().exec_driver_sql("INSERT INTO tenants (id, name, created_at) VALUES ('other', 'other', 0)")
        db.execute(update(WebhookRow).values(tenant="other"))
    for method, path in (("GET", place), ("DELETE", place), ("GET", f"{place}/deliveries"), ("POST", f"{place}/test")):
        answer = api.client.request(method, path)
        assert answer.status_code == 404
        nobody = api.client.request(method, path.replace(place, f"{PATH}/wh_0"))
        assert answer.text.replace(place.rpartition("/")[2], "wh_0") == nobody.text
    assert api.client.get(PATH).json()["data"] == []
    with reading(api.engine) as db:
        assert db.scalar(select(WebhookRow.tenant)) == "other"
