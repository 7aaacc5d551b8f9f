"""Every point of a lead's way at which its process can die, hit exactly, and what must hold afterwards.

The product knows nothing of this: calls between the daemon and Redis are cut on the wire, calls to the vendors are
held once they had their effect, and then the process is killed with kill -9.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from daemon_process import ENDED, LOOK_UP, people, until

from chaos.stage import ALWAYS, Stage, stage, unknown_of
from chaos.wire import Cut, Wire, wire_to
from leadenrich.sandbox.crm import FakeContact
from leadenrich.sandbox.faults import Fault, Match
from leadenrich.store.views import JobView

LEASE_S = 1.0
TAKEN_OVER_WITHIN_S = LEASE_S + 5.0

Held = Callable[[web.Request], bool]


def _look_up(request: web.Request) -> bool:
    return request.path == LOOK_UP


def _fields(request: web.Request) -> bool:
    return request.method == "PUT"


def _tags(request: web.Request) -> bool:
    return request.method == "POST" and request.path.endswith("/tags")


def _note(request: web.Request) -> bool:
    return request.method == "POST" and request.path.endswith("/notes")


@dataclass(frozen=True, slots=True)
class Point:
    """One crash point. Either `cut` or `held` says when; `paid` and `unknown` are what it may cost at most.

    `first`: what the job goes through before the point: a vendor's error, SIGTERM, or the death of its process.
    `after_answer`: the kill waits until the sender has its answer.
    """

    name: str
    told: str
    cut: Cut | None = None
    held: Held | None = None
    first: Literal["", "error", "term", "kill"] = ""
    after_answer: bool = False
    paid: int = 1
    unknown: int = 0


INTENT = (b"lookup", b"intent")
RESULT = (b"lookup", b"result")
POINTS = (
    Point("C1", "before the lead is kept", Cut("enqueue")),
    Point("C2", "the lead is kept, its sender not answered", Cut("enqueue", late=True)),
    Point("C3", "answered, not claimed", Cut("claim"), after_answer=True),
    Point("C4", "claimed, nothing done", Cut("claim", late=True, answer=b"Contact")),
    Point("C5a", "before the intent to buy is written", Cut("checkpoint", INTENT)),
    Point("C5b", "intent written, look-up not sent", Cut("checkpoint", INTENT, late=True), unknown=1),
    Point("C6", "look-up sent, its answer not read", held=_look_up, paid=2, unknown=1),
    Point("C7a", "answer read, not kept", Cut("settle"), paid=2, unknown=1),
    Point("C7b", "answer kept for all, not for the job", Cut("checkpoint", RESULT), unknown=1),
    Point("C8", "result recorded, HighLevel not called", Cut("checkpoint", RESULT, late=True)),
    Point("C9a", "fields written, the answer lost", held=_fields),
    Point("C9b", "tags added, the answer lost", held=_tags),
    Point("C9c", "note posted, the answer lost", held=_note),
    Point("C10", "all written, not completed", Cut("complete")),
    Point("C11", "completed, not told in the log", Cut("complete", late=True)),
    Point("C12a", "before a try is put off", Cut("retry_later"), first="error"),
    Point("C12b", "a try is put off", Cut("retry_later", late=True), first="error"),
    Point("C12c", "before a job is handed back", Cut("release"), first="term", paid=2, unknown=1),
    Point("C12d", "a job is handed back", Cut("release", late=True), first="term", paid=2, unknown=1),
    Point("C12e", "before a dead boot's job is taken over", Cut("reclaim"), first="kill", paid=2, unknown=1),
    Point("C12f", "a dead boot's job is taken over", Cut("reclaim", late=True), first="kill", paid=2, unknown=1),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one crash left: `wrong` is empty where everything held. `again_s`: from READY again to the job's end."""

    point: str
    again_s: float
    paid: int
    unknown: int
    written: int
    wrong: tuple[str, ...]


