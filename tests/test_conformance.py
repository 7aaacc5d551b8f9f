"""The sandbox's answers and our clients' requests, held against the vendors' own files.

HighLevel: its OpenAPI files. RealEstateAPI: the response schema, and the request table of its reference. The files
are the vendors' and not part of this project, so the tests skip where they are missing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.typedefs import Handler
from vendor_specs import (
    APIS,
    Exchange,
    assert_answer_conforms,
    assert_look_up_conforms,
    assert_request_conforms,
    rea_answers,
)

from leadenrich.config import GhlSettings, LocationSettings, RealEstateApiSettings, Secret
from leadenrich.core.address import NormalAddress
from leadenrich.core.errors import Trouble
from leadenrich.core.lead import FieldValue
from leadenrich.core.property import Found, NoMatch
from leadenrich.providers.ghl import Ghl
from leadenrich.providers.realestateapi import RealEstateApi
from leadenrich.sandbox.faults import Fault, FaultKind, Match
from leadenrich.sandbox.leads import LEAD_KINDS, demo_leads, webhook_body
from leadenrich.sandbox.mischief import Dropped
from leadenrich.sandbox.server import Sandbox

pytestmark = pytest.mark.skipif(not APIS.is_dir(), reason="the vendors' files (../shared/apis) are not here")

[LEAD] = demo_leads(1)
FIELDS = (("Owner Name", "TEXT"), ("Estimated Value", "NUMERICAL"), ("Enriched At", "DATE"), ("Signals", "CHECKBOX"))


class Recorder:
    """An aiohttp middleware that keeps every exchange whose answer went out whole."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def middleware(self) -> Callable[..., Any]:
        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            body = await request.read()
            response = await handler(request)
            if isinstance(response, web.Response) and not isinstance(response, Dropped):
                answer = response.body if isinstance(response.body, bytes) else b""
                headers = {name.lower(): value for name, value in request.headers.items()}
                path, query = request.rel_url.raw_path, dict(request.query)
                kept = (request.method, path, query, headers, body, response.status, answer, response.content_type)
                self.exchanges.append(Exchange(*kept))
            return response

        return record


# The sandbox, recorded.


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def sandbox(recorder: Recorder) -> AsyncIterator[Sandbox]:
    async with Sandbox(custom_fields=FIELDS, rea_per_second=0, middlewares=[recorder.middleware()]) as running:
        yield running


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
async def ghl(sandbox: Sandbox) -> AsyncIterator[Ghl]:
    location = LocationSettings(id=sandbox.location_id, token=Secret(sandbox.location_token))
    async with Ghl(GhlSettings(base_url=sandbox.ghl_url, locations=(location,)), now_ms=now_ms) as client:
        yield client


@pytest.fixture
async def rea(sandbox: Sandbox) -> AsyncIterator[RealEstateApi]:
    settings = RealEstateApiSettings(
        base_url=sandbox.realestateapi_url, api_key=Secret(sandbox.api_key), rate_per_second=0
    )
    async with RealEstateApi(settings, now_ms=now_ms) as client:
        yield client


def public_calls(client: type) -> set[str]:
    """The methods of a client that send something."""
    quiet = {"close", "rates", "rate", "name", "take_over"}
    return {name for name in vars(client) if not name.startswith("_")} - quiet


