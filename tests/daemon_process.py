"""The real daemon for the tests: in a process of its own or inside the test's loop, and somebody who talks to it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import structlog
from held_socket import HeldSocket

from leadenrich.config import load
from leadenrich.core.lead import PostalAddress
from leadenrich.daemon import Running, ServeOptions, serve
from leadenrich.enrich.mapping import compile_mapping
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.events import ContactEvent, contact_event, signed_headers
from leadenrich.sandbox.server import Sandbox
from leadenrich.web.connection import Limits

ADMIN = "the-admin-token"
WEBHOOK_TOKEN = "the-webhook-token"
ENDED = frozenset({"SUCCEEDED", "FAILED_FINAL"})
LOOK_UP = "/v2/PropertyDetail"

Settings = dict[str, Any]
Job = dict[str, Any]


async def until(fact: Callable[[], object], what: str, *, within_s: float = 15.0) -> Any:
    """Waits for a fact, looking often; its value."""
    deadline = time.monotonic() + within_s
    while True:
        answer = fact()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"did not come within {within_s} s: {what}"
        await asyncio.sleep(0.02)


# --- the vendors ---------------------------------------------------------------------------------------------------


def new_sandbox(**more: Any) -> Sandbox:
    """Both fake vendors without limits or contacts; the location has every custom field of the standard mapping."""
    entries = compile_mapping("standard", {}).entries
    fields = [(entry.name, entry.data_type) for entry in entries if entry.enabled]
    usual: dict[str, Any] = {"custom_fields": fields, "leads": [], "ghl_per_10s": 0, "rea_per_second": 0}
    return Sandbox(**(usual | more))


def people(
    sandbox: Sandbox, count: int, *, start: int = 0, location: str = "", street: str = "Maple St"
) -> list[FakeContact]:
    """Contacts that own the houses they give, each another one: the sandbox sells each house, and it qualifies."""
    return [
        sandbox.ghl.add_contact(
            f"Contact{location[-1:]}{number:05d}",
            location or sandbox.location_id,
            address=PostalAddress(f"{100 + number} {street}", "Springfield", "IL", "62704"),
            first_name="Pat",
            last_name="Resident",
        )
        for number in range(start, start + count)
    ]


def look_ups(sandbox: Sandbox) -> list[Any]:
    """Every look-up that reached the vendor, whatever it answered."""
    return [call for call in sandbox.rea.calls if call.path == LOOK_UP]


def writes(sandbox: Sandbox, contact_id: str) -> list[str]:
    """The methods and paths of all changing calls for a contact."""
    return [
        f"{call.method} {call.path.rpartition(contact_id)[2]}".strip()
        for call in sandbox.ghl.calls
        if call.contact_id == contact_id and call.method != "GET"
    ]


# --- the configuration ---------------------------------------------------------------------------------------------


def settings_for(sandbox: Sandbox, redis_url: str, **sections: Mapping[str, Any]) -> Settings:
    """A quick daemon: short delays, no rate limits. `sections` add to it or change it."""
    locations = [{"id": it.location_id, "token": it.token} for it in sandbox.ghl.locations.values()]
    usual: Settings = {
        "server": {"port": 0, "admin_token": ADMIN},
        "redis": {"url": redis_url},
        "queue": {"backoff_delay": 0.05, "lease": 1.0},
        "worker": {"name": "worker-one", "rate_per_second": 0, "shutdown_grace": 2.0},
        "realestateapi": {
            "base_url": sandbox.realestateapi_url,
            "api_key": sandbox.api_key,
            "rate_per_second": 0,
            "timeout": 5.0,
        },
        "ghl": {
            "base_url": sandbox.ghl_url,
            "public_keys": [sandbox.keys.public_pem],
            "requests_per_10s": 0,
            "webhook_token": WEBHOOK_TOKEN,
            "locations": locations,
        },
        "log": {"format": "json"},
    }
    return {name: {**usual.get(name, {}), **sections.get(name, {})} for name in {**usual, **sections}}


def as_toml(settings: Settings) -> str:
    """JSON's texts, numbers, booleans and lists are TOML's too."""
    lines: list[str] = []
    for section, members in settings.items():
        lines.append(f"[{section}]")
        tables = {}
        for name, value in members.items():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                tables[name] = value
            elif value is not None:
                lines.append(f"{name} = {json.dumps(value)}")
        for name, rows in tables.items():
            for row in rows:
                lines += [f"[[{section}.{name}]]", *(f"{key} = {json.dumps(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


# --- who talks to it -----------------------------------------------------------------------------------------------


class Talker:
    """Sends signed events and reads the admin API of the daemon at `url`."""

    def __init__(self, sandbox: Sandbox, url: str, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.url = url
        self.session = session

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        async with self.session.post(self.url + path, data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def hook(self, body: bytes | dict[str, Any]) -> tuple[int, Any]:
        """Deliver a signed event; status and body of the answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer, _ = await self.post("/webhooks/ghl", raw, signed_headers(raw, self.sandbox.keys.sign))
        return status, answer

    async def workflow(self, body: dict[str, Any], query: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "X-Webhook-Token": WEBHOOK_TOKEN}
        status, answer, _ = await self.post(f"/webhooks/ghl/workflow{query}", json.dumps(body).encode(), headers)
        return status, answer

    async def tell(self, contact: FakeContact, kind: ContactEvent = "ContactCreate") -> str:
        """Deliver the event of a contact that starts work; the job's id."""
        status, answer = await self.hook(contact_event(kind, contact))
        assert status == 202, (status, answer)
        return str(answer["job_id"])

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path, headers={"Authorization": f"Bearer {ADMIN}"}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def job(self, job_id: str) -> Job:
        status, job = await self.get(f"/api/v1/jobs/{job_id}")
        assert status == 200, (status, job)
        return dict(job)

    async def jobs(self) -> dict[str, Job]:
        """All jobs by id, up to 200."""
        status, page = await self.get("/api/v1/jobs?limit=200")
        assert status == 200, (status, page)
        return {job["id"]: job for job in page["jobs"]}

    async def ended(self, ids: Iterable[str], *, within_s: float = 20.0) -> list[Job]:
        """The jobs, once all of them have ended."""
        wanted = list(ids)
        deadline = time.monotonic() + within_s
        while True:
            with suppress(aiohttp.ClientError):  # the daemon may be between two lives
                jobs = [await self.job(wanted[0])] if len(wanted) == 1 else await self._some(wanted)
                if all(job["state"] in ENDED for job in jobs):
                    return jobs
                open_jobs = [(job["id"], job["state"], job["error"]) for job in jobs if job["state"] not in ENDED]
            assert time.monotonic() < deadline, f"jobs did not end within {within_s} s: {open_jobs[:3]}"
            await asyncio.sleep(0.05)

    async def _some(self, ids: list[str]) -> list[Job]:
        known = await self.jobs()  # a job that moves on meanwhile can be missed by the list
        return [known.get(job_id) or await self.job(job_id) for job_id in ids]

    async def paused(self) -> dict[str, str]:
        """The paused providers and why, as /api/v1/stats shows them."""
        _, stats = await self.get("/api/v1/stats")
        return {name: view["paused"] for name, view in stats["providers"].items() if view["paused"]}