class Matrix:
    """One world for many crashes: the restart after one is the start of the next."""

    def __init__(self, scene: Stage, wire: Wire) -> None:
        self.scene, self.wire = scene, wire
        self.daemon = scene.daemon(redis_url=wire.url)
        self._contacts = 0
        self._ready_at = 0.0

    async def crash(self, point: Point) -> Seen:
        if not self.daemon.running:
            await self.daemon.start()
        [contact] = people(self.scene.sandbox, 1, start=self._contacts)
        self._contacts += 1
        delivery = asyncio.create_task(self.scene.deliver(contact))
        try:
            await self._die(point, delivery)
            self.scene.book.release()
            await self.daemon.start()
            self._ready_at = time.monotonic()
            job_id = await asyncio.wait_for(delivery, 20)
        finally:
            delivery.cancel()
            self.wire.disarm()
        return await self._judged(point, contact, job_id)

    async def _die(self, point: Point, delivery: asyncio.Task[str]) -> None:
        async def kill() -> None:
            if point.after_answer:
                await asyncio.wait([delivery])
            await self.scene.kill(self.daemon)

        if point.cut is None:
            assert point.held is not None
            await self._held(point.held)
            await kill()
            return
        if point.first == "error":
            self.scene.sandbox.faults.add(Fault("server_error"), match=Match(path=LOOK_UP))
        elif point.first in ("term", "kill"):
            await self._held(_look_up)
        if point.first == "kill":
            await self.scene.kill(self.daemon)
        met = self.wire.arm(point.cut, kill)
        if point.first == "kill":
            await self.daemon.spawn()
        elif point.first == "term":
            self.daemon.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(met.wait(), 20)
        except TimeoutError:
            raise AssertionError(
                f"{point.name} was not reached; the daemon said:\n{''.join(self.daemon.text)}"
            ) from None

    async def _held(self, when: Held) -> None:
        self.scene.book.hold_when(when)
        await until(lambda: self.scene.book.held, "the call is held", within_s=10)

    async def _judged(self, point: Point, contact: FakeContact, job_id: str) -> Seen:
        async with self.scene.views() as views:

            async def ended() -> JobView | None:
                job = await views.job(job_id)
                return job if job is not None and job.state in ENDED else None

            job: JobView = await until(ended, f"{point.name}: the job ended", within_s=20)
            total = (await views.stats()).totals["unknown_purchases"]
        again_s = time.monotonic() - self._ready_at
        written: dict[str, int] = self.scene.writes().get(contact.contact_id, Counter())
        paid = self.scene.sandbox.rea.paid[self._key(contact)]
        unknown = unknown_of(job)
        tries = (job.attempts_made, job.stalled_count)
        facts = {
            f"{job.state} {job.outcome}": (job.state, job.outcome) == ("SUCCEEDED", "QUALIFIED"),
            f"executed {dict(written)}": written == {"PUT": 1, "POST /tags": 1, "POST /notes": 1},
            f"{len(contact.notes)} notes": len(contact.notes) == 1,
            f"paid {paid}": 1 <= paid <= point.paid,
            f"unknown {unknown}": unknown == point.unknown,
            f"unknown in all {total}": total >= unknown,
            f"attempts, stalls {tries}": tries == (2 if point.name == "C12b" else 1, 0),
            f"ended after {again_s:.1f} s": again_s <= TAKEN_OVER_WITHIN_S,
        }
        wrong = tuple(f"{point.name} ({point.told}): {fact}" for fact, holds in facts.items() if not holds)
        return Seen(point.name, again_s, paid, unknown, sum(written.values()), wrong)

    @staticmethod
    def _key(contact: FakeContact) -> str:
        house, _, _ = str(contact.details["address1"]).partition(" ")
        return f"{house}|MAPLE ST||62704"


@asynccontextmanager
async def matrix(folder: Path) -> AsyncIterator[Matrix]:
    """On a real Redis with `appendfsync always`."""
    sections: dict[str, Any] = {"queue": {"lease": LEASE_S}, "worker": {"shutdown_grace": 0.1}, "ghl": {"notes": True}}
    async with stage(folder, *ALWAYS, **sections) as scene, wire_to(scene.redis.port) as wire:
        yield Matrix(scene, wire)
