"""The stage of a chaos run: Redis, both vendors, daemons; a book of what reached the vendors, a list of the kills."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from daemon_process import ENDED, LOOK_UP, DaemonProcess, new_sandbox, settings_for, until
from redis_server import RedisServer, running

from leadenrich.config import RedisSettings
from leadenrich.sandbox.asked import read_request
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.events import contact_event, signed_headers
from leadenrich.sandbox.server import Sandbox
from leadenrich.sandbox.vendor import parsed
from leadenrich.store.connection import open_redis
from leadenrich.store.schema import Keys
from leadenrich.store.views import JobView, Stats, Views

KEYS = Keys("lead-enrichment")
ALWAYS = ("--appendfsync", "always")
RECORDED_WITHIN_S = 1.0  # after its answer a purchase is surely written down, unless somebody was killed meanwhile


@dataclass(slots=True)
class Purchase:
    """A look-up as the vendor saw it, monotonic seconds; it is paid when it arrives."""

    arrived: float
    answered: float | None = None
    sender: str = ""  # its address

    def open_until(self, later: Purchase) -> float:
        """When it was surely written down, or bought again."""
        return min(later.arrived, (self.answered or later.arrived) + RECORDED_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Kill:
    at: float
    who: str


@dataclass(slots=True)
class Book:
    """What reached the vendors. `after_s`: how long the answer to a look-up or a PUT takes once its effect is there.

    `on_look_up` is called with the address key when one has had its effect, before the answer goes out.
    """

    after_s: float = 0.0
    purchases: dict[str, list[Purchase]] = field(default_factory=dict)
    on_look_up: Callable[[str], None] = lambda key: None
    hold: Callable[[web.Request], bool] = lambda request: False
    held: int = 0
    _release: asyncio.Event = field(default_factory=asyncio.Event)

    def middleware(self) -> Any:
        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            purchase = None
            if request.path == LOOK_UP:
                key = read_request(parsed(await request.read())).key
                purchase = Purchase(time.monotonic(), sender=request.remote or "")
                self.purchases.setdefault(key, []).append(purchase)
            answer = await handler(request)
            if purchase is not None and answer.status not in (200, 404):
                self.purchases[key].remove(purchase)  # refused: nothing was sold
                purchase = None
            if purchase is not None:
                self.on_look_up(key)
            if self.after_s and (purchase is not None or request.method == "PUT"):
                await asyncio.sleep(self.after_s)
            if self.hold(request):
                self.held += 1
                await self._release.wait()
            if purchase is not None:
                purchase.answered = time.monotonic()
            return answer

        return note

    def hold_when(self, when: Callable[[web.Request], bool]) -> None:
        """Calls that meet it have their effect, but no answer until `release`."""
        self.held, self._release, self.hold = 0, asyncio.Event(), when

    def release(self) -> None:
        self.hold = lambda request: False
        self._release.set()

    def bought_again(self) -> int:
        return sum(len(calls) - 1 for calls in self.purchases.values())

    def unjustified(self, kills: list[Kill], jobs: Iterable[JobView | None]) -> list[str]:
        """Addresses bought again although the buyer was not killed between its call's arrival and its recording.

        Who bought is known from the job: each death that it met names the daemon.
        """
        met = {address_key(job): dead_owners(job) for job in jobs if job is not None}
        return [
            key
            for key, calls in self.purchases.items()
            for first, second in pairwise(calls)
            if not any(
                it.who in met.get(key, ()) and first.arrived <= it.at <= first.open_until(second) for it in kills
            )
        ]


@dataclass(frozen=True, slots=True)
class Reached:
    """Several Redis that act as one; who holds them harms them."""

    url: str


class Stage:
    """Everything of one scenario. Daemons have their own names and folders; ends only what it started."""

    def __init__(
        self,
        folder: Path,
        redis: RedisServer | Reached,
        sandbox: Sandbox,
        book: Book,
        session: aiohttp.ClientSession,
        sections: dict[str, dict[str, Any]],
    ) -> None:
        self.folder, self.redis, self.sandbox, self.book, self.session = folder, redis, sandbox, book, session
        self.sections = sections
        self.kills: list[Kill] = []
        self.daemons: list[DaemonProcess] = []
        self.accepted: dict[str, str] = {}  # contact id -> job id, as the daemon answered
        self.told: deque[tuple[float, bytes, str]] = deque(maxlen=1000)  # monotonic time, body, job id: the last ones
        self.refusals = 0
        self.rng = random.Random(0)

    def daemon(self, name: str = "worker-one", *, redis_url: str = "", **sections: Any) -> DaemonProcess:
        """One that is not started yet."""
        merged = {section: {**values} for section, values in self.sections.items()}
        for section, values in sections.items():
            merged[section] = {**merged.get(section, {}), **values}
        merged["worker"] = {"name": name, **merged.get("worker", {})}
        settings = settings_for(self.sandbox, redis_url or self.redis.url, **merged)
        daemon = DaemonProcess(self.sandbox, self.session, self.folder / name, settings)
        self.daemons.append(daemon)
        return daemon

    async def kill(self, daemon: DaemonProcess) -> None:
        who = daemon.path.parent.name
        self.kills.append(Kill(time.monotonic(), who))
        await daemon.kill()
        self.kills.append(Kill(time.monotonic(), who))  # it ended between the two

    async def restart_redis(self) -> None:
        """kill -9, and started again on its files."""
        assert isinstance(self.redis, RedisServer)
        self.kills.append(Kill(time.monotonic(), "redis"))
        self.redis.kill()
        await asyncio.to_thread(self.redis.start)
        self.kills.append(Kill(time.monotonic(), "redis"))

    async def deliver(self, contact: FakeContact) -> str:
        """An event as HighLevel sends it: the same one again until somebody answers 2xx. The job's id."""
        body = contact_event("ContactCreate", contact)
        headers = signed_headers(body, self.sandbox.keys.sign)
        deadline = time.monotonic() + 120
        while True:
            assert time.monotonic() < deadline, f"nobody took {contact.contact_id}"
            daemon = self.rng.choice([it for it in self.daemons if it.running and it.url] or self.daemons)
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                status, answer, _ = await daemon.post("/webhooks/ghl", body, headers)
                if status in (200, 202):
                    job_id = str(answer["job_id"])
                    self.accepted[contact.contact_id] = job_id
                    self.told.append((time.monotonic(), body, job_id))
                    return job_id
                assert status in (429, 503), (status, answer, daemon.said("request_failed"))
            self.refusals += 1
            await asyncio.sleep(0.05)

    async def deliver_all(self, contacts: list[FakeContact], *, at_once: int = 8) -> None:
        waiting = list(reversed(contacts))

        async def sender() -> None:
            while waiting:
                await self.deliver(waiting.pop())

        await asyncio.gather(*(sender() for _ in range(at_once)))

    @asynccontextmanager
    async def views(self) -> AsyncIterator[Views]:
        async with open_redis(RedisSettings(url=self.redis.url)) as connection:
            yield Views(connection, KEYS)

    async def jobs(self) -> dict[str, JobView | None]:
        """Every accepted contact's job as Redis has it; None where it is lost."""
        async with self.views() as views:
            return {contact: await views.job(job_id) for contact, job_id in self.accepted.items()}

    async def all_done(self, *, within_s: float) -> float:
        """Seconds until nothing waits and nothing runs any more."""
        began = time.monotonic()
        async with self.views() as views:

            async def done() -> bool:
                return not open_jobs(await views.stats())

            await until(done, "all jobs ended", within_s=within_s)
        return time.monotonic() - began

    async def open_jobs(self) -> int:
        async with self.views() as views:
            return open_jobs(await views.stats())

    async def interrupted(self) -> list[str]:
        """The jobs that were in hand when their process died and have not ended since."""
        async with open_redis(RedisSettings(url=self.redis.url)) as connection:
            leased = await connection.execute("ZRANGE", KEYS.lease, 0, -1)
            waiting = await connection.execute("LRANGE", KEYS.suspects, 0, -1)
        return [job_id.decode() for job_id in (*leased, *waiting)]

    async def ended(self, job_ids: list[str], *, within_s: float) -> float:
        """Seconds until these have ended."""
        began, left = time.monotonic(), list(job_ids)
        async with self.views() as views:
            while left:
                assert time.monotonic() < began + within_s, f"{len(left)} jobs did not end within {within_s} s"
                job = await views.job(left[-1])
                if job is None or job.state in ENDED:
                    left.pop()
                else:
                    await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def in_flight(self, daemon: DaemonProcess) -> int:
        """How many jobs a daemon has in hand, or had when it died."""
        async with open_redis(RedisSettings(url=self.redis.url)) as connection:
            ids = await connection.execute("ZRANGE", KEYS.lease, 0, -1)
            tokens = [await connection.execute("HGET", KEYS.job(job_id.decode()), "token") for job_id in ids]
        return sum(token is not None and token.decode().startswith(f"{daemon.path.parent.name}/") for token in tokens)

    def writes(self) -> dict[str, Counter[str]]:
        """What was executed on each contact: method and path."""
        found: dict[str, Counter[str]] = {}
        for call in self.sandbox.ghl.calls:
            if call.contact_id and call.method != "GET":
                what = f"{call.method} {call.path.rpartition(call.contact_id)[2]}".strip()
                found.setdefault(call.contact_id, Counter())[what] += 1
        return found

    def written_twice(self) -> int:
        """Writes beyond the first of their kind on a contact."""
        return sum(count - 1 for counts in self.writes().values() for count in counts.values())

    async def close(self) -> None:
        self.book.release()
        for daemon in self.daemons:
            if daemon.running:
                await daemon.kill()


