"""What `leadenrich status` knows at one moment: from Redis, and from the daemon's /readyz where one answers."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import msgspec

from leadenrich.cli.store_access import Store
from leadenrich.core.job import JobState
from leadenrich.core.times import iso
from leadenrich.daemon.clock import now_ms
from leadenrich.store.daemons import Daemon, Daemons
from leadenrich.store.job_list import Failures, JobQuery
from leadenrich.store.schema import Keys
from leadenrich.store.views import Stats

FAILURES: Final = 5
READY_WITHIN_S: Final = 1.0
HOUR_S: Final = 3600
GONE_S: Final = 86_400  # who has not beaten for a day is forgotten on the screen
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - where a daemon listens


class FailedJob(msgspec.Struct, frozen=True):
    """One of the last that ended in FAILED_FINAL and that nobody cancelled."""

    job_id: str
    contact_id: str
    finished_at: str | None
    reason: str | None
    error: str | None


class Ready(msgspec.Struct, frozen=True):
    """What /readyz of the configured address says; `url` None where none answers."""

    url: str | None = None
    ready: bool = False
    problems: list[str] = []
    notes: dict[str, str] = {}


class Glance(msgspec.Struct, frozen=True):
    """All of it. `credits_budget` is `realestateapi.daily_credits`, 0 for no limit."""

    time: str
    queue: str
    daemons: list[Daemon]
    readyz: Ready
    stats: Stats
    oldest_waiting_seconds: dict[str, float]
    finished_last_minute: int
    finished_last_hour: int
    credits_budget: int
    failures: list[FailedJob]

    def alive(self, lease_s: float) -> list[Daemon]:
        """Those whose beat is not older than two leases: an idle one beats once a lease."""
        return [daemon for daemon in self.daemons if daemon.silent_seconds < 2 * lease_s]


class Looker:
    """Looks as often as it is asked, over one connection to each."""

    def __init__(self, store: Store, session: aiohttp.ClientSession) -> None:
        self._store = store
        self._session = session
        self._daemons = Daemons(store.connection, Keys(store.config.queue.name))

    async def look(self) -> Glance:
        """Raises: StoreUnavailable."""
        views, config = self._store.views, self._store.config
        stats = await views.stats()
        uncancelled = JobQuery(state=JobState.FAILED_FINAL, failure=Failures.NOT_CANCELLED, limit=FAILURES)
        failed = await views.jobs(uncancelled)
        return Glance(
            time=iso(now_ms()),
            queue=config.queue.name,
            daemons=await self._daemons.all(),
            readyz=await self._ready(),
            stats=stats,
            oldest_waiting_seconds={lane.value: seconds for lane, seconds in (await views.oldest_waiting_s()).items()},
            finished_last_minute=await views.finished_within(60),
            finished_last_hour=await views.finished_within(HOUR_S),
            credits_budget=config.realestateapi.daily_credits,
            failures=[FailedJob(job.id, job.contact_id, job.finished_at, job.reason, job.error) for job in failed.jobs],
        )

    async def _ready(self) -> Ready:
        for url in self._urls():
            try:
                async with self._session.get(f"{url}/readyz") as answer:
                    told: dict[str, Any] = await answer.json(content_type=None)
                halves = [(name, told[name]) for name in ("web", "worker") if told.get(name)]
                problems = [f"{name}: {part}: {why}" for name, it in halves for part, why in it["problems"].items()]
                return Ready(url, bool(told["ready"]), problems, dict(told.get("notes", {})))
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError, AttributeError):
                continue  # nobody there, or somebody else
        return Ready()

    def _urls(self) -> list[str]:
        """Of the web half, and of a worker half's own probe."""
        server, listen = self._store.config.server, self._store.config.worker.listen
        urls = [f"http://{_EVERYWHERE.get(server.host, server.host)}:{server.port}"] if server.port else []
        if listen:
            host, _, port = listen.rpartition(":")
            urls.append(f"http://{_EVERYWHERE.get(host, host)}:{port}")
        return urls
