"""A HighLevel contact as read now, and the custom fields of its location."""

from __future__ import annotations

from dataclasses import dataclass, field

from leadenrich.core.lead import FieldValue, PostalAddress


@dataclass(frozen=True, slots=True)
class Contact:
    """`custom_fields` maps field id to value. `tags` are lower-cased: HighLevel keeps them so."""

    contact_id: str
    location_id: str
    address: PostalAddress
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, FieldValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CustomField:
    """One custom field of a location. `key` is HighLevel's `fieldKey` without `contact.`; ids differ per location."""

    field_id: str
    key: str
    name: str
    data_type: str