async def test_every_request_of_our_highlevel_client_conforms(ghl: Ghl, sandbox: Sandbox, recorder: Recorder) -> None:
    where, who = sandbox.location_id, LEAD.contact_id
    fields = await ghl.custom_fields(where)
    values: dict[str, FieldValue] = {
        "owner_name": "Alex Sample",
        "estimated_value": 342000,
        "enriched_at": "2026-11-23",
        "signals": ["Lien"],
    }
    assert (await ghl.contact(where, who)).address.line1 == LEAD.address.line1
    by_id: dict[str, FieldValue] = {fields[key].field_id: value for key, value in values.items()}
    assert await ghl.update_fields(where, who, by_id) == by_id
    await ghl.add_tags(where, who, ["QUALIFIED"])
    await ghl.remove_tags(where, who, ["qualified"])
    await ghl.add_note(where, who, "A summary")
    assert await ghl.notes(where, who) == ("A summary",)
    await ghl.contact_page(where)
    assert (await ghl.location(where)).location_id == where
    await ghl.create_custom_field(where, "Lender Name", "TEXT")
    driven = {"custom_fields", "contact", "update_fields", "add_tags", "remove_tags", "add_note", "notes"}
    driven |= {"contact_page", "location", "create_custom_field"}
    assert driven == public_calls(Ghl), "every method is driven here"
    assert len(recorder.exchanges) == len(driven), "one request a method"
    for exchange in recorder.exchanges:
        assert_request_conforms(exchange)
        assert_answer_conforms(exchange)
        assert exchange.status < 300
    assert sandbox.ghl.values(who) == values


async def test_blanking_a_field_conforms_too(ghl: Ghl, sandbox: Sandbox, recorder: Recorder) -> None:
    """Text, number, date and list fields are all blanked with an empty string."""
    fields = await ghl.custom_fields(sandbox.location_id)
    recorder.exchanges.clear()
    for value in ("x", None):
        keyed = {fields["owner_name"].field_id: value}
        await ghl.update_fields(sandbox.location_id, LEAD.contact_id, keyed)
    for exchange in recorder.exchanges:
        assert_request_conforms(exchange)
    assert sandbox.ghl.values(LEAD.contact_id) == {}


async def test_the_client_pages_through_all_contacts(ghl: Ghl, sandbox: Sandbox, recorder: Recorder) -> None:
    seen: list[str] = []
    mark = None
    while True:
        page = await ghl.contact_page(sandbox.location_id, mark, page_size=9)
        seen += [listed.contact.contact_id for listed in page.contacts]
        mark = page.next
        if mark is None:
            break
    assert sorted(seen) == sorted(sandbox.ghl.contacts)
    for exchange in recorder.exchanges:
        assert_request_conforms(exchange)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (NormalAddress("742", "EVERGREEN TER", "", "SPRINGFIELD", "IL", "62704"), Found),
        (NormalAddress("18", "LAKEVIEW CT", "5B", "", "IL", "62703"), Found),
        (NormalAddress("18", "LAKEVIEW CT", "5B", "SPRINGFIELD", "IL", ""), Found),
        (NormalAddress("100 1/2", "ELM ST", "", "TOLEDO", "OH", ""), Found),
        (NormalAddress("404", "NOWHERE LN", "", "SPRINGFIELD", "IL", "62704"), NoMatch),
        (NormalAddress("204", "NOWHERE LN", "", "SPRINGFIELD", "IL", "62704"), NoMatch),
    ],
)
async def test_every_look_up_of_our_client_conforms(
    rea: RealEstateApi, sandbox: Sandbox, recorder: Recorder, address: NormalAddress, found: type
) -> None:
    assert isinstance(await rea.lookup(address, location_id=sandbox.location_id), found)
    [exchange] = recorder.exchanges
    assert_look_up_conforms(exchange)
    assert sandbox.rea.paid == {address.key: 1}, "the fake reads the address as it was meant"
    if found is Found:
        rea_answers().validate(msgspec.json.decode(exchange.answer))


async def test_the_key_is_asked_without_a_body(rea: RealEstateApi, recorder: Recorder) -> None:
    info = await rea.key_info()
    [exchange] = recorder.exchanges
    assert (exchange.method, exchange.path, exchange.body) == ("GET", "/v2/key/info", b"")
    assert "PropertyDetail" in info.scopes
    assert public_calls(RealEstateApi) == {"lookup", "key_info"}, "every method is driven here"


REFUSALS: tuple[FaultKind, ...] = (
    "throttle", "daily", "unauthorized", "forbidden", "out_of_credit", "bad_request", "not_found", "server_error",
)  # fmt: skip


