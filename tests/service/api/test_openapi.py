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


def test_what_is_found_is_typed_and_shown(document: dict[str, Any]) -> None:
    """Uploads answer with a model's or a dataset's fields, each with an example that fits."""
    for kind, found in (("model", "ModelFound"), ("dataset", "DatasetFound")):
        answers = document["paths"][f"/v1/{kind}s"]["post"]["responses"]
        shown = answers["201"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert f"'#/components/schemas/{found}'" in str(document["components"]["schemas"][shown]["properties"]["found"])
        for example in document["components"]["schemas"][found]["examples"]:
            schema(document, found).validate(example)
            assert set(example) == set(document["components"]["schemas"][found]["properties"])


def test_several_files_of_a_model_are_in_the_document(document: dict[str, Any]) -> None:
    """A caller's tool learns that a model may come as several parts, and a dataset as one."""
    for path, field, kind in (
        ("/v1/models", "file", "array"),
        ("/v1/datasets", "file", "string"),
        ("/v1/evaluations", "model", "array"),
        ("/v1/evaluations", "dataset", "string"),
    ):
        form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]
        assert form["schema"]["properties"][field]["type"] == kind, path


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
        "Model": get(f"/v1/models/{uploaded['model']}"),
        "Dataset": get(f"/v1/datasets/{uploaded['dataset']}"),
        "Models": get("/v1/models"),
        "Datasets": get("/v1/datasets"),
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
