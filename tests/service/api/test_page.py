"""The page and its files as they are served; what it does in a browser is in tests/page."""

import re

import pytest

from service import page, report
from tests.service import answers

FILES = sorted(path.name for path in page.FOLDER.iterdir() if path.suffix in (".js", ".css", ".svg"))


def test_the_page_may_run_its_own_files_and_nothing_else(api):
    """No script or style within it, no outside asset, nothing embeds it; and its policy says so."""
    answer = api.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<style|<script(?! type=\"module\" src=\"/page/)|style=|\son\w+=", answer.text)
    assert api.client.head("/").status_code == 200


@pytest.mark.parametrize("name", FILES)
def test_files_are_served_and_asked_after(api, name):
    """Each file comes with a type that a browser takes, is asked after each time, and sent only if it changed."""
    answer = api.client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert re.match(r"text/javascript|text/css|image/svg", answer.headers["content-type"])
    assert answer.headers["cache-control"] == "no-cache"
    again = api.client.get(f"/page/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert not re.search(r"innerHTML|https?://(?!www\.w3\.org)", answer.text)


@pytest.mark.parametrize(
    "path", ["/page/__init__.py", "/page/", "/page/no.js", "/page/../app.py", "/page/examples/x.onnx"]
)
def test_nothing_else_of_the_package_is_served(api, path):
    """The folder is a package; its code is nobody's business, and a missing file is a problem like any other."""
    answer = api.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_modules_import_what_is_there():
    """Every name that a module of the page imports is exported by the module it names."""
    for path in page.FOLDER.glob("*.js"):
        for names, other in re.findall(r'import \{([^}]*)\} from "\./(\w+\.js)"', path.read_text()):
            text = (page.FOLDER / other).read_text()
            for name in filter(None, (each.strip() for each in names.split(","))):
                assert re.search(rf"export (async )?(function\*?|const|class) {name}\b", text), (path.name, name)


def test_a_report_escapes_what_an_upload_named():
    """Names from an upload are text in the report, whatever they hold."""
    result = answers.result(layers=[answers.layer("<script>alert(1)</script>", 0.5)], warnings=["<b>"])
    text = report.html(answers.evaluation(result=result), result)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;" in text


def test_a_report_without_score_says_why():
    """A refused score is no empty report."""
    result = answers.refused()
    assert "There is no score. A(0) is 0.12" in report.html(answers.evaluation(result=result), result)


def test_the_report_is_there_once_there_is_a_result(api):
    """Before the end it is not ready; afterwards it is a page that runs nothing."""
    made = api.client.post("/v1/evaluations", json=api.uploaded()).json()["id"]
    assert api.client.get(f"/v1/evaluations/{made}/report.html").json()["type"] == "/problems/not-ready"
    api.finish(made)
    answer = api.client.get(f"/v1/evaluations/{made}/report.html")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == report.POLICY
    assert "Robustness of" in answer.text
    other = api.client.post("/v1/evaluations", json={**api.uploaded(), "config": {"seed": 1}}).json()["id"]
    api.client.delete(f"/v1/evaluations/{other}")
    assert api.client.get(f"/v1/evaluations/{other}/report.html").json()["type"] == "/problems/conflict"
