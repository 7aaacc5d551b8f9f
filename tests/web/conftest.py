"""A web half on a free port, with the store played by small fakes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from leadenrich.config import GhlSettings, LocationSettings, QueueSettings, Secret, ServerSettings
from leadenrich.core.job import Outcome
from leadenrich.core.lead import Lead
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.feed import Feed
from leadenrich.store.history import FAILED, Chart, Period, Speed
from leadenrich.store.queue import Receipt, Submission
from leadenrich.store.schema import Keys
from leadenrich.store.search import Findings
from leadenrich.store.switches import Pause
from leadenrich.store.views import BadCursor, JobPage, JobQuery, JobView, ProviderView, Stats
from leadenrich.telemetry.health import Health
from leadenrich.web.app import Limits, WebParts, WebServer, create_app
from leadenrich.web.ports import Finding, Intake, Operations, Views

LOCATION = "ve9EPM428h8vShlRW1KT"
TOKEN = "shared-secret-goes-here"
ADMIN = "the-admin-token"
VIEWER = "the-viewer-token"
KEY = Ed25519PrivateKey.from_private_bytes(b"leadenrich test key, 32 bytes ok"[:32])


def public_pem(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class FakeIntake:
    """Takes everything as new, unless told to answer otherwise or to be away."""

    def __init__(self) -> None:
        self.taken: list[Submission] = []
        self.next: Receipt | Exception | None = None

    async def submit(self, submission: Submission) -> Receipt:
        if isinstance(self.next, Exception):
            raise self.next
        self.taken.append(submission)
        return self.next or Receipt("queued", f"job{len(self.taken)}")

    @property
    def lead(self) -> Lead:
        """The only lead taken so far."""
        [submission] = self.taken
        return submission.lead


def job_view(**changes: Any) -> JobView:
    shown = JobView(
        id="00job1",
        state="SUCCEEDED",
        lane="live",
        contact_id="c1",
        location_id=LOCATION,
        lead=None,
        attempts_made=1,
        max_attempts=3,
        stalled_count=0,
        created_at="2026-11-20T15:04:05.120Z",
        started_at=None,
        finished_at=None,
        next_attempt_at=None,
        outcome="QUALIFIED",
        reason=None,
        error=None,
        disqualified_by=[],
        steps=[],
        timeline=[],
    )
    return msgspec.structs.replace(shown, **changes)


class FakeViews:
    def __init__(self) -> None:
        self.listed: list[JobView] = [job_view()]
        self.asked: list[JobQuery] = []
        self.next_cursor: str | None = None
        self.away = False
        self.paused: dict[str, Pause] = {}

    def _here(self) -> None:
        if self.away:
            raise StoreUnavailable("gone")

    async def job(self, job_id: str) -> JobView | None:
        self._here()
        return next((job for job in self.listed if job.id == job_id), None)

    async def jobs(self, query: JobQuery) -> JobPage:
        self._here()
        if query.cursor == "nonsense":
            raise BadCursor(query.cursor)
        self.asked.append(query)
        return JobPage([job for job in self.listed if query.state in (None, job.state)], self.next_cursor)

    async def pauses(self) -> dict[str, Pause]:
        self._here()
        return self.paused

    async def stats(self) -> Stats:
        self._here()
        return Stats(
            lanes={"live": {"QUEUED": 1234}, "bulk": {}},
            oldest_waiting_seconds=61.5,
            rates={},
            providers={"realestateapi": ProviderView("credit: out of credit", None, 10.0, 7)},
            totals={},
            paused="operator: counting the stock",
        )


class FakeHistory:
    async def chart(self, period: Period) -> Chart:
        return Chart(period, 60, [0, 60], {name: [0, 1] for name in (*Outcome, FAILED)}, 0)

    async def speed(self, period: Period) -> Speed | None:
        return Speed(4, 1.25, 30.0)

    async def calls_a_second(self) -> dict[str, float]:
        return {"realestateapi": 2.5}


class FakeSearch:
    """Finds the job of an id, and for anything else a lead."""

    state = "SUCCEEDED"

    async def exact(self, text: str) -> str | None:
        return text if text == "00job1" else None

    async def find(self, text: str, *, before: str = "") -> Findings:
        return Findings([job_view(contact_id=text, state=self.state)], 7, "" if before else "00older")


@dataclass
class Web:
    """A running web half and what it was made of."""

    server: WebServer
    session: aiohttp.ClientSession
    intake: FakeIntake
    views: FakeViews
    health: Health
    app: aiohttp.web.Application
    parts: WebParts
    answers: list[tuple[str, int]]
    receipts: list[tuple[Submission | None, Receipt]] = field(default_factory=list)

    async def call(self, method: str, path: str, **more: Any) -> tuple[aiohttp.ClientResponse, Any]:
        """The answer and its body: parsed where it is JSON, else text."""
        more.setdefault("allow_redirects", False)
        async with self.session.request(method, self.server.url + path, **more) as response:
            raw = await response.read()
            is_json = raw and response.content_type.endswith("json")
            return response, json.loads(raw) if is_json else raw.decode()

    async def hook(self, body: bytes | dict[str, Any], **headers: str) -> tuple[int, Any]:
        """POST to the signed door, signed; `headers` replace what is sent (with _ for -)."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "X-GHL-Signature": sign(raw)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        response, answer = await self.call("POST", "/webhooks/ghl", data=raw, headers=sent)
        return response.status, answer

    async def workflow(self, body: bytes | dict[str, Any], query: str = "", **headers: str) -> tuple[int, Any]:
        """POST to the workflow door with the right token."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "X-Webhook-Token": TOKEN}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        response, answer = await self.call("POST", f"/webhooks/ghl/workflow{query}", data=raw, headers=sent)
        return response.status, answer

    async def lead(self, body: bytes | dict[str, Any], query: str = "", **headers: str) -> tuple[int, Any]:
        """POST one lead to the API with the admin token."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        response, answer = await self.call("POST", f"/api/v1/leads{query}", data=raw, headers=sent)
        return response.status, answer

    async def lines(self, *lines: bytes | dict[str, Any], query: str = "", **headers: str) -> tuple[int, Any]:
        """POST NDJSON to the API with the admin token."""
        raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        return await self.lead(raw, query, Content_Type="application/x-ndjson", **headers)

    async def raw(self, request: bytes, within_s: float = 5.0) -> bytes:
        """Send bytes as they are; everything that comes back until the server hangs up."""
        reader, writer = await asyncio.open_connection(*self.server.address)
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(within_s):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def sign(body: bytes, key: Ed25519PrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(body)).decode()


