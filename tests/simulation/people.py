"""What people do to their contacts, and the events that HighLevel sends of it: late, twice, in any order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from leadenrich.core.contact import Contact
from leadenrich.core.job import Lane
from leadenrich.core.lead import EventKind, Lead, PostalAddress
from leadenrich.store.queue import Receipt, Submission
from simulation.clock import VirtualTime
from simulation.daemon import TRIGGER
from simulation.vendors import LOCATION, Vendors

Deliver = Callable[[Submission], Any]


class People:
    """`deliver` takes one event to a daemon and comes back when it was answered."""

    def __init__(
        self,
        clock: VirtualTime,
        rng: Random,
        vendors: Vendors,
        deliver: Deliver,
        *,
        delivery_window_s: float = 604_800.0,
    ) -> None:
        self._clock, self._rng, self._vendors, self._deliver = clock, rng, vendors, deliver
        self._houses, self._deliveries = itertools.count(101), itertools.count(1)
        self._used: list[PostalAddress] = []
        self._sending: set[asyncio.Task[Any]] = set()
        self._window_s = delivery_window_s
        self.answers: list[tuple[Submission, Receipt]] = []
        self.kept: dict[str, float] = {}  # deliveries that became a job, and when

    @property
    def sending(self) -> bool:
        return bool(self._sending)

    async def act(self, count: int, *, until: float, contacts: int) -> None:
        """Changes `count` times something in HighLevel, spread over the time that is left."""
        moments = sorted(self._rng.uniform(self._clock.now, until) for _ in range(count))
        for number, moment in enumerate(moments):
            await asyncio.sleep(max(0.0, moment - self._clock.now))
            if number < 3 or (len(self._vendors.contacts) < contacts and self._rng.random() < 0.4):
                self.create(f"c{number:05d}")
            else:
                self._change(self._rng.choice(sorted(self._vendors.contacts) or ["c00000"]))

    def create(self, contact_id: str, street: str = "") -> None:
        address = PostalAddress(street, "Springfield", "IL", "62704") if street else self._address()
        self._vendors.contacts[contact_id] = Contact(
            contact_id, LOCATION, address, first_name="Alex", last_name="Sample"
        )
        self.tell(contact_id, "create")

    def echo(self, contact_id: str) -> None:
        """Our own write makes HighLevel send an update."""
        if contact_id in self._vendors.contacts:
            self.tell(contact_id, "update")

    def _change(self, contact_id: str) -> None:
        contact = self._vendors.contacts.get(contact_id)
        if contact is None:
            return
        kind = self._rng.choices(("move", "touch", "tag", "opportunity", "workflow", "delete"), (8, 3, 2, 2, 2, 1))[0]
        if kind == "move":
            self._vendors.contacts[contact_id] = replace(contact, address=self._address())
            self.tell(contact_id, "update")
        elif kind == "tag":
            self._vendors.contacts[contact_id] = replace(contact, tags=(*contact.tags, TRIGGER))
            self.tell(contact_id, "tags")
        elif kind == "delete":
            self.tell(contact_id, "delete")
            del self._vendors.contacts[contact_id]
        else:
            names: dict[str, EventKind] = {"touch": "update", "opportunity": "opportunity", "workflow": "workflow"}
            self.tell(contact_id, names[kind])

    def _address(self) -> PostalAddress:
        drawn = self._rng.random()
        if drawn < 0.06:
            return PostalAddress(line1="PO Box 5", city="Springfield", state="IL", postal_code="62704")
        if drawn < 0.10:
            return PostalAddress()
        if drawn < 0.22 and self._used:
            return self._rng.choice(self._used)
        address = PostalAddress(f"{next(self._houses)} Evergreen Terrace", "Springfield", "IL", "62704")
        self._used.append(address)
        return address

    def tell(self, contact_id: str, kind: EventKind) -> None:
        contact, bare = self._vendors.contacts[contact_id], kind in ("opportunity", "delete")
        lead = Lead(
            location_id=LOCATION,
            contact_id=contact_id,
            kind=kind,
            event_ms=self._clock.true_ms(),
            address=PostalAddress() if bare else contact.address,
            first_name=contact.first_name,
            last_name=contact.last_name,
            tags=None if bare or kind == "workflow" else contact.tags,
            custom_fields=None if bare or kind == "workflow" else dict(contact.custom_fields),
        )
        lane = Lane.BULK if self._rng.random() < 0.1 else Lane.LIVE
        submission = Submission(lead, lane, f"delivery-{next(self._deliveries)}", self._window_s)
        for _ in range(self._rng.choice((1, 1, 1, 2, 4))):
            delay_s = self._rng.choice((0.1, 0.5, 3.0, 3.0, self._rng.uniform(0, 90)))
            task = asyncio.get_running_loop().create_task(self._send(submission, delay_s))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, submission: Submission, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        receipt = await self._deliver(submission)
        if receipt.verb != "ignored":
            self.kept.setdefault(submission.delivery_key, self._clock.now)
        self.answers.append((submission, receipt))
