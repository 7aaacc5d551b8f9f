"""Faults hit the calls they were ordered for, do what they say, and end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import ClientSession

from leadenrich.sandbox.calls import Call
from leadenrich.sandbox.faults import Fault, FaultKind, Faults, Match
from leadenrich.sandbox.leads import demo_leads
from leadenrich.sandbox.mischief import retry_after_text
from leadenrich.sandbox.server import Sandbox

WaitUntil = Callable[..., Awaitable[None]]
HOUSE = {"house": "742", "street": "Evergreen Ter", "state": "IL", "zip": "62704"}
[LEAD] = demo_leads(1)


async def buy(client: ClientSession, sandbox: Sandbox, **parts: str) -> tuple[int, str]:
    headers = {"x-api-key": sandbox.api_key}
    url = f"{sandbox.realestateapi_url}/v2/PropertyDetail"
    async with client.post(url, json={**HOUSE, **parts}, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text()


async def tag(client: ClientSession, sandbox: Sandbox) -> int:
    headers = {"Authorization": f"Bearer {sandbox.location_token}", "Version": "2021-07-28"}
    url = f"{sandbox.ghl_url}/contacts/{LEAD.contact_id}/tags"
    async with client.post(url, json={"tags": ["qualified"]}, headers=headers, allow_redirects=False) as answer:
        await answer.read()
        assert "X-RateLimit-Remaining" in answer.headers
        return answer.status


PLAIN: list[tuple[FaultKind, int]] = [
    ("throttle", 429), ("daily", 429), ("unauthorized", 401), ("forbidden", 403), ("forbidden_html", 403),
    ("out_of_credit", 402), ("bad_request", 400), ("not_found", 404), ("server_error", 500), ("bad_gateway", 502),
    ("empty", 200), ("no_content", 204), ("redirect", 302),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status"), PLAIN)
async def test_a_refusal_has_its_status_no_effect_and_comes_once(
    client: ClientSession, sandbox: Sandbox, kind: FaultKind, status: int
) -> None:
    sandbox.faults.add(Fault(kind), match=Match(provider="realestateapi"))
    sandbox.faults.add(Fault(kind), match=Match(provider="ghl"))
    assert (await buy(client, sandbox))[0] == status
    assert await tag(client, sandbox) == status
    assert not sandbox.rea.paid
    assert not sandbox.ghl.writes
    assert (await buy(client, sandbox))[0] == 200
    assert await tag(client, sandbox) == 201
    assert not sandbox.faults.armed


async def test_the_bodies_are_the_vendors_own_shapes(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("daily"))
    assert "daily" in msgspec.json.decode((await buy(client, sandbox))[1])["message"]
    sandbox.faults.add(Fault("bad_request", body='"zip" is not a zip'))
    assert msgspec.json.decode((await buy(client, sandbox))[1])["message"] == '"zip" is not a zip'
    for kind in ("bad_gateway", "forbidden_html"):
        sandbox.faults.add(Fault(kind))
        assert (await buy(client, sandbox))[1].startswith("<html>")
    sandbox.faults.add(Fault("status", status=418, body="teapot"))
    assert await buy(client, sandbox) == (418, "teapot")


async def test_a_match_spares_all_other_calls(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("server_error"), times=None, match=Match(address="742|evergreen"))
    assert [(await buy(client, sandbox, house=house))[0] for house in ("740", "742", "742")] == [200, 500, 500]
    assert await tag(client, sandbox) == 201
    assert sandbox.faults.clear() == 1
    assert (await buy(client, sandbox))[0] == 200


async def test_a_predicate_can_say_which_call(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("server_error"), match=lambda call: call.contact_id == LEAD.contact_id)
    assert (await buy(client, sandbox))[0] == 200
    assert await tag(client, sandbox) == 500


def test_faults_let_calls_pass_first_and_take_turns() -> None:
    faults = Faults()
    faults.add(Fault("server_error"), times=2, after=1)
    faults.add(Fault("throttle"))
    taken = [faults.take(Call(0.0, "ghl", "GET", "/")) for _ in range(5)]
    assert [fault.kind if fault else None for fault in taken] == [
        "throttle",  # the older one lets the first call pass, so the younger one takes it
        "server_error",
        "server_error",
        None,
        None,
    ]


def test_retry_after_in_every_spelling() -> None:
    now = datetime(2026, 11, 23, 10, 0, 0, 500_000, tzinfo=UTC)
    assert retry_after_text(7, now) == "7"
    assert retry_after_text("soon", now) == "soon"
    assert retry_after_text("date+5", now) == "Mon, 23 Nov 2026 10:00:06 GMT"


async def test_the_retry_after_header_is_sent(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("throttle", retry_after="soon"))
    async with client.post(f"{sandbox.realestateapi_url}/v2/PropertyDetail", json=HOUSE) as answer:
        assert answer.headers["Retry-After"] == "soon"


async def test_slow_is_late_but_true(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("slow", seconds=0.2))
    begun = time.monotonic()
    assert (await buy(client, sandbox))[0] == 200
    assert time.monotonic() - begun >= 0.2


async def test_a_slow_write_happens_though_the_client_has_left(
    client: ClientSession, sandbox: Sandbox, wait_until: WaitUntil
) -> None:
    sandbox.faults.add(Fault("slow", seconds=0.2))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tag(client, sandbox), 0.05)
    await wait_until(lambda: sandbox.ghl.writes, what="the write")


async def test_truncated_is_a_whole_message_with_half_a_body(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("truncated"))
    status, text = await buy(client, sandbox)
    assert status == 200
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text)
    assert sandbox.rea.paid.total() == 1


async def test_cut_off_breaks_in_the_middle_of_the_body(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("cut_off"), times=2)
    with pytest.raises(aiohttp.ClientPayloadError):
        await buy(client, sandbox)
    assert sandbox.rea.paid.total() == 1
    with pytest.raises(aiohttp.ClientPayloadError):
        await tag(client, sandbox)
    assert sandbox.ghl.contacts[LEAD.contact_id].tags == ["seller lead", "qualified"]


async def test_reset_does_nothing_and_a_lost_answer_does_it(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("reset"))
    with pytest.raises(aiohttp.ClientError):
        await tag(client, sandbox)
    assert not sandbox.ghl.writes
    sandbox.faults.add(Fault("lost_answer"))
    with pytest.raises(aiohttp.ClientError):
        await tag(client, sandbox)
    assert sandbox.ghl.writes.total() == 1
    assert [call.status for call in sandbox.ghl.calls] == [0, 0]


async def test_a_hanging_call_does_not_hold_up_the_end(client: ClientSession, wait_until: WaitUntil) -> None:
    async with Sandbox() as sandbox:
        sandbox.faults.add(Fault("hang"))
        hanging = asyncio.create_task(buy(client, sandbox))
        await wait_until(lambda: sandbox.rea.calls, what="the call")
        begun = time.monotonic()
    assert time.monotonic() - begun < 10.0
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_an_operator_plays_over_http(client: ClientSession, sandbox: Sandbox) -> None:
    url = f"{sandbox.realestateapi_url}/_sandbox/faults"
    order: dict[str, Any] = {"kind": "throttle", "retry_after": 2, "times": 3, "match": {"address": "742|"}}
    async with client.post(url, json=order) as answer:
        assert answer.status == 201
        assert (await answer.json())["times"] == 3
    assert (await buy(client, sandbox))[0] == 429
    async with client.get(url) as answer:
        [armed] = (await answer.json())["faults"]
        assert (armed["kind"], armed["times"], armed["fired"]) == ("throttle", 2, 1)
    assert armed["match"] == {"provider": "realestateapi", "address": "742|"}
    for cleared, vendor in ((0, sandbox.ghl_url), (1, sandbox.realestateapi_url)):
        async with client.delete(f"{vendor}/_sandbox/faults") as answer:
            assert await answer.json() == {"cleared": cleared}
    async with client.get(f"{sandbox.realestateapi_url}/_sandbox/calls?limit=1") as answer:
        [call] = (await answer.json())["calls"]
        assert (call["status"], call["address_key"]) == (429, "742|EVERGREEN TER||62704")


async def test_an_order_is_for_the_vendor_it_is_sent_to(client: ClientSession, sandbox: Sandbox) -> None:
    async with client.post(f"{sandbox.ghl_url}/_sandbox/faults", json={"kind": "status", "status": 418}) as answer:
        assert answer.status == 201
    async with client.get(f"{sandbox.realestateapi_url}/_sandbox/faults") as answer:
        assert await answer.json() == {"faults": []}
    async with client.get(f"{sandbox.ghl_url}/_sandbox/faults") as answer:
        assert [it["match"] for it in (await answer.json())["faults"]] == [{"provider": "ghl"}]
    assert (await buy(client, sandbox))[0] == 200
    assert await tag(client, sandbox) == 418


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"kind": "explode"}, "one of throttle, daily, unauthorized, "),
        ({"times": 1}, "one of throttle, daily, unauthorized, "),
        ({"kind": "hang", "match": {"pth": "x"}}, "known: provider, method, path, address, contact"),
        ({"kind": "hang", "tmes": 2}, "known: kind, status, retry_after, seconds, body, times, after, match"),
        ({"kind": "hang", "match": {"provider": "x"}}, "one of realestateapi, ghl"),
        ({"kind": "hang", "match": {"provider": "realestateapi"}}, "send it to that vendor's address, this is ghl"),
        ({"kind": "neighbour"}, "only RealEstateAPI"),
        ({"kind": "status"}, "takes one of 200 to 599"),
        ({"kind": "status", "status": 0}, "takes one of 200 to 599"),
        ({"kind": "status", "status": 101}, "takes one of 200 to 599"),
        ({"kind": "throttle", "status": 500}, "takes one of 200 to 599"),
        ([], "Expected `object`"),
    ],
)
async def test_a_wrong_order_is_explained(client: ClientSession, sandbox: Sandbox, order: Any, says: str) -> None:
    async with client.post(f"{sandbox.ghl_url}/_sandbox/faults", json=order) as answer:
        assert answer.status == 400
        assert says in (await answer.json())["error"]
    assert not sandbox.faults.armed
