"""The description of the API against the routes, the types and the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from leadenrich.web.openapi import document

Web = Any
METHODS = {"get", "post", "put", "patch", "delete"}
ADMIN = {"Authorization": "Bearer the-admin-token"}


@pytest.fixture
async def told(web: Web) -> dict[str, Any]:
    response, answer = await web.call("GET", "/openapi.json")
    assert (response.status, response.content_type) == (200, "application/json")
    return dict(answer)


def operations(told: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def validator(told: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """References in a schema point into the document."""
    whole = {"components": told["components"], "allOf": [schema]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def test_everybody_may_read_it_and_it_tells_nothing_of_this_installation(web: Web) -> None:
    response, answer = await web.call("GET", "/openapi.json")
    assert response.status == 200
    assert answer["openapi"] == "3.1.0"
    told = json.dumps(answer)
    assert not [
        secret for secret in ("the-admin-token", "the-viewer-token", "shared-secret-goes-here") if secret in told
    ]


async def test_every_route_of_the_api_is_described_and_no_other(web: Web, told: dict[str, Any]) -> None:
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in web.app.router.routes()
        if route.resource.canonical.startswith(("/api/", "/webhooks/")) and route.method != "HEAD"
    }
    assert {(method, path) for method, path, _ in operations(told)} == served
    assert {method for method, *_ in operations(told)} <= METHODS


async def test_a_route_that_says_nothing_of_itself_is_noticed(web: Web) -> None:
    from aiohttp import web as aiohttp_web

    async def silent(request: aiohttp_web.Request) -> aiohttp_web.Response:
        return aiohttp_web.Response()

    app = aiohttp_web.Application()
    app.router.add_get("/api/v1/silent", silent)
    with pytest.raises(LookupError, match="/api/v1/silent"):
        document(app.router.routes())


async def test_every_operation_says_who_may_what_it_gives_and_how_it_refuses(told: dict[str, Any]) -> None:
    names = [operation["operationId"] for *_, operation in operations(told)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(told):
        assert operation["summary"], path
        assert operation["security"], path
        assert all(next(iter(scheme)) in told["components"]["securitySchemes"] for scheme in operation["security"])
        statuses = {int(status) for status in operation["responses"]}
        assert 401 in statuses, (method, path)
        assert any(status < 300 for status in statuses), (method, path)
        for status, response in operation["responses"].items():
            assert response["description"], (path, status)
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


async def test_every_schema_is_one_and_every_example_fits_its_own(told: dict[str, Any]) -> None:
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
        assert schema["title"]
        assert "enum" in schema or schema["description"]
    for _, path, operation in operations(told):
        body = operation.get("requestBody", {"content": {}})["content"]
        assert all("example" in content for content in body.values()), path
        if "application/json" in body:
            content = body["application/json"]
            validator(told, content["schema"]).validate(content["example"])
        for parameter in operation.get("parameters", ()):
            Draft202012Validator.check_schema(parameter["schema"])
            assert "null" not in json.dumps(parameter["schema"]), parameter["name"]


async def test_examples_are_taken_and_answered_as_described(web: Web, told: dict[str, Any]) -> None:
    """What a stranger copies out of the document works."""
    example = told["paths"]["/api/v1/leads"]["post"]["requestBody"]["content"]["application/json"]["example"]
    status, answer = await web.lead(example)
    responses = told["paths"]["/api/v1/leads"]["post"]["responses"]
    validator(told, responses[str(status)]["content"]["application/json"]["schema"]).validate(answer)
    signed = told["paths"]["/webhooks/ghl"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await web.hook(signed))[0] == 202
    workflow = told["paths"]["/webhooks/ghl/workflow"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await web.workflow(workflow))[0] == 202


@pytest.mark.parametrize("query", ["stat=QUEUED", "state=QUEUED&state=SUCCEEDED", "limit=1e2", "limit=5.0"])
async def test_a_parameter_that_would_be_misread_is_refused(web: Web, query: str) -> None:
    response, answer = await web.call("GET", f"/api/v1/jobs?{query}", headers=ADMIN)
    assert response.status == 400
    assert query.partition("=")[0] in answer["detail"]
