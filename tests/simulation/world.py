"""One seed: a world made, run through its storms into the calm, and held against what must be true at its end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import structlog

from leadenrich.config import QueueSettings, RealEstateApiSettings
from leadenrich.core.address import warm
from leadenrich.store.errors import StoreUnavailable
from leadenrich.store.queue import Receipt, Submission
from leadenrich.store.schema import Keys
from simulation.clock import VirtualLoop, VirtualTime
from simulation.daemon import Setting, SimulatedDaemon
from simulation.people import People
from simulation.redis import SimulatedRedis
from simulation.vendors import Vendors, Weather

QUIET_LOOK_S = 5.0
OVERTIME_S = 2 * 3600.0 + 1200  # a due time can be an hour off after a jump of the clock, twice after a jump back


@dataclass(frozen=True, slots=True)
class Boot:
    """A life of a daemon. `owner` is what its leases are signed with; `gone_at`: when it was killed or had ended."""

    daemon: SimulatedDaemon
    owner: str
    gone_at: float | None = None


class World:
    """All that a seed draws. `minutes` until the calm, of which the last third is without faults."""

    def __init__(self, seed: int, *, minutes: float = 10.0, changes: int | None = None) -> None:
        self.seed = seed
        self.rng = Random(f"{seed}/world")
        self.clock = VirtualTime(Random(f"{seed}/secrets"))
        self.loop = VirtualLoop(self.clock, Random(f"{seed}/order"))
        self.end_at = self.clock.now + minutes * 60
        self.calm_at = self.clock.now + minutes * 40
        self.log: list[str] = []
        self.boots: list[Boot] = []
        self.starts: dict[str, list[float]] = {}
        rng = self.rng
        self.changes = changes if changes is not None else rng.randrange(12, 30)
        self.contacts = rng.randrange(4, 12)
        self.jumps = rng.random() < 0.25
        self.setting = Setting(
            QueueSettings(lease=30.0, dedup_window=rng.choice((60.0, 86_400.0))),
            RealEstateApiSettings(daily_credits=0, cache_ttl=604_800.0),
            concurrency=rng.choice((1, 3, 5)),
            duplicates=rng.random() < 0.5,
            jitter=rng.choice((0.0, 0.3)),
        )
        self.redis = SimulatedRedis(self.clock, rng)
        weather = Weather(
            rng, self.clock, calm_at=self.calm_at, storms=rng.randrange(5), wildness=rng.choice((0.0, 0.03, 0.15))
        )
        self.vendors = Vendors(self.clock, rng, weather)
        self.people = People(self.clock, rng, self.vendors, self.deliver)
        self.keys = Keys(self.setting.queue.name)
        self._live: dict[str, SimulatedDaemon] = {}

    def run(self) -> None:
        """Raises: AssertionError, when it does not come to rest."""
        with self.clock.installed(), _silent():
            try:
                self.loop.run_until_complete(self._run())
            finally:
                self._close()

    @property
    def fingerprint(self) -> str:
        """Of everything that happened, in its order."""
        return hashlib.sha256("\n".join(self.log).encode()).hexdigest()[:16]

    # --- what happens ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        names = [f"host{number}:8080" for number in range(self.rng.randrange(1, 4))]
        for name in names:
            self._boot(name)
        self.redis.trouble = self.rng.choice((0.0, 0.005, 0.03))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._change_until_calm())
            for name in names:
                group.create_task(self._kill_and_restart(name))
            group.create_task(self._outages())
            if self.jumps:
                group.create_task(self._jump())
        self.redis.trouble = 0.0
        self.note("calm")
        await self._rest()
        self.note("quiet")
        for daemon in self._live.values():
            daemon.end()
            await daemon.gone()

    async def _change_until_calm(self) -> None:
        await self.people.act(self.changes, until=self.calm_at, contacts=self.contacts)

    def _boot(self, name: str) -> None:
        boot = sum(1 for it in self.boots if it.daemon.name == name) + 1
        rng = Random(f"{self.seed}/{name}/{boot}")
        daemon = SimulatedDaemon(name, boot, self.loop, self.redis, self.vendors, self.setting, rng, self.tell)
        self._live[name] = daemon
        self.boots.append(Boot(daemon, daemon.queue.owner))
        self.note("boot", daemon.tag)

    async def _kill(self, daemon: SimulatedDaemon, *, unheard: bool) -> None:
        self._note_gone(daemon)
        await daemon.kill(unheard=unheard)

    def _note_gone(self, daemon: SimulatedDaemon) -> None:
        at = next(at for at, boot in enumerate(self.boots) if boot.daemon is daemon)
        self.boots[at] = replace(self.boots[at], gone_at=self.clock.now)

    async def _kill_and_restart(self, name: str) -> None:
        """By seed: never, or now and then, with a word or without one."""
        pace_s = self.rng.choice((1e9, 150.0, 60.0))
        while (wait_s := self.rng.expovariate(1 / pace_s)) < self.calm_at - self.clock.now - 60:
            await asyncio.sleep(wait_s)
            daemon = self._live.pop(name)
            if self.rng.random() < 0.7:
                self.note("kill -9", daemon.tag)
                await self._kill(daemon, unheard=self.rng.random() < 0.3)
            else:
                self.note("terminate", daemon.tag)
                daemon.end()
                await daemon.gone()
                self._note_gone(daemon)
            # What a killed process had sent is still carried out; no service manager is quicker than that.
            await asyncio.sleep(self.rng.choice((2.5, 5.0, 20.0, 50.0)))
            self._boot(name)

    async def _outages(self) -> None:
        """Redis is restarted now and then; it is away for less than a lease."""
        for _ in range(self.rng.choice((0, 0, 1, 3))):
            left_s = self.calm_at - self.clock.now - 30
            if left_s < 0:
                return
            await asyncio.sleep(self.rng.uniform(0, left_s))
            self.note("redis down")
            self.redis.go_down()
            await asyncio.sleep(self.rng.choice((0.2, 3.0, 12.0, 20.0)))
            self.redis.come_back()
            self.note("redis up")

    async def _jump(self) -> None:
        for _ in range(self.rng.randrange(1, 6)):
            await asyncio.sleep(self.rng.uniform(0, max(0.0, self.calm_at - self.clock.now) / 2))
            which = self.rng.choice(("redis_jump_s", "redis_jump_s", "hosts_jump_s"))
            setattr(self.clock, which, self.rng.choice((-3600.0, 0.0, 3600.0)))
            self.note(which, str(getattr(self.clock, which)))

    async def deliver(self, submission: Submission) -> Receipt:
        """As HighLevel does: again and again, to whichever daemon answers, until one says that it has it."""
        while True:
            names = sorted(name for name, daemon in self._live.items() if not daemon.ended)
            if names:
                daemon = self._live[self.rng.choice(names)]
                asked = daemon.spawn(daemon.queue.submit(submission))
                await asyncio.wait([asked])
                if not asked.cancelled():
                    error = asked.exception()
                    if error is None:
                        receipt: Receipt = asked.result()
                        self.note(
                            "answer",
                            submission.delivery_key,
                            *_told(submission),
                            receipt.verb,
                            receipt.job_id or receipt.why,
                        )
                        return receipt
                    if not isinstance(error, StoreUnavailable | ConnectionAbortedError):
                        raise error
            await asyncio.sleep(self.rng.choice((1.0, 4.0)))

    async def _rest(self) -> None:
        """Until every event is answered and nothing waits or is worked on."""
        while self.clock.now < self.end_at or self.people.sending or self.busy():
            assert self.clock.now < self.end_at + OVERTIME_S, f"does not come to rest: {self.busy()}"
            await asyncio.sleep(QUIET_LOOK_S)

    def busy(self) -> dict[str, list[bytes]]:
        """What waits or is worked on, by key."""
        lists = {key: self.redis.execute("LRANGE", key, 0, -1) for key in self._lists()}
        zsets = {key: self.redis.execute("ZRANGE", key, 0, -1) for key in (self.keys.sched, self.keys.lease)}
        return {key: members for key, members in {**lists, **zsets}.items() if members}

    def _lists(self) -> tuple[str, ...]:
        return (self.keys.wait_live, self.keys.wait_bulk, self.keys.suspects)

    # --- what is heard ---------------------------------------------------------------------------------------------

    def tell(self, tag: str, event: str, job_id: str, more: dict[str, Any]) -> None:
        if event == "started":
            self.starts.setdefault(job_id, []).append(self.clock.now)
        told = {
            name: more[name] for name in ("reason", "outcome", "error", "why", "word", "provider") if more.get(name)
        }
        self.note(event, tag, job_id, repr(told))

    def note(self, *words: str) -> None:
        self.log.append(f"{self.clock.now - 1000:10.4f} " + " ".join(words))

    def _close(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=1))
        self.loop.close()


class Scene(World):
    """A world in which nothing happens but what `play` does: then it comes to rest. One job at a time a daemon."""

    def __init__(self, play: Callable[[Scene], Awaitable[None]]) -> None:
        super().__init__(1, minutes=0.0)
        self.setting = replace(self.setting, concurrency=1, duplicates=False)
        self._play = play

    def boot(self, name: str) -> SimulatedDaemon:
        self._boot(name)
        return self._live[name]

    async def kill(self, daemon: SimulatedDaemon, *, unheard: bool) -> None:
        del self._live[daemon.name]
        await self._kill(daemon, unheard=unheard)

    async def _run(self) -> None:
        await self._play(self)
        await self._rest()


def _told(submission: Submission) -> tuple[str, ...]:
    lead = submission.lead
    return lead.kind, lead.contact_id, str(lead.event_ms % 10_000_000), lead.address.line1 or "-"


@contextmanager
def _silent() -> Iterator[None]:
    """Thousands of worlds have nothing to say to the terminal."""
    warm()
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)
