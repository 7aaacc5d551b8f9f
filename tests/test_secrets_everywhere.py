"""A daemon's whole life with canaries for secrets and people: none comes out anywhere but where its owner looks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
import redis
from daemon_process import LOOK_UP, DaemonProcess, Settings, as_toml, new_sandbox, settings_for, until
from redis_server import RedisServer, free_port, running

from leadenrich.core.lead import PostalAddress
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.events import contact_event
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.sandbox.server import Sandbox
from leadenrich.store.schema import Keys

ADMIN: Final = "canary-admin-8d2e"
VIEWER: Final = "canary-viewer-8d2e"
WEBHOOK: Final = "canary/webhook+8d2e="
REDIS: Final = "canary-redis-8d2e"
ALERTS: Final = "canary-alerts-8d2e"
LATER: Final = "canary-admin-after-the-reload-8d2e"
FIRST, LAST, EMAIL, PHONE, STREET = (
    "Canaryfirst",
    "Canarylast",
    "canary.bird@example.org",
    "+12175550199",
    "Canary Cage",
)
PEOPLE: Final = (FIRST, LAST, EMAIL, PHONE, "5550199", STREET)


class OutspokenDaemon(DaemonProcess):
    """Keeps its stdout too."""

    async def spawn(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADENRICH_")}
        with (self.path.parent / "stdout").open("wb") as stdout:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "leadenrich", "serve", "--config", str(self.path), *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=asyncio.subprocess.PIPE,
                env=environment, cwd=self.path.parent,
            )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))

    def output(self) -> str:
        return "".join(self.text) + (self.path.parent / "stdout").read_text()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with new_sandbox() as opened:
        yield opened


@asynccontextmanager
async def a_daemon(sandbox: Sandbox, folder: Path, settings: Settings) -> AsyncIterator[OutspokenDaemon]:
    admin = {"Authorization": f"Bearer {ADMIN}"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        daemon = OutspokenDaemon(sandbox, session, folder, settings)
        daemon.url = f"http://127.0.0.1:{settings['server']['port']}"
        try:
            await daemon.spawn()
            await until(lambda: "ready" in "".join(daemon.text) or not daemon.running, "ready", within_s=20)
            assert daemon.running, daemon.output()
            async with session.get(daemon.url + "/api/v1/stats", headers=admin) as answer:
                assert answer.status == 200
            yield daemon
        finally:
            await daemon.close()


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_canary_comes_out(sandbox: Sandbox, tmp_path: Path, form: str) -> None:
    (tmp_path / "redis").mkdir()
    user = ("--user", "canary-user", "on", f">{REDIS}", "~*", "&*", "+@all")
    with running(tmp_path / "redis", *user) as server:
        settings = the_settings(sandbox, server, form)
        async with a_daemon(sandbox, tmp_path, settings) as daemon:
            heard = [await leads_of_every_end(daemon), await strangers(daemon)]
            await reloads(daemon, settings)
            heard += [await a_refused_key_and_a_broken_record(daemon, server)]
            assert await daemon.terminate() == 0
            said = daemon.output()
        heard += [await command(tmp_path, "check"), *names_of_keys(server)]
    assert sandbox.faults.armed == ()  # each complaint was made, with all that it repeats
    happened = (
        "failed",
        "retrying",
        "throttled",
        "provider_paused",
        "request_refused",
        "malformed_request",
        "reloaded",
    )
    assert [event for event in happened if event not in said] == []
    everything = "\n".join([said, *heard]).lower()
    secrets = [
        ADMIN,
        VIEWER,
        WEBHOOK,
        quote(WEBHOOK, safe=""),
        REDIS,
        ALERTS,
        LATER,
        sandbox.api_key,
        sandbox.location_token,
    ]
    assert [canary for canary in (*secrets, *PEOPLE) if canary.lower() in everything] == []


def the_settings(sandbox: Sandbox, server: RedisServer, form: str) -> Settings:
    return settings_for(
        sandbox,
        server.url.replace("//", f"//canary-user:{REDIS}@"),
        server={"port": free_port(), "admin_token": ADMIN, "viewer_token": VIEWER},
        queue={"backoff_delay": 0.01, "attempts": 2},
        ghl={"webhook_token": WEBHOOK, "notes": True},
        alerts={"url": f"http://127.0.0.1:{free_port()}/services/{ALERTS}?key={ALERTS}", "oldest_live_wait": 1e-9},
        log={"format": form},
    )


def a_contact(sandbox: Sandbox, number: int, street: str = f"{STREET} Ct") -> FakeContact:
    return sandbox.ghl.add_contact(
        f"Contact{number:02d}",
        sandbox.location_id,
        address=PostalAddress(f"{100 + number} {street}", "Springfield", "IL", "62704"),
        first_name=FIRST,
        last_name=LAST,
        email=EMAIL,
        phone=PHONE,
        tags=[FIRST],
    )


def asked_back(sandbox: Sandbox) -> str:
    """A vendor's complaint that repeats all it knows."""
    return (
        f"{STREET.upper()} CT, {STREET} Ct, {EMAIL}, {PHONE}, {sandbox.api_key} and {sandbox.location_token} are wrong"
    )


