"""The OpenAPI document is valid, complete and true: every answer of the API fits what it declares."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from service import problems
from service.app import create_app
from service.settings import Settings
from tests.service.api.conftest import Api


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings()).openapi()


def test_document_is_valid(document: dict[str, Any]) -> None:
    """It is OpenAPI 3.1, and every operation has a summary and an id of its own."""
    validate(document)
    operations = [op for path in document["paths"].values() for op in path.values()]
    assert all(op.get("description") for op in operations)
    assert len({op["operationId"] for op in operations}) == len(operations)


def schema(document: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    """What the document shows is what its schemas allow."""
    operation = document["paths"]["/v1/evaluations"]["post"]
    shown = operation["responses"]["200"]["content"]["application/json"]["example"]
    schema(document, "Evaluation").validate(shown)
    asked = operation["requestBody"]["content"]["application/json"]
    components = {"components": document["components"]}
    Draft202012Validator(asked["schema"] | components).validate(asked["example"])


def test_every_problem_of_a_route_is_documented_with_an_example(document: dict[str, Any]) -> None:
    """Each 4xx and 5xx answer is problem+json and shows what it looks like."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if status.startswith(("4", "5")):
                    examples = answer["content"]["application/problem+json"]["examples"]
                    assert examples, (path, method, status)
                    for example in examples.values():
                        assert example["value"]["status"] == int(status)
                        assert problems.BY_TYPE[example["value"]["type"].rpartition("/")[2]]


def test_answers_fit_their_schemas(api: Api, document: dict[str, Any]) -> None:
    """Real answers, of each kind, are what the document says."""
    uploaded = api.uploaded()
    evaluation = api.client.post("/v1/evaluations", json=uploaded).json()
    api.finish(evaluation["id"])
    get = api.client.get
    for name, answer in {
        "Evaluation": get(f"/v1/evaluations/{evaluation['id']}"),
        "Evaluations": get("/v1/evaluations"),
        "Artifact": get(f"/v1/models/{uploaded['model']}"),
        "Artifacts": get("/v1/datasets"),
        "ProblemBody": get("/v1/evaluations/none"),
    }.items():
        schema(document, name).validate(answer.json())


def test_documentation_needs_no_other_server(api: Api) -> None:
    """/docs loads its assets from the service itself."""
    page = api.client.get("/docs").text
    assert "https://" not in page
    assert "//cdn" not in page
    for asset in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert api.client.get(f"/static-offline-docs/{asset}").status_code == 200