def events_of(job: Job) -> list[str]:
    return [entry["event"] for entry in job["timeline"]]


# --- the daemon as a process ---------------------------------------------------------------------------------------


class DaemonProcess(Talker):
    """`leadenrich serve` with its own configuration file; start it again after its end. Ends only its own process."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession, folder: Path, settings: Settings) -> None:
        super().__init__(sandbox, "", session)
        self.path = folder / "config.toml"
        self.lines: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.program: tuple[str, ...] = (sys.executable, "-m", "leadenrich")
        self.held: HeldSocket | None = None  # handed to it as systemd hands its own
        self.environment: dict[str, str] = {}  # besides the test's
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.configure(settings)

    def configure(self, settings: Settings | str) -> None:
        """Write the configuration file; a running daemon reads it at SIGHUP."""
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(settings if isinstance(settings, str) else as_toml(settings))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def spawn(self, *arguments: str) -> None:
        assert not self.running, "it runs already"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADENRICH_")}
        self.lines.clear()
        self.text.clear()
        command = [*self.program, "serve", "--config", str(self.path), *arguments]
        self._process = await asyncio.create_subprocess_exec(
            *(self.held.command(*command) if self.held else command),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env=environment | self.environment, cwd=self.path.parent,
            pass_fds=[self.held.socket.fileno()] if self.held else [],
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))

    async def start(self, *arguments: str, within_s: float = 20.0) -> None:
        """Spawn it and wait for READY."""
        await self.spawn(*arguments)
        await until(lambda: self.said("ready") or not self.running, "ready, or the end", within_s=within_s)
        assert self.running, "".join(self.text)
        self.url = str(self.said("ready")[0]["url"])

    async def refused(self, *arguments: str) -> tuple[int, str]:
        """Spawn one that cannot start: its exit status and what it said."""
        await self.spawn(*arguments)
        status = await self.exit_status()
        return status, "".join(self.text)

    def said(self, event: str, **members: Any) -> list[dict[str, Any]]:
        """The log lines of an event that have these members."""
        return [line for line in self.lines if line.get("event") == event and members.items() <= line.items()]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def exit_status(self, *, within_s: float = 20.0) -> int:
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(within_s):
            status = await self._process.wait()
            await self._reader
        return status

    async def kill(self) -> None:
        """kill -9, and gone."""
        self.signal(signal.SIGKILL)
        await self.exit_status()

    async def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.exit_status()

    async def close(self) -> None:
        if self.running:
            await self.kill()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self.text.append(line.decode())
            with suppress(ValueError):
                self.lines.append(json.loads(line))


@asynccontextmanager
async def process(sandbox: Sandbox, folder: Path, settings: Settings) -> AsyncIterator[DaemonProcess]:
    """A daemon that is not started yet; whatever runs of it at the end is killed."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        daemon = DaemonProcess(sandbox, session, folder, settings)
        try:
            yield daemon
        finally:
            await daemon.close()


