"""A person leaves: everything that Redis holds of a contact is removed, and what cannot be is said.

What stays holds nobody's data: totals, and the marks of deliveries (a hash and a job's id, for their window), which
keep a delivery that is sent again from bringing the person back. A hash of the contact says when it was erased: whoever
imports it anew is not answered by such a mark.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from redis.exceptions import ResponseError

from leadenrich.core.address import AddressRejected, long_form, normalise
from leadenrich.core.job import JobState
from leadenrich.core.lead import Lead
from leadenrich.store.connection import Connection
from leadenrich.store.errors import StoreDenied
from leadenrich.store.job_id import new_job_id
from leadenrich.store.job_list import PAGE_MAX, JobList, JobQuery
from leadenrich.store.job_view import JobView
from leadenrich.store.schema import SEEN_MS, SIGHTINGS, Keys, digest, record_key, sighting_digest, sighting_key
from leadenrich.store.scripts import Script
from leadenrich.store.switches import Switches

SELLER: Final = "realestateapi"
LOOKS_MAX: Final = 10  # events of the contact may still come in; who sends ten in a row is not done
PART: Final = 500
_TEXT_CHARS_MIN: Final = 5  # shorter ones are words of other people's entries too


class AtWork(Exception):
    """A job of the contact is worked on now: nothing was removed."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} of this contact is worked on")
        self.job_id = job_id


class StillComing(Exception):
    """New jobs of the contact came in as fast as they were removed."""


class Erased(msgspec.Struct):
    """How much was removed. `events` and `actions` are entries of the events stream and of the audit log.

    `searched` is False where this Redis user may not look through the keys: then only addresses that the contact's
    kept leads tell were found. `pauses` are those whose reason names the contact; they are left as they are.
    """

    jobs: int = 0
    contacts: int = 0
    sightings: int = 0
    records: int = 0
    events: int = 0
    actions: int = 0
    searched: bool = True
    pauses: list[str] = []

    @property
    def nothing(self) -> bool:
        """Whether nothing was kept of the contact."""
        return not (self.jobs or self.contacts or self.sightings or self.records or self.events or self.actions)


@dataclass(slots=True)
class _Traces:
    """What a contact may be named by, and the addresses it had: whole, and hashed as keys have them."""

    contact_id: str
    words: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    hashes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.words.add(self.contact_id.casefold())

    def of(self, jobs: Iterable[JobView]) -> None:
        for job in jobs:
            self.places.add(job.location_id)
            if job.lead:
                self._of_lead(job.lead)

    def _of_lead(self, lead: Lead) -> None:
        told = (
            lead.name,
            f"{lead.first_name} {lead.last_name}",
            lead.email,
            lead.phone,
            lead.address.line1,
            lead.address.full,
        )
        self.words |= {text.strip().casefold() for text in told if len(text.strip()) >= _TEXT_CHARS_MIN}
        try:
            address = normalise(lead.address)
        except AddressRejected:
            return
        spelled = (address, long_form(address))
        self.addresses |= {it.key for it in spelled if it is not None}

    def named_in(self, text: bytes) -> bool:
        told = text.decode("utf-8", "replace").casefold()
        return any(word in told for word in self.words)