async def test_every_refusal_of_the_fake_highlevel_conforms(ghl: Ghl, sandbox: Sandbox, recorder: Recorder) -> None:
    async with ClientSession() as session:
        headers = {"Authorization": f"Bearer {sandbox.location_token}", "Version": "2021-07-28"}
        url = f"{sandbox.ghl_url}/contacts/{LEAD.contact_id}"
        for kind in REFUSALS:
            sandbox.faults.add(Fault(kind), match=Match(provider="ghl"))
            async with session.get(url, headers=headers):
                pass
        for bad in ({}, {**headers, "Version": "1999-01-01"}, {**headers, "Authorization": "Bearer other"}):
            async with session.get(url, headers=bad):
                pass
        async with session.put(url, json={"gender": "x"}, headers=headers):
            pass
    with pytest.raises(Trouble):
        await ghl.contact(sandbox.location_id, "gone0000000000000000")
    statuses = [exchange.status for exchange in recorder.exchanges]
    assert statuses == [429, 429, 401, 403, 402, 400, 404, 500, 401, 401, 401, 422, 400]
    for exchange in recorder.exchanges:
        assert_answer_conforms(exchange)


async def test_every_record_of_the_fake_realestateapi_conforms(sandbox: Sandbox, recorder: Recorder) -> None:
    async with ClientSession() as session:
        for lead in demo_leads(LEAD_KINDS):
            body = {"address": f"{lead.address.line1 or '1600 Elm St'}, Springfield IL 62704"}
            headers = {"x-api-key": sandbox.api_key}
            async with session.post(f"{sandbox.realestateapi_url}/v2/PropertyDetail", json=body, headers=headers):
                pass
    sold = [exchange for exchange in recorder.exchanges if exchange.status in (200, 404)]
    assert len(sold) == LEAD_KINDS - 2  # one street answers 502 first, one 429
    for exchange in sold:
        rea_answers().validate(msgspec.json.decode(exchange.answer))


def test_our_events_have_no_member_that_the_documented_one_lacks() -> None:
    documented = msgspec.json.decode((APIS / "ghl" / "webhooks" / "documented" / "ContactCreate.json").read_bytes())
    envelope = {"versionId", "appId", "timestamp", "webhookId"}
    assert msgspec.json.decode(webhook_body(LEAD)).keys() <= documented.keys() | envelope


# The checks themselves can fail.

GOOD = Exchange(
    "PUT",
    f"/contacts/{LEAD.contact_id}",
    {},
    {
        "authorization": "Bearer t",
        "version": "2021-07-28",
        "accept": "application/json",
        "user-agent": "leadenrich/1",
        "content-type": "application/json",
    },
    b'{"customFields":[{"id":"a","field_value":1}]}',
    200,
    b'{"succeded":true,"contact":{"id":"a"}}',
    "application/json",
)


def spoiled() -> Iterator[Exchange]:
    without = {name: {**GOOD.headers, name: ""} for name in ("authorization", "content-type", "accept", "version")}
    for headers in without.values():
        yield _with(headers=headers)
    for body in (b'{"gender":"x"}', b'{"customFields":[{"id":"a","value":1}]}', b'{"tags":"a"}', b'{"city":7}'):
        yield _with(body=body)
    yield _with(query={"force": "1"})
    yield _with(method="PATCH")
    yield _with(path="/contact/a")


def _with(**changes: Any) -> Exchange:
    return Exchange(
        **{
            name: changes.get(name, getattr(GOOD, name))
            for name in ("method", "path", "query", "headers", "body", "status", "answer", "answer_type")
        }
    )


def test_a_good_request_passes() -> None:
    assert_request_conforms(GOOD)
    assert_answer_conforms(GOOD)


@pytest.mark.parametrize("exchange", list(spoiled()))
def test_a_spoiled_request_is_found(exchange: Exchange) -> None:
    with pytest.raises(AssertionError):
        assert_request_conforms(exchange)


@pytest.mark.parametrize("answer", [b'{"succeeded":true}', b'{"contact":{"tags":"a"}}', b'{"contact":{"nick":"a"}}'])
def test_a_spoiled_answer_is_found(answer: bytes) -> None:
    with pytest.raises(AssertionError):
        assert_answer_conforms(_with(answer=answer))