# --- the daemon inside the test ------------------------------------------------------------------------------------


class Inside(Talker):
    """A daemon in the test's own loop."""

    running: Running
    log: io.StringIO

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line.get("event") == event]


@asynccontextmanager
async def inside(sandbox: Sandbox, folder: Path, settings: Settings, **options: Any) -> AsyncIterator[Inside]:
    """A running daemon; `options` are those of ServeOptions. It ends the way SIGTERM ends it, without the quarter of a
    second in which those who come late find it: nobody does here."""
    path = folder / "config.toml"
    path.write_text(as_toml(settings))
    config = load(path, {}).config
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    log = io.StringIO()
    with mock.patch("leadenrich.web.server.Limits", partial(Limits, drain_s=0.01)):
        daemon = asyncio.create_task(
            serve(config, ServeOptions(signals=False, log_stream=log, **options), on_ready=ready.set_result)
        )
        try:
            await asyncio.wait([daemon, ready], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            daemon.cancel()
            raise
    try:
        if daemon.done():
            await daemon
        running = await ready
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            talker = Inside(sandbox, running.url or "", session)
            talker.running, talker.log = running, log
            yield talker
        running.stop.set()
        await daemon
    finally:
        daemon.cancel()
        await asyncio.wait([daemon])
        forget_logging()


def forget_logging() -> None:
    """The daemon owns its process' logging; the test's process has other tests to run."""
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [it for it in root.handlers if type(it).__module__.startswith("leadenrich.")]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
