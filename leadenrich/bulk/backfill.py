"""The contacts of a HighLevel location that nobody has enriched yet, page by page, as leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.errors import Throttled, Transient
from leadenrich.core.lead import Lead
from leadenrich.core.text import ID
from leadenrich.enrich.known_contact import find_field
from leadenrich.enrich.mapping import FieldMapping
from leadenrich.enrich.rules import RuleSet
from leadenrich.providers.ghl_shapes import ContactPage, ListedContact, PageMark

T = TypeVar("T")

SHARE: Final = 0.5  # of the location's limit: the rest is for live leads
TRIES: Final = 8  # of an answer that does not come; waits 1 s, 2 s, 4 s ... between them
WAIT_S_MAX: Final = 60.0
PAUSED_S: Final = 2.0  # between two looks at a location that is paused

ENRICHED: Final = "enriched already"
NO_ADDRESS: Final = "no address"
NO_TAG: Final = "without the tag"
TOO_OLD: Final = "added before"
_FAILED: Final = "FAILED"  # what a job that failed for a reason of ours leaves as the status: no verdict


class ContactSearch(Protocol):
    """HighLevel's search. Raises: Trouble."""

    async def contact_page(self, location_id: str, mark: PageMark | None = None) -> ContactPage: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which contacts are wanted. `tag` "" for any; `since_ms` epoch milliseconds, 0 for ever.

    `status_fields` and `address_fields` are ids of custom fields, `our_tags` in lower case.
    """

    tag: str
    since_ms: int
    status_fields: frozenset[str]
    our_tags: frozenset[str]
    address_fields: frozenset[str]

    def left_out(self, listed: ListedContact) -> str:
        """Why a contact needs no job; "" for one that does."""
        contact = listed.contact
        if self.is_too_old(listed):
            return TOO_OLD
        if self.tag and self.tag not in contact.tags:
            return NO_TAG
        if self._is_enriched(contact):
            return ENRICHED
        return "" if self._has_address(contact) else NO_ADDRESS

    def is_too_old(self, listed: ListedContact) -> bool:
        return listed.added_ms is not None and listed.added_ms < self.since_ms

    def _is_enriched(self, contact: Contact) -> bool:
        """By its status where it has one: a person may use a word of our tags."""
        statuses = [status for field_id in self.status_fields if (status := contact.custom_fields.get(field_id))]
        return any(status != _FAILED for status in statuses) if statuses else not self.our_tags.isdisjoint(contact.tags)

    def _has_address(self, contact: Contact) -> bool:
        return bool(contact.address) or any(contact.custom_fields.get(field_id) for field_id in self.address_fields)


def choose(
    fields: Mapping[str, CustomField],
    mapping: FieldMapping,
    rules: RuleSet,
    *,
    tag: str,
    since_ms: int,
    address_fields: tuple[str, ...],
) -> Chosen:
    """What marks an enriched contact, as mapping and rules write it into the location that has these custom fields."""
    names = {entry.key: entry.name for entry in mapping.entries}

    def ids(keys: tuple[str, ...]) -> frozenset[str]:
        found = (find_field(fields, key, names.get(key, key)) for key in keys)
        return frozenset(field.field_id for field in found if field)

    return Chosen(
        tag.strip().lower(),
        since_ms,
        ids(tuple(mapping.status(_FAILED))),
        frozenset(tag.lower() for tag in rules.all_tags),
        ids(tuple(key.removeprefix("contact.") for key in address_fields)),
    )


def lead_of(contact: Contact) -> Lead | None:
    """None where its id is none. Neither tags nor fields: by the time of its turn the job reads them anew."""
    if not ID.fullmatch(contact.contact_id):
        return None
    return Lead(
        location_id=contact.location_id,
        contact_id=contact.contact_id,
        kind="backfill",
        address=contact.address,
        first_name=contact.first_name,
        last_name=contact.last_name,
        name=contact.name,
    )


async def pages(
    search: ContactSearch,
    location_id: str,
    *,
    since_ms: int,
    paused: Callable[[], Awaitable[str]],
    on_wait: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[ContactPage]:
    """Every page, the newest contact first, until the contacts are older than `since_ms`.

    `paused` says why the location is, "" while it is not. Raises: Transient, after TRIES; ProviderOut; Permanent.
    """
    mark: PageMark | None = None
    oldest_ms: float = float("inf")
    while True:
        while why := await paused():
            on_wait(why)
            await sleep(PAUSED_S)
        page = await patiently(partial(search.contact_page, location_id, mark), on_wait, sleep)
        yield page
        times = [listed.added_ms for listed in page.contacts if listed.added_ms is not None]
        # Only where the answers are in the order asked for: else newer contacts might come behind older ones.
        in_order = times == sorted(times, reverse=True) and (not times or times[0] <= oldest_ms)
        oldest_ms = times[-1] if times and in_order else float("-inf")
        if page.next is None or (in_order and times and times[-1] < since_ms):
            return
        mark = page.next


async def patiently(
    call: Callable[[], Awaitable[T]],
    on_wait: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """What the call to HighLevel answers, as soon as it does. Raises: what `pages` raises."""
    tries = 0
    while True:
        try:
            answer = await call()
        except Throttled as throttled:
            on_wait(str(throttled))
            await sleep(max(0.1, throttled.until_ms / 1000 - time.time()))
        except Transient as error:
            tries += 1
            if tries == TRIES:
                raise
            on_wait(str(error))
            await sleep(min(2.0 ** (tries - 1), WAIT_S_MAX))
        else:
            on_wait("")
            return answer
