"""What the two vendors answer: bodies, and the headers with their limits."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import msgspec
from multidict import CIMultiDict

from fuzz.target import files, joined, parts, target
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import Throttled, Trouble
from leadenrich.core.property import Found
from leadenrich.enrich.mapping import FieldMapping, compile_mapping
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.rules import LeadNames, RuleSet, compile_rules
from leadenrich.providers.answers import Answer, clean, refusal, retry_after_s, whole_number
from leadenrich.providers.drift import oddities
from leadenrich.providers.ghl_limits import DAY_S, LocationLimits
from leadenrich.providers.ghl_shapes import PageMark, contact_of, custom_field_of, objects, page_of
from leadenrich.providers.realestateapi import _key_info, true_status, understood

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)
HOME = NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704")
SECRETS = ("key-of-a-test", "742 EVERGREEN TER")


def _answer(provider: str, status: bytes, body: bytes) -> Answer:
    told = int(status) if status.isdigit() and len(status) == 3 else 200
    return Answer(provider, max(100, told), {}, body, secrets=SECRETS)


@cache
def _business() -> tuple[RuleSet, FieldMapping]:
    return compile_rules("standard", ()), compile_mapping("standard", {})


KEY_INFO = '{"data": {"keyType": "test", "scopes": ["a"], "rateLimits": {"requestsPerSecond": 10}}}'


@target(
    Trouble,
    samples=[
        *(joined("200", body) for body in files("samples", "property_detail.200.*")),
        *(joined("400", body) for body in files("samples", "error.*")),
        joined("200", KEY_INFO),
    ],
    words="""data statusCode 404 429 error errorMessage message live id propertyInfo currentMortgages lastSale 0 1
    2024-02-30""",
)
def realestateapi_answer(data: bytes) -> None:
    """Any answer is a record, a refusal or an error of ours; any record is judged and mapped to what JSON can say."""
    status, body = parts(data, 2)
    answer = _answer("realestateapi", status, body)
    assert 100 <= true_status(answer) <= 999
    refusal(answer, true_status(answer))
    told = understood(answer)
    if isinstance(told, Found):
        rules, mapping = _business()
        record = PropertyRecord(told.record)
        oddities(told.record["data"])  # type: ignore[arg-type]
        verdict = rules.judge(record, lead_names=LeadNames("Ann", "Barton"), address=HOME, duplicate=False, now=NOON)
        msgspec.json.encode(mapping.fields(record, verdict, NOON))
    _key_info(answer)


CONTACT = {
    "contact": {"id": "c", "tags": ["A"], "customFields": [{"id": "f", "value": ["x"]}], "postalCode": 62704},
    "contacts": [{"id": "c", "dateAdded": "2026-11-23T12:00:00.000Z", "searchAfter": [1, "c"]}],
    "customFields": [{"id": "f", "fieldKey": "contact.f", "name": "F", "dataType": "TEXT"}],
}


@target(
    Trouble,
    samples=[
        joined("200", msgspec.json.encode(CONTACT)),
        joined("400", b'{"message": ["a", "b"], "statusCode": 400, "error": {"message": "+1 (217) 555-0142"}}'),
    ],
    words="""contact contacts customFields value fieldValue field_value searchAfter dateAdded 0001-01-01 9999-12-31
    tags id""",
)
def ghl_answer(data: bytes) -> None:
    """Any answer is read as far as it makes sense."""
    status, body = parts(data, 2)
    answer = _answer("ghl:l", status, body)
    refusal(answer)
    assert len(clean(body.decode("utf-8", "replace"), SECRETS)) <= 300
    told = answer.object()
    for name in ("contact", "contacts", "customFields"):
        member = told.get(name)
        for shape in objects(member if isinstance(member, list) else [member]):
            msgspec.json.encode(contact_of(shape, location_id="l").custom_fields)
            custom_field_of(shape)
    page_of(told, location_id="l", mark=PageMark(1), size=1)


HEADERS = """
X-RateLimit-Max: 100 X-RateLimit-Remaining: 0 X-RateLimit-Interval-Milliseconds: 10000
X-RateLimit-Daily-Remaining: 5 X-RateLimit-Daily-Reset: 3600000
Retry-After: 120
"""


@target(
    samples=[
        joined("429", "\n".join(HEADERS.strip().replace(" X-", "\nX-").splitlines())),
        joined("200", "X-RateLimit-Daily-Remaining: 0\nX-RateLimit-Daily-Reset: 1795440000000"),
        joined("429", "Retry-After: Mon, 23 Nov 2026 12:00:30 -0000"),
    ],
    words=f"{HEADERS} Mon, 23 Nov 0001 23:59:60 +9999 -0000 GMT EST 99 : , - 1e9",
)
def limit_headers(data: bytes) -> None:
    """Whatever the headers say: nobody is held back for longer than a day, nor set free of the pace."""
    status, text = parts(data, 2)
    lines = [line.partition(":") for line in text.decode("utf-8", "surrogateescape").split("\n")]
    headers = CIMultiDict((name.strip(), value.strip()) for name, _, value in lines)
    for value in headers.values():
        seconds, number = retry_after_s(value, NOON_MS), whole_number(value)
        assert seconds is None or 0 <= seconds <= 3600
        assert number is None or number >= 0
    limits = LocationLimits("ghl:l", 100, now_ms=lambda: NOON_MS, clock=lambda: 0.0)
    answer = Answer("ghl:l", int(status) if status in (b"200", b"429", b"500") else 429, headers, b"")
    closed_until_ms = NOON_MS
    try:
        limits.heard(answer)
        limits.check()
    except Throttled as throttled:
        closed_until_ms = throttled.until_ms
    assert NOON_MS <= closed_until_ms <= NOON_MS + DAY_S * 1000
    assert 0 < limits.pace.rate <= 10