@pytest.fixture(scope="session")
def a_job() -> Callable[..., JobView]:
    """`a_job(id=…, state=…)`: a job as the store shows it."""
    return job_view


@pytest.fixture(scope="session")
def signer() -> Callable[..., str]:
    return sign


@pytest.fixture(scope="session")
def pem_of() -> Callable[[Ed25519PrivateKey], str]:
    return public_pem


StartWeb = Callable[..., AbstractAsyncContextManager[Web]]


@pytest.fixture(scope="session")
def start_web() -> StartWeb:
    """`async with start_web(server={...}, ghl={...}, limits=...)`: settings that differ from the usual."""

    @asynccontextmanager
    async def start(
        server: dict[str, Any] | None = None,
        ghl: dict[str, Any] | None = None,
        limits: Limits | None = None,
        intake: Intake | None = None,
        views: Views | None = None,
        operations: Operations | None = None,
        feed: Feed | None = None,
    ) -> AsyncIterator[Web]:
        usual_ghl = {
            "public_keys": (public_pem(KEY),),
            "webhook_token": Secret(TOKEN),
            "locations": (LocationSettings(id=LOCATION),),
        }
        tokens = {"admin_token": Secret(ADMIN), "viewer_token": Secret(VIEWER)}
        answers: list[tuple[str, int]] = []
        receipts: list[tuple[Submission | None, Receipt]] = []
        parts = WebParts(
            server=ServerSettings(**(tokens | (server or {}))),
            ghl=GhlSettings(**(usual_ghl | (ghl or {}))),
            queue=QueueSettings(),
            intake=intake or FakeIntake(),
            views=views or FakeViews(),
            operations=operations or Operations(*[cast(Any, None)] * 3),
            finding=Finding(cast(Any, FakeHistory()), cast(Any, FakeSearch()), {"realestateapi": 10}),
            feed=feed or Feed(cast(Any, None), Keys("none")),
            health=Health(),
            render_metrics=lambda: b"leadenrich_up 1\n",
            on_receipt=lambda submission, receipt: receipts.append((submission, receipt)),
            on_answer=lambda route, status, seconds: answers.append((route, status)),
            limits=limits or Limits(drain_s=0.01, log_in_s=0.01),
        )
        app = create_app(parts)
        jar = aiohttp.CookieJar(unsafe=True)
        async with WebServer(app, limits=parts.limits) as running, aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Web(running, session, parts.intake, parts.views, parts.health, app, parts, answers, receipts)

    return start


@pytest.fixture
async def web(start_web: StartWeb) -> AsyncIterator[Web]:
    async with start_web() as started:
        yield started


@pytest.fixture(scope="session")
def samples() -> dict[str, dict[str, Any]]:
    """Our own sample events, by file name."""
    folder = Path(__file__).parents[1] / "data" / "webhooks"
    return {path.name: json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


@pytest.fixture(scope="session")
def vendor_samples() -> dict[str, bytes]:
    """The vendor's samples, by folder and name; they are not ours to keep here."""
    folder = Path(__file__).parents[2] / ".." / "shared" / "apis" / "ghl" / "webhooks"
    found = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in sorted(folder.glob("*/*.json"))}
    if not found:
        pytest.skip("the vendor's sample webhooks are not beside this repository")
    return found
