"""The queue's writing verbs: each one script call, each safe to send twice, each fenced where a job is in hand."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from leadenrich.config import QueueSettings
from leadenrich.core.errors import LostLease
from leadenrich.core.job import Claim, Lane, StepRecord
from leadenrich.core.lead import Lead, fingerprint
from leadenrich.core.retry import Bury, Complete, Release, RetryLater
from leadenrich.core.times import iso
from leadenrich.store.batch import Batcher
from leadenrich.store.claims import claim_of
from leadenrich.store.connection import Connection
from leadenrich.store.data_version import agree
from leadenrich.store.details import ERROR_CHARS, detail_of, failure_detail, plain, source_of
from leadenrich.store.errors import JobGone, WrongState
from leadenrich.store.job_id import new_job_id
from leadenrich.store.payload import pack
from leadenrich.store.schema import SCHEMA_VERSION, SEEN_MS, Keys, address_mark, digest, erased_hash
from leadenrich.store.scripts import Script

ENQUEUE_BATCH = 256
COMPLETE_BATCH = 128
PROBE_MS = 30_000

Verb: TypeAlias = Literal["queued", "duplicate", "ignored"]
_Ended: TypeAlias = tuple[Claim, Complete, str]  # and the event's detail

_KIND_OF_LEAD: Mapping[str, str] = {
    "create": "new",
    "api": "new",
    "import": "import",
    "backfill": "import",
    "workflow": "workflow",
    "opportunity": "opportunity",
    "update": "update",
    "tags": "tags",
    "delete": "delete",
}


@dataclass(frozen=True, slots=True)
class Submission:
    """A lead at the door. `delivery_key` names the delivery ("" none): the same one again answers the same job.

    `job_id` is the id of the job that it becomes, "" for a new one: sent again with the same id it is the same job.
    """

    lead: Lead
    lane: Lane = Lane.LIVE
    delivery_key: str = ""
    delivery_window_s: float = 0.0
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of it. `why` says it for `ignored`. `spooled`: it is on our own disk, and Redis will judge it."""

    verb: Verb
    job_id: str | None
    why: str = ""
    spooled: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """Claimed jobs, and when to come again: seconds, None when nothing is due. `hold` names why nothing is given."""

    claims: tuple[Claim, ...]
    next_s: float | None
    hold: Literal["", "paused", "drain", "newer"]


@dataclass(frozen=True, slots=True)
class Lease:
    """Another daemon's hold on a job, as seen: `beat` moves while its owner lives."""

    job_id: str
    beat: float