async def leads_of_every_end(daemon: OutspokenDaemon) -> str:
    """Good, without an address, a PO box, unknown, deleted, refused and failing at both vendors, cut off."""
    sandbox, complaint = daemon.sandbox, asked_back(daemon.sandbox)
    contacts = [a_contact(sandbox, number) for number in range(7)]
    contacts.append(a_contact(sandbox, 7, "Nowhere Ln"))
    contacts[1].details["address1"] = ""
    contacts[2].details["address1"] = f"PO Box 5 {STREET}"
    bodies = [contact_event("ContactCreate", contact) for contact in contacts]
    del sandbox.ghl.contacts[contacts[3].contact_id]
    for number, kind, times in ((4, "bad_request", 1), (5, "server_error", 2)):
        match = Match(path=LOOK_UP, address=f"{100 + number}|")
        sandbox.faults.add(Fault(kind, body=complaint), match=match, times=times)
    sandbox.faults.add(Fault("bad_request", body=complaint), match=Match(method="PUT", contact="Contact06"))
    sandbox.faults.add(Fault("throttle", retry_after=1), match=Match(path=LOOK_UP, address="100|"))
    sandbox.faults.add(Fault("truncated"), match=Match(method="PUT", contact="Contact00"))
    answers = [await daemon.hook(body) for body in bodies]
    workflow = {
        "contact_id": "Contact00",
        "full_name": FIRST,
        "address1": f"1 {STREET} Ct",
        "customData": {"secret": WEBHOOK},
    }
    answers.append(await tell(daemon, "/webhooks/ghl/workflow", json.dumps(workflow).encode()))
    await until(lambda: settled(daemon, len(contacts)), "the leads have ended", within_s=20)
    return json.dumps(answers)


