"""The OpenAPI document: valid, complete, and saying nothing that the server does not do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from fastapi.routing import iter_route_contexts

from app import __version__
from app.api.openapi import PROBLEMS
from app.api.problems import TABLE
from app.main import create_app, open_storage
from app.settings import settings_class

Document = dict[str, Any]
METHODS = {"get", "head", "put", "post", "delete", "options", "patch", "trace"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    root: Path = tmp_path_factory.mktemp("openapi") / "root"
    settings = settings_class()(default_artifact_root=str(root))
    return create_app(settings, open_storage(settings, prepare=True))


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Document:
    return app.openapi()


@pytest.fixture(scope="module")
def operations(document: Document) -> dict[tuple[str, str], Document]:
    return {
        (path, method): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def everything(value: object) -> Iterator[Document]:
    """Each object of the document, at any depth."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from everything(member)
    elif isinstance(value, list):
        for member in value:
            yield from everything(member)


Operations = dict[tuple[str, str], Document]


def test_it_has_the_form_of_the_specification(document: Document) -> None:
    OpenAPI.model_validate(document)
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert (document["info"]["title"], document["info"]["version"]) == ("artifact-proxy", __version__)


def test_every_reference_leads_somewhere(document: Document) -> None:
    references = {found["$ref"] for found in everything(document) if "$ref" in found}
    assert references
    for reference in references:
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in target, reference
            target = target[step]


def test_every_operation_has_a_name_of_its_own(operations: Operations) -> None:
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))


def test_every_operation_says_what_it_does(operations: Operations) -> None:
    for key, operation in operations.items():
        assert operation["summary"], key
        assert operation["tags"], key


def test_every_response_is_described(operations: Operations) -> None:
    for key, operation in operations.items():
        assert operation["responses"], key
        for status, response in operation["responses"].items():
            assert response["description"], (key, status)
            for name, header in response.get("headers", {}).items():
                assert header["description"], (key, status, name)
                assert header["schema"], (key, status, name)


def test_no_response_is_one_of_the_framework_that_never_comes(
    document: Document, operations: Operations
) -> None:
    assert not [key for key, operation in operations.items() if "422" in operation["responses"]]
    assert not {name for name in document["components"]["schemas"] if "ValidationError" in name}


def test_every_error_is_a_problem(operations: Operations) -> None:
    for key, operation in operations.items():
        for status, response in operation["responses"].items():
            if (key[0], status) == ("/ready", "503"):
                continue  # it says which checks fail
            if status >= "400" and key[1] == "head":
                assert "content" not in response, "HEAD has no body"
            elif status >= "400":
                assert response["content"]["application/json"]["schema"]["$ref"].endswith("/Problem"), (
                    key,
                    status,
                )


def test_every_error_that_can_be_answered_is_described() -> None:
    assert {answer.status for answer in TABLE.values()} == set(PROBLEMS)


def test_whoever_uses_the_storage_may_see_it_fail(operations: Operations) -> None:
    for (path, method), operation in operations.items():
        if "artifacts" in path:
            assert {"500", "502", "503", "504"} <= set(operation["responses"]), (path, method)


def test_everything_but_health_takes_a_credential(document: Document, operations: Operations) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {scheme.get("scheme", scheme.get("in")) for scheme in schemes.values()} == {
        "bearer",
        "basic",
        "cookie",
    }
    assert document["security"] == [{name: []} for name in schemes]
    for (path, method), operation in operations.items():
        responses = operation["responses"]
        public = path in {"/health", "/ready"}
        assert (operation.get("security") == []) is public, (path, method)
        assert ({"401", "421", "429", "503"} <= set(responses)) is not public, (path, method)
        if "401" in responses:
            assert "WWW-Authenticate" in responses["401"]["headers"]
            assert "Retry-After" in responses["429"]["headers"]
            assert "Retry-After" in responses["503"]["headers"]


def test_every_request_may_be_too_large_and_every_body_too_slow(operations: Operations) -> None:
    for key, operation in operations.items():
        assert {"400", "414", "431"} <= set(operation["responses"]), key
        assert ("408" in operation["responses"]) is ("requestBody" in operation), key


def test_every_parameter_is_described_once(operations: Operations) -> None:
    for key, operation in operations.items():
        parameters = operation.get("parameters", [])
        names = [(parameter["in"], parameter["name"].lower()) for parameter in parameters]
        assert len(names) == len(set(names)), key
        for parameter in parameters:
            assert parameter["description"], (key, parameter["name"])
            assert parameter["schema"]["type"] in {"string", "integer", "boolean"}


def test_the_parameters_in_a_path_are_those_of_the_operation(operations: Operations) -> None:
    for (path, method), operation in operations.items():
        declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path" and p["required"]}
        assert declared == set(re.findall(r"\{(\w+)\}", path)), (path, method)


def test_only_requests_with_a_body_have_one(operations: Operations) -> None:
    for key, operation in operations.items():
        takes_body = key[1] in {"put", "post"} and key[0] != "/v1/session"
        assert ("requestBody" in operation) is takes_body, key


