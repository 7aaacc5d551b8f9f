"""HighLevel's JSON to our values, tolerant of what is missing, null or of another type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from leadenrich.core.contact import Contact, CustomField
from leadenrich.core.lead import FieldValue, Json, PostalAddress


@dataclass(frozen=True, slots=True)
class Location:
    """A sub-account."""

    location_id: str
    name: str


@dataclass(frozen=True, slots=True)
class PageMark:
    """Where a search goes on: opaque to the caller."""

    page: int
    search_after: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedContact:
    """A contact in a search's result, which may be seconds old. `added_ms`: epoch milliseconds; None when untold."""

    contact: Contact
    added_ms: int | None


@dataclass(frozen=True, slots=True)
class ContactPage:
    """One page of a search. `next` is None on the last one; `total` counts all that match, None when untold."""

    contacts: tuple[ListedContact, ...]
    next: PageMark | None
    total: int | None = None


def contact_of(data: Mapping[str, Json], *, location_id: str, contact_id: str = "") -> Contact:
    """A contact as HighLevel tells it; ids that it leaves out are those that were asked for."""
    return Contact(
        contact_id=text(data.get("id")) or contact_id,
        location_id=text(data.get("locationId")) or location_id,
        address=PostalAddress(
            line1=text(data.get("address1")),
            city=text(data.get("city")),
            state=text(data.get("state")),
            postal_code=text(data.get("postalCode")),
            country=text(data.get("country")),
        ),
        first_name=text(data.get("firstName")),
        last_name=text(data.get("lastName")),
        name=text(data.get("name")) or text(data.get("contactName")),
        tags=tuple(text(tag).lower() for tag in items(data.get("tags"))),
        custom_fields=field_values(data),
    )


def field_values(contact: Mapping[str, Json]) -> dict[str, FieldValue]:
    """Custom field id to value. A file upload's value is an object and left out: nothing here writes or reads one."""
    values: dict[str, FieldValue] = {}
    for entry in objects(contact.get("customFields")):
        field_id = text(entry.get("id"))
        # `value` is what is documented for reading; the two others are the names for writing, by API version.
        value = next((entry[name] for name in ("value", "fieldValue", "field_value") if name in entry), None)
        if isinstance(value, list):
            values[field_id] = [text(item) for item in value]
        elif field_id and not isinstance(value, dict):
            values[field_id] = value
    return values


def custom_field_of(data: Mapping[str, Json]) -> CustomField:
    return CustomField(
        field_id=text(data.get("id")),
        key=text(data.get("fieldKey")).removeprefix("contact."),
        name=text(data.get("name")),
        data_type=text(data.get("dataType")),
    )


def page_of(body: Mapping[str, Json], *, location_id: str, mark: PageMark, size: int) -> ContactPage:
    found = list(objects(body.get("contacts")))
    listed = tuple(
        ListedContact(contact_of(entry, location_id=location_id), _epoch_ms(entry.get("dateAdded"))) for entry in found
    )
    if len(found) < size:
        return ContactPage(listed, None, _count(body.get("total")))
    after = tuple(items(found[-1].get("searchAfter")))
    # The same mark again would be the same page for ever.
    following = PageMark(mark.page + 1, after)
    return ContactPage(listed, None if after and after == mark.search_after else following, _count(body.get("total")))


def text(value: Json) -> str:
    """A string, or a number as one; "" for everything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def objects(value: Json) -> Iterator[dict[str, Json]]:
    return (item for item in items(value) if isinstance(item, dict))


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _epoch_ms(value: Json) -> int | None:
    try:
        when = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