async def tell(daemon: OutspokenDaemon, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with daemon.session.post(daemon.url + path, data=body, headers=sent) as answer:
        return answer.status, await answer.text()


async def settled(daemon: OutspokenDaemon, at_least: int, token: str = ADMIN) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    async with daemon.session.get(daemon.url + "/api/v1/stats", headers=headers) as answer:
        lanes = (await answer.json())["lanes"].values()
    ended = sum(lane.get(state, 0) for lane in lanes for state in ("SUCCEEDED", "FAILED_FINAL"))
    return bool(ended >= at_least and ended == sum(sum(lane.values()) for lane in lanes))


async def strangers(daemon: OutspokenDaemon) -> str:
    """Wrong signatures, tokens where they do not belong, bodies and requests that are none; what they hear."""
    person = json.dumps(
        {"type": "ContactCreate", "id": "C", "firstName": FIRST, "email": EMAIL, "phone": PHONE}
    ).encode()
    said = [
        await tell(daemon, "/webhooks/ghl", person, X_GHL_Signature="N/A"),
        await tell(daemon, "/webhooks/ghl", person, X_GHL_Signature=ADMIN),
        await tell(daemon, f"/webhooks/ghl/workflow?token={quote(WEBHOOK, safe='')}x", person),
        await tell(daemon, f"/webhooks/ghl/workflow?token={quote(WEBHOOK, safe='')}", person),
        await tell(daemon, f"/webhooks/ghl/workflow?token={quote(WEBHOOK, safe='')}", person[:-1]),
        await tell(daemon, f"/nowhere/{ADMIN}?q={EMAIL}", person),
        await tell(daemon, "/api/v1/leads", person, Authorization=f"Bearer {ADMIN}"),
        await tell(daemon, "/api/v1/leads?lane=" + FIRST, person, Authorization=f"Bearer {ADMIN}"),
        await tell(daemon, "/api/v1/leads", person, Authorization=f"Bearer {VIEWER}"),
        await tell(
            daemon, "/api/v1/leads", b'{"contact_id": "C", "phone": 12175550199}', Authorization=f"Bearer {ADMIN}"
        ),
        await tell(daemon, "/login", f"token={ADMIN}x".encode(), Content_Type="application/x-www-form-urlencoded"),
    ]
    for path in ("/metrics", "/readyz", "/healthz", f"/?q={FIRST}", f"/api/v1/jobs?token={ADMIN}&q={EMAIL}"):
        async with daemon.session.get(daemon.url + path) as answer:
            said.append((answer.status, await answer.text()))
    malformed = (f"GET /?token={ADMIN} HTTP/9.9", f"{ADMIN} {FIRST}", f"GET / HTTP/1.1\r\nAuthorization: {ADMIN}\x00")
    said += [(400, await raw(daemon, line)) for line in malformed]
    return json.dumps(said)


async def raw(daemon: OutspokenDaemon, line: str) -> str:
    at = urlsplit(daemon.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"{line}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        heard = await reader.read()
    writer.close()
    return heard.decode()


async def reloads(daemon: OutspokenDaemon, settings: Settings) -> None:
    """Files that cannot be used, with secrets where they do not belong; then one with a new token."""
    for broken in (
        as_toml(settings) + f"\n[server\nadmin_token = {ADMIN}\n",
        as_toml({**settings, "redis": {"url": f"redis://canary-user:{REDIS}@host:port/{REDIS}"}}),
        as_toml({**settings, "ghl": {**settings["ghl"], "tokken": WEBHOOK, "public_keys": [LATER]}}),
    ):
        daemon.configure(broken)
        daemon.signal(signal.SIGHUP)
        count = daemon.output().count("reload_refused") + 1
        await until(lambda count=count: daemon.output().count("reload_refused") >= count, "the refusal")  # type: ignore[misc]
    daemon.configure({**settings, "server": {**settings["server"], "admin_token": LATER}})
    daemon.signal(signal.SIGHUP)
    await until(lambda: "reloaded" in daemon.output(), "the reload")


async def a_refused_key_and_a_broken_record(daemon: OutspokenDaemon, server: RedisServer) -> str:
    """The vendor's 401 pauses it; a lead that waits loses its payload; an operator resumes."""
    daemon.sandbox.faults.add(Fault("unauthorized", body=asked_back(daemon.sandbox)), match=Match(path=LOOK_UP))
    status, answer = await daemon.hook(contact_event("ContactCreate", a_contact(daemon.sandbox, 8)))
    assert status == 202, answer
    await until(lambda: "provider_paused" in daemon.output(), "the pause")
    async with daemon.session.get(daemon.url + "/readyz") as ready:
        told = await ready.text()
    with redis.Redis.from_url(server.url) as client:
        broken = json.dumps({"first_name": FIRST, "email": EMAIL, "address": f"{STREET} Ct", "phone": 5550199})
        assert client.set(Keys("lead-enrichment").load(answer["job_id"]), broken, xx=True)
    told += await command(daemon.path.parent, "providers", "resume", "realestateapi")
    await until(lambda: settled(daemon, 9, LATER), "the broken lead has ended", within_s=20)
    return told


async def command(folder: Path, *words: str) -> str:
    """Both streams of a command."""
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leadenrich", *words, "--config", str(folder / "config.toml"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await done.communicate()
    assert done.returncode == 0, said.decode()
    return said.decode()


def names_of_keys(server: RedisServer) -> list[str]:
    """Keys are seen by who may not see what they hold: in slow logs, in monitors, in backups' listings."""
    with redis.Redis.from_url(server.url) as client:
        names = [name.decode() for name in client.scan_iter(count=1000)]
    assert len(names) > 20
    return names
