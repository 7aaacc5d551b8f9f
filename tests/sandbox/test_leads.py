"""The demo's leads are distinct, their webhooks look delivered, and the sandbox has for them what they say."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from leadenrich.core.job import JobState, Outcome, Reason
from leadenrich.sandbox.keys import SandboxKeys
from leadenrich.sandbox.leads import LEAD_KINDS, demo_leads, webhook_body
from leadenrich.sandbox.server import Sandbox

SHARED = Path(__file__).parents[2] / ".." / "shared" / "apis"


def verify(keys: SandboxKeys, body: bytes, signature: str) -> None:
    key = load_pem_public_key(keys.public_pem.encode())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.b64decode(signature, validate=True), body)


def test_leads_differ_in_contact_and_address_over_many_laps() -> None:
    leads = demo_leads(3 * LEAD_KINDS + 5)
    assert len({lead.contact_id for lead in leads}) == len(leads)
    looked_up = [lead.address for lead in leads if lead.sample]
    assert len({msgspec.json.encode(address) for address in looked_up}) == len(looked_up)
    assert LEAD_KINDS >= 25


def test_the_demo_s_25_leads_show_every_kind_of_end() -> None:
    leads = demo_leads(25)
    assert {lead.outcome for lead in leads} == {*Outcome, None}
    reasons = {lead.reason for lead in leads if lead.state is JobState.FAILED_FINAL}
    assert reasons == {
        Reason.BAD_ADDRESS,
        Reason.MISSING_ADDRESS,
        Reason.PROPERTY_NOT_FOUND,
        Reason.CONTACT_NOT_FOUND,
    }
    assert max(lead.tries for lead in leads) == 2


def test_the_expected_ends_are_those_of_the_samples_index() -> None:
    index = SHARED / "realestateapi" / "samples.index.json"
    if not index.exists():
        pytest.skip("the vendors' files are not here")
    rows: Any = msgspec.json.decode(index.read_bytes())["samples"]
    expected = {row["file"]: row for row in rows}
    held = 0
    for lead in demo_leads(LEAD_KINDS):
        row = expected.get(f"samples/property_detail.200.{lead.sample}.json")
        if row is None or not lead.in_ghl:
            continue
        assert lead.outcome == row["expected_default_outcome"]
        assert list(lead.codes) == [code for code in row["expected_default_codes"] if code != "RENTAL_LISTING"]
        held += 1
    assert held >= 30


@pytest.fixture
async def unlimited() -> AsyncIterator[Sandbox]:
    async with Sandbox(rea_per_second=0) as running:
        yield running


async def test_the_sandbox_has_for_each_lead_what_it_says(client: ClientSession, unlimited: Sandbox) -> None:
    sandbox = unlimited
    for lead in demo_leads(LEAD_KINDS):
        assert (lead.contact_id in sandbox.ghl.contacts) is lead.in_ghl
        if not lead.sample:
            continue
        body = {"address": f"{lead.address.line1}, {lead.address.city} IL {lead.address.postal_code}".strip()}
        statuses = []
        for _ in range(2):
            url = f"{sandbox.realestateapi_url}/v2/PropertyDetail"
            async with client.post(url, json=body, headers={"x-api-key": sandbox.api_key}) as answer:
                statuses.append(answer.status)
                data = msgspec.json.decode(await answer.read()).get("data") if answer.status == 200 else {}
        if lead.outcome is Outcome.NO_MATCH and lead.sample == "no_match":
            assert not data or data.get("error")
            continue
        assert statuses[-1] == 200
        assert (statuses[0] == 502) is (lead.tries == 2)
        house = lead.address.line1.partition(" ")[0]
        assert (data["propertyInfo"]["address"]["house"] == house) is (lead.sample != "address_mismatch")
        if "OWNER_MISMATCH" not in lead.codes and data.get("ownerInfo", {}).get("owner1Type") == "Individual":
            assert lead.last_name in data["ownerInfo"]["owner1FullName"]


def test_a_webhook_has_the_delivered_shape() -> None:
    [lead] = demo_leads(1)
    now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    first, second = (msgspec.json.decode(webhook_body(lead, now=now)) for _ in range(2))
    assert first["webhookId"] != second["webhookId"]
    assert (first["type"], first["timestamp"]) == ("ContactCreate", "2026-11-23T09:30:00.000Z")
    sample = SHARED / "ghl" / "webhooks" / "delivered" / "ContactCreate.synthetic.json"
    if sample.exists():
        delivered = msgspec.json.decode(sample.read_bytes())
        assert first.keys() == delivered.keys()
        assert {name: type(value) for name, value in first.items()} == {
            name: type(value) for name, value in delivered.items()
        }


def test_a_lead_without_address_sends_no_address_members() -> None:
    [lead] = [it for it in demo_leads(LEAD_KINDS) if it.reason is Reason.MISSING_ADDRESS]
    assert not {"address1", "city", "state", "postalCode"} & msgspec.json.decode(webhook_body(lead)).keys()


def test_signatures_hold_for_the_body_they_were_made_for() -> None:
    keys = SandboxKeys()
    body = webhook_body(demo_leads(1)[0])
    verify(keys, body, keys.sign(body))
    with pytest.raises(InvalidSignature):
        verify(keys, body + b" ", keys.sign(body))


async def test_writes_come_back_as_signed_events(client: ClientSession, sandbox: Sandbox) -> None:
    """HighLevel's loop: whoever writes to a contact hears of it, with no mark of who did it."""
    heard: list[tuple[str, bytes]] = []

    async def listen(request: web.Request) -> web.Response:
        heard.append((request.headers["X-GHL-Signature"], await request.read()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/webhooks/ghl", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sandbox.echo_to(f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/ghl")
        [lead] = demo_leads(1)
        headers = {"Authorization": f"Bearer {sandbox.location_token}", "Version": "2021-07-28"}
        url = f"{sandbox.ghl_url}/contacts/{lead.contact_id}"
        async with client.put(url, json={"city": "Austin"}, headers=headers) as answer:
            assert answer.status == 200
        async with client.post(f"{url}/tags", json={"tags": ["Hot"]}, headers=headers) as answer:
            assert answer.status == 201
        await sandbox.echo.settled()
    finally:
        await runner.cleanup()
    events = {msgspec.json.decode(body)["type"]: msgspec.json.decode(body) for _, body in heard}
    assert events["ContactUpdate"]["city"] == "Austin"
    assert "hot" in events["ContactTagUpdate"]["tags"]
    assert [delivery.status for delivery in sandbox.echo.deliveries] == [202, 202]
    for signature, body in heard:
        verify(sandbox.keys, body, signature)


async def test_a_deaf_listener_does_not_disturb_the_sandbox(client: ClientSession, sandbox: Sandbox) -> None:
    sandbox.echo_to("http://127.0.0.1:9/webhooks/ghl")
    [lead] = demo_leads(1)
    headers = {"Authorization": f"Bearer {sandbox.location_token}", "Version": "2021-07-28"}
    async with client.put(f"{sandbox.ghl_url}/contacts/{lead.contact_id}", json={}, headers=headers) as answer:
        assert answer.status == 200
    await sandbox.echo.settled()
    assert [delivery.status for delivery in sandbox.echo.deliveries] == [0]
