"""The vendors' own files as checks: an exchange over HTTP is held against them.

The files are the vendors' and not part of this project; `APIS` may not be there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

APIS = Path(__file__).parents[1] / ".." / "shared" / "apis"
BASE = "https://spec.invalid/apps/"
SPECS = ("contacts.json", "locations.json")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it came in and the answer as it went out, to one of the two fakes."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int
    answer: bytes
    answer_type: str


def as_json_schema(node: Any, *, closed: bool) -> Any:
    """OpenAPI 3.0 as JSON Schema 2020-12; `closed` refuses members that an object does not list.

    The files type the values of number, money and date fields as `object` with a number or a string for an example:
    a plain number or string is meant. A custom field's value reads as `string`, whatever its type.
    """
    if isinstance(node, list):
        return [as_json_schema(it, closed=closed) for it in node]
    if not isinstance(node, dict):
        return node
    out = {name: as_json_schema(it, closed=closed) for name, it in node.items() if name not in ("example", "nullable")}
    if node.get("nullable") and isinstance(node.get("type"), str):
        out["type"] = [node["type"], "null"]
    example = node.get("example")
    if node.get("type") == "object" and isinstance(example, int | float | str):
        out["type"] = [*([out["type"]] if isinstance(out["type"], str) else out["type"]), _type_name(example)]
    if closed and node.get("type") == "object" and node.get("properties"):
        out["additionalProperties"] = False
    if node.get("properties", {}).keys() == {"id", "value"}:
        out["properties"]["value"] = {"type": ["string", "number", "boolean", "array", "object"]}
    return out


def _type_name(example: object) -> str:
    return "string" if isinstance(example, str) else "number"


@cache
def spec(name: str) -> Any:
    return msgspec.json.decode((APIS / "ghl" / "apps" / name).read_bytes())


@cache
def registry(*, closed: bool) -> Registry[Any]:
    common = msgspec.json.decode((APIS / "ghl" / "common" / "common-schemas.json").read_bytes())
    documents = {BASE + name: as_json_schema(spec(name), closed=closed) for name in SPECS}
    # Errors stay open: the files leave out members that the live API was seen to send.
    documents[BASE.replace("apps", "common") + "common-schemas.json"] = as_json_schema(common, closed=False)
    resources = ((uri, Resource(contents=document, specification=DRAFT202012)) for uri, document in documents.items())
    return Registry().with_resources(resources)


def assert_valid(value: Any, schema: Any, spec_name: str) -> None:
    """Hold a value against a schema of one file, whose references are resolved from there."""
    rooted = {"$id": BASE + "of-" + spec_name, **as_json_schema(_absolute(schema, spec_name), closed=True)}
    errors = sorted(Draft202012Validator(rooted, registry=registry(closed=True)).iter_errors(value), key=str)
    assert not errors, [f"{list(error.absolute_path)}: {error.message}" for error in errors]


def _absolute(node: Any, spec_name: str) -> Any:
    if isinstance(node, list):
        return [_absolute(it, spec_name) for it in node]
    if not isinstance(node, dict):
        return node
    out = {name: _absolute(it, spec_name) for name, it in node.items()}
    if str(out.get("$ref", "")).startswith("#"):
        out["$ref"] = BASE + spec_name + out["$ref"]
    return out


def operation(exchange: Exchange) -> tuple[str, Any] | None:
    """The file and the operation for a request; None where the vendor has none."""
    for name in SPECS:
        for template, operations in spec(name)["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(template))
            found = re.fullmatch(pattern, exchange.path)
            fixed = found and not any(unquote(part) in ("search", "upsert") for part in found.groups())
            if fixed and exchange.method.lower() in operations:
                return name, operations[exchange.method.lower()]
    return None


def assert_request_conforms(exchange: Exchange) -> None:
    """Path, method, query, headers and body of a request to HighLevel are as its OpenAPI file says."""
    found = operation(exchange)
    assert found is not None, f"no such operation: {exchange.method} {exchange.path}"
    spec_name, described = found
    assert exchange.headers.get("authorization", "").startswith("Bearer "), "no bearer token"
    assert exchange.headers.get("accept") == "application/json"
    assert "python" not in exchange.headers["user-agent"].lower(), "the edge refuses a bare client"
    parameters = {(it["in"], it["name"].lower()): it for it in described["parameters"]}
    for (place, name), parameter in parameters.items():
        values = {"header": exchange.headers, "query": exchange.query}.get(place)
        if values is not None and parameter.get("required"):
            assert name in values, f"{place} {name} is missing"
        if values is not None and name in values:
            assert_valid(values[name], parameter["schema"], spec_name)
    unknown = {name for name in exchange.query if ("query", name.lower()) not in parameters}
    assert not unknown, f"query {unknown} is not in the file"
    if "requestBody" not in described:
        assert not exchange.body, "a body where none is described"
        return
    assert exchange.headers.get("content-type", "").partition(";")[0] == "application/json"
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    assert_valid(msgspec.json.decode(exchange.body), schema, spec_name)


def assert_answer_conforms(exchange: Exchange) -> None:
    """An answer of the fake HighLevel is one that the real one's file describes."""
    found = operation(exchange)
    described = found[1]["responses"].get(str(exchange.status)) if found else None
    if found is None or described is None:
        assert exchange.status in (402, 403, 404, 429, 500), f"{exchange.status} is not in the file"
        assert msgspec.json.decode(exchange.answer)["statusCode"] == exchange.status
        return
    assert exchange.answer_type == "application/json"
    if "content" in described:
        answer = msgspec.json.decode(exchange.answer)
        assert_valid(answer, described["content"]["application/json"]["schema"], found[0])


REA_TEXT = {"id", "address", "house", "street", "unit", "city", "state", "zip", "apn", "fips", "county"}
REA_REQUEST = {
    "type": "object",
    "properties": {
        **{name: {"type": "string", "minLength": 1} for name in sorted(REA_TEXT)},
        **{name: {"type": "boolean"} for name in ("exact_match", "comps")},
        "zip": {"type": "string", "pattern": r"^\d{5}$"},
        "state": {"type": "string", "pattern": "^[A-Z]{2}$"},
    },
    "additionalProperties": False,
    "anyOf": [{"required": [name]} for name in ("id", "address", "house", "apn")],
    "dependentRequired": {"house": ["zip", "state"]},
}
"""From the reference's table of PropertyDetail request members."""


def assert_look_up_conforms(exchange: Exchange) -> None:
    """A PropertyDetail request is within the vendor's table, and says what has no documented default."""
    assert (exchange.method, exchange.path, exchange.query) == ("POST", "/v2/PropertyDetail", {})
    assert exchange.headers["x-api-key"]
    assert exchange.headers["content-type"].partition(";")[0] == "application/json"
    body = msgspec.json.decode(exchange.body)
    errors = [error.message for error in Draft202012Validator(REA_REQUEST).iter_errors(body)]
    assert not errors, errors
    assert body["exact_match"] is True, "its default is not documented"
    assert body["comps"] is False


@cache
def rea_answers() -> Draft202012Validator:
    schema = msgspec.json.decode((APIS / "realestateapi" / "property_detail.response.schema.json").read_bytes())
    return Draft202012Validator(schema)