class Queue:
    """All verbs of one queue for one worker. Every method raises StoreUnavailable.

    `probe_ms` lies between two jobs that try out a provider after an outage.
    """

    def __init__(
        self,
        connection: Connection,
        settings: QueueSettings,
        *,
        worker: str,
        trigger_tags: Sequence[str] = (),
        enrich_unknown_updates: bool = False,
        probe_ms: int = PROBE_MS,
    ) -> None:
        self.keys = Keys(settings.name)
        self.worker = worker
        self.owner = f"{worker}/{secrets.token_hex(4)}"
        self._connection = connection
        self._settings = settings
        self.keep_failed = settings.keep_failed
        self._trigger_tags = tuple(tag.casefold() for tag in trigger_tags)
        self._unknown_updates = "1" if enrich_unknown_updates else "0"
        self._probe_ms = probe_ms
        self._retention_ms = max(1, round(settings.payload_retention * 1000))
        self._scripts: dict[str, Script] = {}
        self._claims = 0  # the number of the last claim
        self._unanswered = False  # its answer did not come: Redis may have given us jobs with it
        self.on_batch: Callable[[int], None] = lambda leads: None  # hears how many leads travelled together
        self.on_newer: Callable[[], Awaitable[None]] = self.open  # when a claim meets data of a newer schema
        self._submit: Batcher[Submission, Receipt] = Batcher(self.submit_all, most=ENQUEUE_BATCH, calls=2, key=_whose)
        self._complete: Batcher[_Ended, str] = Batcher(self._complete_batch, most=COMPLETE_BATCH, calls=2)

    async def open(self) -> None:
        """Writes the schema version and refuses data of a newer one. Raises: StoreRefused."""
        await agree(self._connection, self.keys)

    # --- leads in ------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> Receipt:
        """Takes in one lead; those that wait meanwhile travel together in the next call."""
        return await self._submit(submission)

    async def submit_all(self, batch: Sequence[Submission]) -> list[Receipt]:
        """Takes in leads in their order, all in one call: not more than ENQUEUE_BATCH."""
        self.on_batch(len(batch))
        await self._connection.room.check()
        k, now_ms = self.keys, time.time_ns() // 1_000_000
        keys = [k.wait_live, k.wait_bulk, k.sched, k.wake, k.events, k.counts, k.dead]
        args: list[Any] = [
            k.prefix, SEEN_MS, round(self._settings.dedup_window * 1000), self._unknown_updates,
            self._settings.keep_failed, self._settings.attempts, self._retention_ms,
        ]  # fmt: skip
        for item in batch:
            lead, job_id = item.lead, item.job_id or new_job_id(now_ms)
            dedup = k.dedup(digest(item.delivery_key)) if item.delivery_key else k.dedup("none")
            keys += [dedup, k.seen(lead.location_id, lead.contact_id), k.job(job_id), k.load(job_id)]
            kind = _KIND_OF_LEAD[lead.kind]
            args += [
                job_id, kind, item.lane.value, lead.location_id, lead.contact_id,
                address_mark(fingerprint(lead.address)), lead.event_ms, self._tags(lead), pack(lead),
                round(item.delivery_window_s * 1000) if item.delivery_key else 0,
                erased_hash(lead.location_id, lead.contact_id) if kind == "import" else "",
            ]  # fmt: skip
        return [_receipt(answer) for answer in await self._script("enqueue")(keys, args)]

    def _tags(self, lead: Lead) -> str:
        """The trigger tags that the event carries, as ",a,b,"; "-" when it told no tags."""
        if lead.tags is None:
            return "-"
        held = {tag.casefold() for tag in lead.tags}
        return "," + "".join(f"{tag}," for tag in self._trigger_tags if tag in held)

    # --- work ----------------------------------------------------------------------------------------------------

    async def claim(self, want: int, *, running: int) -> Grant:
        """Up to `want` jobs, while `running` run here. One call at a time. Raises: what `on_newer` does."""
        k = self.keys
        self._claims += not self._unanswered
        self._unanswered = True
        jobs, next_ms, hold = await self._script("claim")(
            [k.wait_live, k.wait_bulk, k.suspects, k.sched, k.lease, k.wake, k.events, k.counts, k.meta, k.workers],
            [k.prefix, self.owner, want, running, self._claims, round(self._settings.lease * 1000), self._probe_ms,
             SCHEMA_VERSION],
        )  # fmt: skip
        self._unanswered = False
        if hold == b"late":  # the claim before ours is not known (a failover lost it): we count anew
            self._claims = 0
            return await self.claim(want, running=running)
        if hold == b"newer":
            await self.on_newer()
        next_s = None if int(next_ms) < 0 else int(next_ms) / 1000
        return Grant(tuple(claim_of(job) for job in jobs), next_s, hold.decode())

    async def is_empty(self) -> bool:
        """Whether no job waits, now or for its time: one command, where a claim that finds none costs eight."""
        waiting = (self.keys.wait_live, self.keys.wait_bulk, self.keys.suspects, self.keys.sched)
        return not await self._connection.execute("EXISTS", *waiting)

    async def peek(self, job_id: str) -> Claim | None:
        """A job as it stands, to tell about it; its token proves nothing. None when it is gone."""
        pipeline = self._connection.pipeline()
        names = ("lane", "location", "contact", "tries", "max", "stalls", "created")
        pipeline.hmget(self.keys.job(job_id), *names)
        pipeline.get(self.keys.load(job_id))
        (lane, location, contact, tries, most, stalls, created), payload = await self._connection.flush(pipeline)
        if lane is None:
            return None
        return claim_of(
            [job_id.encode(), b"", lane, location, contact, tries or 0, most, stalls or 0, b"0", b"0", created, b"1",
             payload or b"", []]
        )  # fmt: skip

    async def wait(self, timeout_s: float) -> bool:
        """Sleeps in Redis until a marker is there; True when one was taken. Never cancel it: it may hold the marker."""
        return await self._connection.block("BZPOPMIN", self.keys.wake, timeout_s, within_s=timeout_s) is not None

    async def stop_waiting(self) -> None:
        """Ends a `wait` under way."""
        await self._connection.unblock()

    async def poke(self) -> None:
        """Wakes one sleeping worker."""
        await self._connection.execute("ZADD", self.keys.wake, 0, "m")

    async def extend(self, claims: Sequence[Claim], about: str = "") -> set[str]:
        """One beat for all jobs in hand; answers the ids whose lease is no longer ours."""
        pairs = [part for claim in claims for part in (claim.job_id, claim.token)]
        k, beat = self.keys, f"{time.time_ns() // 1_000_000}|{about}"
        lost = await self._script("extend")([k.lease, k.workers], [k.prefix, self.worker, beat, *pairs])
        return {job_id.decode() for job_id in lost}

    async def last_beat(self) -> tuple[int, str] | None:
        """When a daemon of this worker's name beat last, by its own clock in ms, and what it said about itself."""
        value = await self._connection.execute("HGET", self.keys.workers, f"beat:{self.worker}")
        if value is None:
            return None
        at, _, about = value.decode().partition("|")
        return int(at), about

    async def complete(self, claim: Claim, ending: Complete, detail: Mapping[str, Any] | None = None) -> None:
        """Raises: LostLease."""
        _held(await self._complete((claim, ending, detail_of(detail or {}))), claim)

    async def _complete_batch(self, batch: Sequence[_Ended]) -> list[str]:
        k = self.keys
        keys = [k.lease, k.done, k.events, k.counts, k.sched, k.wake]
        args: list[Any] = [k.prefix, self._settings.keep_succeeded, self._retention_ms]
        for claim, ending, detail in batch:
            keys += [k.job(claim.job_id), k.steps(claim.job_id), k.load(claim.job_id)]
            args += [claim.job_id, claim.token, ending.outcome.value, ",".join(ending.codes), ending.note, detail]
        return [word.decode() for word in await self._script("complete")(keys, args)]

    async def retry_later(self, claim: Claim, ending: RetryLater) -> None:
        """Raises: LostLease."""
        k, job_id = self.keys, claim.job_id
        word = await self._script("retry_later")(
            [k.job(job_id), k.lease, k.sched, k.events, k.counts, k.timeline(job_id), k.wake],
            [claim.token, job_id, round(ending.delay_s * 1000), ending.failure.error[:ERROR_CHARS],
             failure_detail(ending.failure, delay_s=round(ending.delay_s, 3))],
        )  # fmt: skip
        _held(word.decode(), claim)

    async def bury(self, claim: Claim, ending: Bury) -> None:
        """Raises: LostLease."""
        k, job_id = self.keys, claim.job_id
        outcome = ending.outcome.value if ending.outcome else ""
        word = await self._script("bury")(
            [k.job(job_id), k.lease, k.dead, k.events, k.counts, k.timeline(job_id), k.sched, k.wake, k.load(job_id),
             k.steps(job_id)],
            [k.prefix, claim.token, job_id, ending.reason.value, outcome, ",".join(ending.codes),
             ending.failure.error[:ERROR_CHARS], failure_detail(ending.failure, reason=ending.reason.value),
             self._settings.keep_failed, self._retention_ms],
        )  # fmt: skip
        _held(word.decode(), claim)

    async def release(self, claim: Claim, ending: Release, *, provider: str = "") -> bool:
        """Hands the job back; False when it was throttled for too long and must be buried. Raises: LostLease.

        `provider` is the one it waits for: resuming that one lets the job go on before its time.
        """
        k, job_id, error = self.keys, claim.job_id, ending.failure.error[:ERROR_CHARS]
        until = {"until": iso(ending.until_ms)} if ending.until_ms else {}
        word = await self._script("release")(
            [k.job(job_id), k.lease, k.sched, k.wait(claim.lane.value), k.events, k.counts, k.timeline(job_id), k.wake,
             k.suspects],
            [claim.token, job_id, ending.why, ending.until_ms or 0, round(self._settings.throttle_deadline * 1000),
             detail_of({"why": ending.why, "error": error, **source_of(ending.failure), **until}),
             "" if ending.why in ("shutdown", "no_slot") else error, provider],
        )  # fmt: skip
        if word == b"too_long":
            return False
        _held(word.decode(), claim)
        return True

    async def checkpoint(
        self,
        claim: Claim,
        name: str,
        *,
        result: bytes | None = None,
        cached: bool = False,
        credits: int = 0,
        paid: bool = False,
    ) -> StepRecord:
        """Writes a step's intent (no `result`) or its result, proving the lease.

        `paid`: an earlier intent that never got a result is counted as an unknown purchase. Raises: LostLease.
        """
        k, job_id = self.keys, claim.job_id
        word, started, unknown = await self._script("checkpoint")(
            [k.job(job_id), k.steps(job_id), k.counts],
            [claim.token, job_id, name, "intent" if result is None else "result", int(cached), credits, result or b"",
             int(paid)],
        )  # fmt: skip
        _held(word.decode(), claim)
        ended = int(started) if result is not None else None
        return StepRecord(name, int(started), ended, cached, credits, result, unknown=int(unknown))

    async def withdraw(self, claim: Claim, name: str) -> None:
        """Takes back a step's intent: its effect surely did not happen. Raises: LostLease."""
        k, job_id = self.keys, claim.job_id
        word, *_ = await self._script("checkpoint")(
            [k.job(job_id), k.steps(job_id), k.counts], [claim.token, job_id, name, "withdraw", 0, 0, b"", 0]
        )
        _held(word.decode(), claim)

    # --- the leases of others ------------------------------------------------------------------------------------

    async def leases(self) -> list[Lease]:
        """Every job being worked on, by whomever; at most 5,000."""
        pairs = await self._connection.execute("ZRANGE", self.keys.lease, 0, 4999, "WITHSCORES")
        if pairs and not isinstance(pairs[0], list | tuple):
            pairs = zip(pairs[::2], pairs[1::2], strict=True)
        return [Lease(job_id.decode(), float(score)) for job_id, score in pairs]

    async def reclaim(self, job_id: str, beat: float | None) -> Literal["reclaimed", "condemned", "alive", "missing"]:
        """Takes a job back whose beat stood still; with None, one of an earlier boot of this worker."""
        k = self.keys
        word = await self._script("reclaim")(
            [k.job(job_id), k.lease, k.suspects, k.dead, k.events, k.counts, k.timeline(job_id), k.sched, k.wake,
             k.load(job_id), k.steps(job_id)],
            [k.prefix, job_id, "" if beat is None else repr(beat), self.owner, self._settings.max_stalled,
             self._settings.keep_failed, self._retention_ms, secrets.token_hex(8)],
        )  # fmt: skip
        answer: Literal["reclaimed", "condemned", "alive", "missing"] = word.decode()
        return answer

    async def takeover(self) -> dict[str, str]:
        """Takes back what an earlier boot of this worker left behind; id -> reclaimed | condemned."""
        words = {lease.job_id: await self.reclaim(lease.job_id, None) for lease in await self.leases()}
        return {job_id: word for job_id, word in words.items() if word in ("reclaimed", "condemned")}

    # --- operators -----------------------------------------------------------------------------------------------

    async def cancel(self, job_id: str, *, by: str) -> None:
        """Raises: JobGone, WrongState."""
        k = self.keys
        word = await self._script("cancel")(
            [k.job(job_id), await self._seen_by(job_id), k.sched, k.dead, k.events, k.counts, k.wake],
            [k.prefix, job_id, plain(by), self._settings.keep_failed, self._retention_ms, secrets.token_hex(8)],
        )
        _fits(word.decode(), job_id)

    async def revive(self, job_id: str, *, by: str) -> None:
        """A failed job again, from its last good step. Raises: JobGone, WrongState."""
        k, seen = self.keys, await self._seen_by(job_id)
        lane = await self._connection.execute("HGET", k.job(job_id), "lane")
        word = await self._script("revive")(
            [k.job(job_id), k.wait((lane or b"live").decode()), k.sched, k.dead, k.events, k.counts, k.timeline(job_id),
             k.wake, k.load(job_id), k.steps(job_id), seen],
            [k.prefix, job_id, plain(by), secrets.token_hex(8), SEEN_MS],
        )  # fmt: skip
        _fits(word.decode(), job_id)

    async def _seen_by(self, job_id: str) -> str:
        """The key of what is known of the job's contact. Raises: JobGone."""
        location, contact = await self._connection.execute("HMGET", self.keys.job(job_id), "location", "contact")
        if contact is None:
            raise JobGone(job_id)
        return self.keys.seen(location.decode(), contact.decode())

    def _script(self, name: str) -> Script:
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = Script(self._connection, name)
        return script


def _whose(submission: Submission) -> tuple[str, str]:
    return submission.lead.location_id, submission.lead.contact_id


def _receipt(answer: Sequence[bytes]) -> Receipt:
    verb, text = answer[0].decode(), answer[1].decode()
    if verb == "ignored":
        return Receipt("ignored", None, text)
    return Receipt("queued" if verb == "queued" else "duplicate", text)


def _held(word: str, claim: Claim) -> None:
    if word != "ok":
        raise LostLease(f"job {claim.job_id}: {word}")


def _fits(word: str, job_id: str) -> None:
    if word == "missing":
        raise JobGone(job_id)
    if word != "ok":
        raise WrongState(word)
