"""HighLevel's app events as they are delivered: flat, camelCase, absent values left out, signed over the raw body."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout

from leadenrich.core.lead import Json
from leadenrich.sandbox.crm import FakeContact, iso

ContactEvent: TypeAlias = Literal["ContactCreate", "ContactUpdate", "ContactTagUpdate", "ContactDelete"]

APP_ID: Final = "5a6d62c1f0e94b7d8a3c1e20"  # of the sandbox's own, invented app
_DETAILS: Final = ("address1", "city", "state", "country", "source", "email", "firstName", "lastName", "phone")


def contact_event(kind: ContactEvent, contact: FakeContact, *, now: datetime | None = None) -> bytes:
    """The raw body of an event about a contact as it is now, with a webhook id of its own."""
    shown = contact.as_json()
    event: dict[str, Json] = {
        "type": kind,
        "locationId": contact.location_id,
        "versionId": APP_ID,
        "appId": APP_ID,
        "id": contact.contact_id,
        **{member: shown[member] for member in (*_DETAILS, "postalCode", "name") if shown.get(member)},
        "dateAdded": shown["dateAdded"],
        "dnd": shown["dnd"],
        "tags": shown["tags"],
        "customFields": shown["customFields"],
        "timestamp": iso(now or datetime.now(UTC)),
        "webhookId": str(uuid.uuid4()),
    }
    return msgspec.json.encode(event)


def signed_headers(body: bytes, sign: Callable[[bytes], str]) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-GHL-Signature": sign(body)}


@dataclass(slots=True)
class Delivery:
    """One event sent out. `status` is 0 until it is answered, and stays so when the receiver cannot be reached."""

    kind: ContactEvent
    contact_id: str
    body: bytes
    status: int = 0


class Echo:
    """Tells a service about every write to the fake CRM, its own writes too, as HighLevel does: once, not resent."""

    def __init__(self, sign: Callable[[bytes], str], url: str | None = None) -> None:
        self.url = url
        self.deliveries: list[Delivery] = []
        self._sign = sign
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: ClientSession | None = None

    def announce(self, kind: ContactEvent, contact: FakeContact) -> None:
        """Send an event in the background; nothing where no URL is set."""
        if self.url is None:
            return
        delivery = Delivery(kind, contact.contact_id, contact_event(kind, contact))
        self.deliveries.append(delivery)
        task = asyncio.create_task(self._deliver(self.url, delivery), name=f"echo {kind}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until every event announced so far is delivered, or known not to be."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Give up what is still on its way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, url: str, delivery: Delivery) -> None:
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(total=10))
        headers = signed_headers(delivery.body, self._sign)
        try:
            async with self._session.post(url, data=delivery.body, headers=headers) as response:
                delivery.status = response.status
        except (ClientError, TimeoutError, OSError):
            delivery.status = 0  # a service that is down must not take the sandbox with it
