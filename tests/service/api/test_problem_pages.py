"""Each problem's `type` is an address that answers: for a browser, for a program, and in docs/errors.md alike."""

from pathlib import Path

import pytest

from service import explained, problems
from service.api.problem_pages import preferred
from service.remedies import NEXT

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("type", problems.BY_TYPE)
def test_a_type_says_what_it_means_and_what_to_do(api, type):
    """As JSON, as a page that loads our own style alone, and as Markdown: the same words."""
    kind = problems.BY_TYPE[type]
    told = api.client.get(f"/problems/{type}").json()
    assert told == {
        "type": f"/problems/{type}",
        "title": kind.title,
        "status": kind.status,
        "meaning": " ".join((kind.__doc__ or "").split()),
        "next": NEXT[type],
    }
    page = api.client.get(f"/problems/{type}", headers={"Accept": BROWSER})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    assert "script-src" not in page.headers["content-security-policy"]
    assert f'<h2 id="{type}">' in page.text
    markdown = api.client.get(f"/problems/{type}", headers={"Accept": "text/markdown"})
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert told["next"] in markdown.text


def test_every_problem_has_a_remedy_and_every_remedy_a_problem():
    """A new type is not done before it says what to do next."""
    assert set(NEXT) == set(problems.BY_TYPE)
    assert all(len(remedy.split()) >= 8 for remedy in NEXT.values())


def test_all_are_listed(api):
    """One address has them all."""
    told = api.client.get("/problems").json()["data"]
    assert [each["type"] for each in told] == [f"/problems/{type}" for type in problems.BY_TYPE]
    assert api.client.get("/problems", headers={"Accept": BROWSER}).text.count("<h2") == len(told)


def test_an_unknown_type_is_a_problem_itself(api):
    """It answers as everything does that is not there, whoever asks."""
    answer = api.client.get("/problems/none", headers={"Accept": BROWSER})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_the_docs_are_what_the_service_says():
    """docs/errors.md is made, not written: scripts/errors makes it again."""
    assert (Path(__file__).parents[3] / "docs/errors.md").read_text() == explained.markdown()


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (BROWSER, "text/html"),
        ("text/*", "text/html"),
        ("text/markdown, text/html;q=0.5", "text/markdown"),
        ("text/html;q=0, */*", "application/json"),
        ("text/html;q=much", "application/json"),
        ("application/json, text/html", "application/json"),
    ],
)
def test_what_a_caller_likes_best_is_sent(accept, media):
    """Weights and wildcards of Accept count; nonsense counts as nothing."""
    assert preferred(accept) == media