class Erasure:
    """Of one queue. Every method raises StoreUnavailable."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._list = JobList(connection, keys)
        self._erase = Script(connection, "erase")

    async def jobs(self, contact_id: str, location_id: str | None) -> list[JobView]:
        """All jobs of the contact, in every state; of one location, or of all."""
        query = JobQuery(contact=contact_id, location=location_id, limit=PAGE_MAX)
        found: dict[str, JobView] = {}
        while True:
            page = await self._list.page(query)
            found |= {job.id: job for job in page.jobs}
            if page.next_cursor is None:
                return list(found.values())
            query = msgspec.structs.replace(query, cursor=page.next_cursor)

    async def erase(self, contact_id: str, locations: Sequence[str], location_id: str | None) -> Erased:
        """Removes it all. `locations` are where it may be remembered without a job. Raises: AtWork, StillComing.

        Waiting jobs end with it. Cut off in the middle it may be run again.
        """
        erased, traces = Erased(), _Traces(contact_id, places=set(locations))
        for _ in range(LOOKS_MAX):
            jobs = await self.jobs(contact_id, location_id)
            if busy := next((job.id for job in jobs if job.state == JobState.PROCESSING), None):
                raise AtWork(busy)
            traces.of(jobs)
            traces.addresses |= await self._asked_for(jobs)
            await self._remove(contact_id, traces.places, jobs, erased)
            if not jobs:
                break
        else:
            raise StillComing
        await self._unsee(traces, erased)
        await self._unbuy(traces, erased)
        erased.events = await self._purge(self._keys.events, traces)
        erased.actions = await self._purge(self._keys.audit, traces)
        pauses = await Switches(self._connection, self._keys).all()
        erased.pauses = [name or "queue" for name, it in pauses.items() if traces.named_in(it.reason.encode())]
        return erased

    async def _asked_for(self, jobs: Sequence[JobView]) -> set[str]:
        """The addresses that unfinished runs were about to buy, which may have been read from the contact."""
        pipeline = self._connection.pipeline()
        for job in jobs:
            pipeline.hget(self._keys.steps(job.id), "address:result")
        answers = await self._connection.flush(pipeline) if jobs else []
        return {msgspec.json.decode(answer)["key"] for answer in answers if answer}

    async def _remove(self, contact_id: str, places: Iterable[str], jobs: Sequence[JobView], erased: Erased) -> None:
        k = self._keys
        for place in sorted(places):
            ids = sorted((job.id for job in jobs if job.location_id == place), reverse=True)  # from its row's end
            word, *told = await self._erase(
                [
                    k.seen(place, contact_id),
                    k.sched,
                    k.done,
                    k.dead,
                    k.events,
                    k.counts,
                    k.wake,
                    k.erased(place, contact_id),
                ],
                [k.prefix, new_job_id(time.time_ns() // 1_000_000), SEEN_MS, *ids],
            )
            if word == b"busy":
                raise AtWork(told[0].decode())
            erased.jobs += told[0]
            erased.contacts += told[1]

    async def _unsee(self, traces: _Traces, erased: Erased) -> None:
        """Out of the lists of who had an address, and the addresses remembered by their hashes."""
        names = {sighting_key(place, address) for place in traces.places for address in traces.addresses}
        try:
            names |= {name async for name in self._scan(f"{SIGHTINGS}*")}
        except (ResponseError, StoreDenied, ValueError):  # not allowed to; of a Cluster no single server could tell
            erased.searched = False
        traces.hashes |= {digest(address) for address in traces.addresses}
        listed = sorted(names)
        for first in range(0, len(listed), PART):
            part, pipeline = listed[first : first + PART], self._connection.pipeline()
            for name in part:
                pipeline.zrem(name, traces.contact_id)
            for name, removed in zip(part, await self._connection.flush(pipeline), strict=True):
                if removed:
                    erased.sightings += 1
                    traces.hashes.add(sighting_digest(name))

    async def _scan(self, pattern: str) -> AsyncIterator[str]:
        cursor = 0
        while True:
            answer = await self._connection.execute("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            for name in answer[1]:
                yield name.decode()
            if (cursor := int(answer[0])) == 0:
                return

    async def _unbuy(self, traces: _Traces, erased: Erased) -> None:
        """The bought records tell who owns the house. Another contact who comes with it has it bought again."""
        for hashed in sorted(traces.hashes):
            erased.records += await self._connection.execute("DEL", record_key(SELLER, hashed))

    async def _purge(self, stream: str, traces: _Traces) -> int:
        """Takes out the entries that name the contact. One of the events stream holds up to eight events: whole."""
        removed, start = 0, "-"
        while True:
            rows = await self._connection.execute("XRANGE", stream, start, "+", "COUNT", PART)
            ids = [row[0] for row in rows if traces.named_in(_whole(row[1]))]
            if ids:
                removed += await self._connection.execute("XDEL", stream, *ids)
            if len(rows) < PART:
                return removed
            start = f"({rows[-1][0].decode()}"


def _whole(fields: Mapping[bytes, bytes] | Sequence[Any]) -> bytes:
    return b"\n".join(fields.values() if isinstance(fields, Mapping) else fields)