def test_every_route_and_method_is_in_it(app: FastAPI, operations: Operations) -> None:
    documented = set(operations)
    for route in iter_route_contexts(app.routes):
        for method in map(str.lower, route.methods or ()):
            if str(route.path_format).startswith(("/openapi.json", "/docs", "/ui")) or route.path == "/":
                continue  # they are for people
            # HEAD comes with every GET (RFC 9110, section 9.3.2) and has a place where it differs.
            implied = method == "head" and (route.path_format, "get") in documented
            assert implied or (route.path_format, method) in documented, (route.path_format, method)


def test_the_whole_contract_is_in_it(operations: Operations) -> None:
    expected = {
        ("/health", "get"),
        ("/ready", "get"),
        ("/metrics", "get"),
        ("/version", "get"),
        ("/v1/artifacts/", "get"),
        ("/v1/artifacts/{directory}/", "get"),
        ("/v1/login", "get"),
    }
    expected |= {(f"/v1/artifacts/{rest}", how) for rest in ("", "{directory}/") for how in ("put", "post")}
    expected |= {("/v1/session", method) for method in ("get", "put", "delete")}
    expected |= {("/v1/artifacts/{path}", method) for method in ("get", "head", "put", "delete")}
    for api in ("api", "ajax-api"):
        prefix = f"/{api}/2.0/mlflow-artifacts"
        expected |= {(f"/{api}/3.0/mlflow/server-info", "get"), (f"{prefix}/artifacts", "get")}
        expected |= {(f"{prefix}/artifacts/{{path}}", method) for method in ("get", "head", "put", "delete")}
        expected |= {
            (f"{prefix}/mpu/{step}/{{directory}}", "post") for step in ("create", "complete", "abort")
        }
        expected |= {(f"{prefix}/presigned/{{path}}", "get")}
    assert set(operations) == expected


def test_the_native_upload_and_the_listing_describe_their_json(operations: Operations) -> None:
    upload = operations["/v1/artifacts/{path}", "put"]["responses"]
    for status in ("200", "201"):
        assert upload[status]["content"]["application/json"]["schema"]["$ref"].endswith("/StoredArtifact")
    assert {"Location", "ETag"} <= set(upload["201"]["headers"])
    listing = operations["/v1/artifacts/{directory}/", "get"]["responses"]["200"]
    assert listing["content"]["application/json"]["schema"]["$ref"].endswith("/Listing")


@pytest.mark.parametrize("path", ["/v1/artifacts/{path}", "/api/2.0/mlflow-artifacts/artifacts/{path}"])
def test_a_download_describes_its_bytes_and_headers(operations: Operations, path: str) -> None:
    responses = operations[path, "get"]["responses"]
    for status in ("200", "206"):
        assert responses[status]["content"] == {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        assert {"ETag", "Last-Modified", "Content-Length", "Accept-Ranges"} <= set(
            responses[status]["headers"]
        )
    assert "Content-Range" in responses["206"]["headers"]
    assert "Content-Range" in responses["416"]["headers"]
    assert "content" not in responses["304"]


@pytest.mark.parametrize("path", ["/v1/artifacts/{path}", "/api/2.0/mlflow-artifacts/artifacts/{path}"])
def test_what_has_no_body_describes_none(operations: Operations, path: str) -> None:
    for method in ("head", "delete"):
        responses = operations[path, method]["responses"]
        silent = [status for status in responses if method == "head" or status == "204"]
        assert silent or path.startswith("/api")
        for status in silent:
            assert status >= "400" or "content" not in responses[status], (method, status)


def test_what_not_every_storage_can_do_may_fail(operations: Operations) -> None:
    for (path, method), operation in operations.items():
        if "/mpu/" in path or "/presigned/" in path:
            assert {"200", "404", "501"} <= set(operation["responses"]), (path, method)


@pytest.mark.parametrize("api", ["api", "ajax-api"])
@pytest.mark.parametrize(
    ("path", "method", "model"),
    [
        ("/mpu/create/{directory}", "post", "MultipartCreated"),
        ("/presigned/{path}", "get", "Presigned"),
        ("/mpu/complete/{directory}", "post", "Empty"),
        ("/mpu/abort/{directory}", "post", "Empty"),
    ],
)
def test_the_json_of_direct_transfers_is_described(
    operations: Operations, api: str, path: str, method: str, model: str
) -> None:
    [content] = operations[f"/{api}/2.0/mlflow-artifacts{path}", method]["responses"]["200"][
        "content"
    ].items()
    assert content[0] == "application/json"
    assert content[1]["schema"]["$ref"].rpartition("/")[2] == model


def test_a_secret_url_is_said_to_be_one(document: Document) -> None:
    for model in ("Presigned", "MultipartCredential"):
        assert "Secret" in document["components"]["schemas"][model]["properties"]["url"]["description"]
