"""Canaries in every secret and every personal field: none sings in a log, a metric or an answer to a stranger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from daemon_process import Inside, inside, new_sandbox, settings_for
from redis_server import running

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox

SECRETS: Final = {
    "admin": "canary-admin-token-7f3a",
    "viewer": "canary-viewer-token-7f3a",
    "webhook": "canary/webhook+token=7f3a",
    "redis": "canary-redis-word-7f3a",
}
PERSON: Final = ("Canaryfirst", "Canarylast", "canary.person@example.org", "+1 217 555 0199", "Canary Cage Ct")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_no_canary_sings(level: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """A debugger may see people, nobody sees a secret."""
    (tmp_path / "redis").mkdir()
    with running(tmp_path / "redis", "--requirepass", SECRETS["redis"]) as redis:
        url = redis.url.replace("//", f"//:{SECRETS['redis']}@")
        settings = settings_for(
            sandbox,
            url,
            server={"admin_token": SECRETS["admin"], "viewer_token": SECRETS["viewer"]},
            ghl={"webhook_token": SECRETS["webhook"], "notes": True},
            log={"level": level},
        )
        async with inside(sandbox, tmp_path, settings) as daemon:
            outside = await everything_happens(daemon)
            said = daemon.log.getvalue()
    secret = [*SECRETS.values(), sandbox.api_key, sandbox.location_token]
    assert len(said.splitlines()) > 10
    assert not [canary for canary in secret if canary in said + outside]
    assert not [canary for canary in PERSON if canary.lower() in outside.lower()]
    if level == "info":
        assert not [canary for canary in PERSON if canary.lower() in said.lower()]


async def everything_happens(daemon: Inside) -> str:
    """Leads that end well, badly and not at once, a vendor that repeats what it was told, wrong knocks at the doors.

    Answers what a stranger could read of it.
    """
    sandbox = daemon.sandbox
    first, last, email, phone, street = PERSON
    # What it was told: the address and the key. Names it never hears.
    repeated = f'{{"message": "no 1 {street.upper()}, nor {street}, for {email} {phone} {sandbox.api_key}"}}'
    faults = [
        (Fault("status", status=500, body=repeated), Match(path="PropertyDetail")),
        (Fault("status", status=400, body=repeated), Match(path="PropertyDetail")),
        (Fault("truncated"), Match(method="PUT")),
    ]
    contacts = [
        sandbox.ghl.add_contact(
            f"Contact{number}",
            sandbox.location_id,
            address=PostalAddress(f"{1 + number} {street}", "Springfield", "IL", "62704"),
            first_name=first,
            last_name=last,
            email=email,
            phone=phone,
        )
        for number in range(4)
    ]
    for fault, match in faults:
        sandbox.faults.add(fault, match=match)
    jobs = [(await daemon.hook(contact_event("ContactCreate", contact)))[1]["job_id"] for contact in contacts]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {SECRETS['admin']}"}) as operator:
        for job_id in jobs:
            while True:
                async with operator.get(f"{daemon.url}/api/v1/jobs/{job_id}") as answer:
                    if (await answer.json())["state"] in ("SUCCEEDED", "FAILED_FINAL"):
                        break
    heard = json.dumps([call.body for call in sandbox.rea.calls])
    assert "CANARY CAGE CT" in heard
    assert not [word for word in (first, last, email, phone) if word.lower() in heard.lower()]
    return await knocks(daemon, first)


async def knocks(daemon: Inside, name: str) -> str:
    heard = []
    async with aiohttp.ClientSession() as stranger:
        tries = [
            ("GET", f"/api/v1/jobs?q={name}", {}, b""),
            ("GET", "/", {"Cookie": f"session={SECRETS['admin']}x"}, b""),
            ("GET", "/metrics", {}, b""),
            ("GET", "/readyz", {}, b""),
            ("GET", f"/nowhere?token={SECRETS['webhook'][:9]}", {}, b""),
            ("POST", "/webhooks/ghl/workflow?token=guessed", {"Content-Type": "application/json"}, b'{"a": 1}'),
            ("POST", "/webhooks/ghl", {"Content-Type": "application/json", "X-GHL-Signature": "N/A"}, b"{}"),
        ]
        for method, path, headers, body in tries:
            async with stranger.request(method, daemon.url + path, headers=headers, data=body or None) as answer:
                heard.append(await answer.text())
        # The right token in a query: taken, and written nowhere.
        path = daemon.url + "/webhooks/ghl/workflow"
        async with stranger.post(path, params={"token": SECRETS["webhook"]}, json={"contact_id": "nobody"}) as answer:
            assert answer.status == 202
            heard.append(await answer.text())
    return "\n".join(heard)
