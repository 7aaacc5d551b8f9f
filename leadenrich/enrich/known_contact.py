"""What the enrichment knows of a contact: as its event told it, or as it was read now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from leadenrich.core.address import AddressRejected, normalise
from leadenrich.core.contact import CustomField
from leadenrich.core.job import Claim
from leadenrich.core.lead import FieldValue, Lead, PostalAddress, fingerprint
from leadenrich.enrich.names import LeadNames
from leadenrich.enrich.needs import Clock, Crm

TRUST_S: Final = 60.0  # an event younger than this tells the contact as it is
# An opportunity carries no contact. The others concern contacts that may carry our tags: theirs must be known.
_ALWAYS_READ: Final = frozenset({"opportunity"})
_READ_WITHOUT_TAGS: Final = frozenset({"update", "tags", "import", "backfill"})
# Somebody brought their address, of a contact that may have none in HighLevel.
_BROUGHT: Final = frozenset({"import", "api"})


@dataclass(frozen=True, slots=True)
class KnownContact:
    """`tags` and `fields` (field id → value) are None where the event did not tell them; `was_read`: read just now."""

    address: PostalAddress
    names: LeadNames
    tags: tuple[str, ...] | None
    fields: Mapping[str, FieldValue] | None
    was_read: bool


class AddressMemory(Protocol):
    """The address that each contact was last seen with, which later events are compared with."""

    async def note_address(self, location_id: str, contact_id: str, fingerprint: str) -> None: ...


class ContactReader:
    """Spares the read where the event is fresh and tells enough, else reads.

    `address_fields` are keys of custom fields looked at, in this order, before the standard address: that one is often
    the owner's mailing address.
    """

    def __init__(self, crm: Crm, memory: AddressMemory, clock: Clock, address_fields: tuple[str, ...] = ()) -> None:
        self._crm = crm
        self._memory = memory
        self._clock = clock
        self._address_fields = tuple(key.removeprefix("contact.") for key in address_fields)

    async def know(self, claim: Claim) -> KnownContact:
        """Raises: what Crm.contact raises, contact_not_found among it."""
        if self._tells_enough(claim):
            told = await self._as_told(claim.lead)
            if told.address:
                return told
        return await self.read(claim)

    async def read(self, claim: Claim) -> KnownContact:
        contact = await self._crm.contact(claim.location_id, claim.contact_id)
        if contact.address and not claim.lead.address:
            # No event told it, so nobody could remember it; the contact's next update must not pass for a new address.
            await self._memory.note_address(claim.location_id, claim.contact_id, fingerprint(contact.address))
        address = await self._property_address(claim.location_id, contact.address, contact.custom_fields)
        if not address and claim.lead.kind in _BROUGHT:
            address = claim.lead.address
        names = _names(contact.first_name, contact.last_name, contact.name)
        return KnownContact(address, names, contact.tags, contact.custom_fields, was_read=True)

    def _tells_enough(self, claim: Claim) -> bool:
        lead = claim.lead
        if claim.attempt > 1 or claim.rerun or lead.kind in _ALWAYS_READ:
            return False  # an earlier run may have written: only the contact itself tells what
        if self._address_fields and lead.custom_fields is None:
            return False
        if lead.tags is None and lead.kind in _READ_WITHOUT_TAGS:
            return False
        age_ms = self._clock.now().timestamp() * 1000 - (lead.event_ms or claim.created_ms)
        return age_ms < TRUST_S * 1000

    async def _as_told(self, lead: Lead) -> KnownContact:
        address = await self._property_address(lead.location_id, lead.address, lead.custom_fields or {})
        names = _names(lead.first_name, lead.last_name, lead.name)
        return KnownContact(address, names, lead.tags, lead.custom_fields, was_read=False)

    async def _property_address(
        self, location_id: str, standard: PostalAddress, values: Mapping[str, FieldValue]
    ) -> PostalAddress:
        if not self._address_fields:
            return standard
        known = await self._crm.custom_fields(location_id)
        for key in self._address_fields:
            field = find_field(known, key, key)
            value = values.get(field.field_id) if field else None
            if isinstance(value, str) and value.strip():
                return _from_one_field(value, standard)
        return standard


def find_field(fields: Mapping[str, CustomField], key: str, name: str) -> CustomField | None:
    """A field by its key, else by its name without case: HighLevel makes the key, and not always as asked."""
    if (found := fields.get(key)) is not None:
        return found
    return next((field for field in fields.values() if field.name.casefold() == name.casefold()), None)


def _from_one_field(value: str, standard: PostalAddress) -> PostalAddress:
    """A custom field holds a whole address, or a street: then city, state and zip are the standard ones.

    Which of them it is tells the normaliser: whole is what names its place itself.
    """
    whole = PostalAddress(full=value, country=standard.country)
    try:
        normalise(whole)
    except AddressRejected as rejected:
        if rejected.code == "ADDRESS_MISSING":
            return standard
        if rejected.code == "ADDRESS_INCOMPLETE":
            return PostalAddress(value, standard.city, standard.state, standard.postal_code, standard.country)
    return whole


def _names(first: str, last: str, name: str) -> LeadNames:
    return LeadNames(first, last) if first or last else LeadNames(first=name)