def open_jobs(stats: Stats) -> int:
    return sum(count for lane in stats.lanes.values() for state, count in lane.items() if state not in ENDED)


def address_key(job: JobView) -> str:
    """As the seller knows the house."""
    assert job.lead is not None
    house, _, street = job.lead.address.line1.partition(" ")
    return f"{house}|{street.upper()}||{job.lead.address.postal_code}"


def dead_owners(job: JobView) -> set[str]:
    """The daemons that died with this job in hand."""
    return {str(entry["by"]).partition("/")[0] for entry in job.timeline if entry["event"] == "stalled"}


def unknown_of(job: JobView) -> int:
    """Unknown purchases that a job shows."""
    return sum(step.unknown for step in job.steps if step.name.startswith("lookup"))


@asynccontextmanager
async def stage(
    folder: Path, *redis_options: str, after_s: float = 0.0, seed: int = 0, **sections: Any
) -> AsyncIterator[Stage]:
    """A Redis, a sandbox and nobody yet; `sections` go into every daemon's configuration."""
    (folder / "redis").mkdir(parents=True)
    with running(folder / "redis", *redis_options) as redis:
        async with stage_on(redis, folder, after_s=after_s, seed=seed, **sections) as scene:
            yield scene


@asynccontextmanager
async def stage_on(
    redis: RedisServer | Reached,
    folder: Path,
    *,
    after_s: float = 0.0,
    seed: int = 0,
    vendors_at: str = "127.0.0.1",
    **sections: Any,
) -> AsyncIterator[Stage]:
    """The same on a Redis that stands already."""
    book = Book(after_s)
    async with (
        new_sandbox(middlewares=[book.middleware()], host=vendors_at) as sandbox,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10), connector=aiohttp.TCPConnector(force_close=True)
        ) as session,
    ):
        scene = Stage(folder, redis, sandbox, book, session, sections)
        scene.rng = random.Random(seed)
        try:
            yield scene
        finally:
            await scene.close()
