"""Hooks of schemathesis: who sends the requests, and what must be of the installation that is asked."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import Any

import schemathesis
from schemathesis.core import NotSet
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

from described.key import sign

LOCATION = os.environ["DESCRIBED_LOCATION"]


def bytes_of(value: Any) -> bytes:
    """The bytes that are signed are those that are sent."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.serializer("application/json")
def as_json(context: Any, value: Any) -> bytes:
    return bytes_of(value)


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """A text stands as it is."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes_of(value)


@schemathesis.auth().apply_to(path="/webhooks/ghl")
class Signature:
    """HighLevel's."""

    def get(self, case: Any, context: Any) -> str:
        return base64.b64encode(sign(case_bytes(case))).decode()

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["X-GHL-Signature"] = data


@schemathesis.auth().apply_to(path="/webhooks/ghl/workflow")
class SharedToken:
    """Of the workflow actions."""

    def get(self, case: Any, context: Any) -> str:
        return os.environ["DESCRIBED_WEBHOOK"]

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["X-Webhook-Token"] = data


@schemathesis.auth().apply_to(path_regex="^/api/")
class AdminToken:
    """Of the operator."""

    def get(self, case: Any, context: Any) -> str:
        return os.environ["DESCRIBED_ADMIN"]

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Where a check is wrong for us, it is told here, with the reason. False drops the failure."""
    detail = (response.json() if response.status_code == 422 else {}).get("detail", "")
    if case.media_type == "application/x-ndjson" and isinstance(failure, AcceptedNegativeData):
        # NDJSON is text to the schema, and whatever is sent is text: there are no bytes of "another type". Lines that
        # are no leads are answered one by one, in a 200 (tests/web/test_leads.py).
        return response.status_code != 200
    if isinstance(failure, RejectedPositiveData) and "Expected `int`, got `float`" in detail:
        # To JSON Schema 2373.0 is an integer. Nobody writes a count so, and a strict reader finds slips of 0.5 by it.
        return not re.search(rb"[0-9]\.0\b", case_bytes(case))
    return True


def case_bytes(case: Any) -> bytes:
    return b"" if isinstance(case.body, NotSet) else bytes_of(case.body)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """No description can know which locations an installation has: here there is one, and leads are of it."""
    shapes = raw_schema["components"]["schemas"]
    shapes["WorkflowEvent"]["properties"]["location_id"] = {"const": LOCATION, "type": "string"}
    shapes["WorkflowEvent"]["properties"]["location"] = {
        "type": "object",
        "properties": {"id": {"const": LOCATION, "type": "string"}},
    }
    shapes["SignedEvent"]["properties"]["locationId"] = {"const": LOCATION, "type": "string"}
