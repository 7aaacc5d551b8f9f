"""What the fake HighLevel remembers: locations with their custom fields, contacts with values, tags and notes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from leadenrich.core.lead import FieldValue, Json

DATA_TYPES: Final = frozenset(
    {"TEXT", "LARGE_TEXT", "NUMERICAL", "PHONE", "MONETORY", "CHECKBOX", "SINGLE_OPTIONS", "MULTIPLE_OPTIONS"}
    | {"DATE", "TEXTBOX_LIST", "FILE_UPLOAD", "RADIO", "EMAIL"}
)
_NUMBERS: Final = frozenset({"NUMERICAL", "MONETORY"})
_LISTS: Final = frozenset({"CHECKBOX", "MULTIPLE_OPTIONS", "TEXTBOX_LIST"})
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Unusable(Exception):
    """A value that the field's type does not take."""


def vendor_id(*parts: str) -> str:
    """An id of HighLevel's looks (20 letters and digits), the same for the same parts."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
    letters = []
    for _ in range(20):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


def field_key(name: str) -> str:
    """The key HighLevel makes of a field's name: `contact.` and the words joined by `_`, other signs dropped."""
    words = re.sub(r"[^a-z0-9_ ]", "", name.strip().lower()).split()
    return "contact." + "_".join(words)


def iso(moment: datetime) -> str:
    """As the vendor writes times: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class FakeField:
    """A custom field for contacts."""

    field_id: str
    key: str
    name: str
    data_type: str
    position: int
    placeholder: str = ""

    def as_json(self, location_id: str) -> dict[str, Json]:
        return {
            "id": self.field_id,
            "name": self.name,
            "fieldKey": self.key,
            "placeholder": self.placeholder,
            "dataType": self.data_type,
            "position": self.position,
            "picklistOptions": [],
            "locationId": location_id,
            "model": "contact",
        }

    def kept(self, value: Json) -> FieldValue:
        """What the vendor keeps of a written value; None clears the field.

        Raises: Unusable. The vendor answers 200 all the same: only the returned contact shows the loss.
        """
        if value is None or value in ("", []):
            return None
        if self.data_type in _NUMBERS:
            return _number(value)
        if self.data_type in _LISTS:
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return [str(item) for item in value]
            raise Unusable
        if isinstance(value, list | dict):
            raise Unusable
        if self.data_type == "DATE":
            dated = re.match(r"\d{4}-\d{2}-\d{2}(?=$|T| )", str(value))
            if dated is None:
                raise Unusable
            return dated[0]
        return str(value)


def _number(value: Json) -> float | int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            raise Unusable from None
        return int(number) if number.is_integer() else number
    raise Unusable


@dataclass(slots=True)
class FakeLocation:
    """A sub-account and the private token that opens it."""

    location_id: str
    token: str
    name: str
    fields: dict[str, FakeField] = field(default_factory=dict)  # by id

    def add_field(self, name: str, data_type: str, placeholder: str = "") -> FakeField:
        """Create a custom field. Ids differ per location, as the vendor's do."""
        made = FakeField(
            vendor_id("field", self.location_id, name),
            field_key(name),
            name,
            data_type,
            len(self.fields) * 50,
            placeholder,
        )
        self.fields[made.field_id] = made
        return made

    def named(self, key_or_name: str) -> FakeField | None:
        """By key (with or without `contact.`), else by name without case."""
        wanted = key_or_name.lower()
        by_key = (it for it in self.fields.values() if it.key in (wanted, f"contact.{wanted}"))
        by_name = (it for it in self.fields.values() if it.name.lower() == wanted.replace("_", " "))
        return next(by_key, None) or next(by_name, None) or self._by_loose_name(wanted)

    def _by_loose_name(self, wanted: str) -> FakeField | None:
        bare = re.sub(r"[^a-z0-9]", "", wanted)
        return next((it for it in self.fields.values() if re.sub(r"[^a-z0-9]", "", it.name.lower()) == bare), None)


@dataclass(slots=True)
class FakeContact:
    """A contact. `details` holds the standard members under the vendor's names, only those that are set."""

    contact_id: str
    location_id: str
    details: dict[str, Json] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    values: dict[str, FieldValue] = field(default_factory=dict)  # by field id
    notes: list[dict[str, Json]] = field(default_factory=list)  # the oldest first
    added_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def add_tags(self, tags: Iterable[str]) -> None:
        """Lower-cased and without doubles, as the vendor keeps them."""
        self.tags = list(dict.fromkeys([*self.tags, *(tag.strip().lower() for tag in tags)]))

    def remove_tags(self, tags: Iterable[str]) -> None:
        gone = {tag.strip().lower() for tag in tags}
        self.tags = [tag for tag in self.tags if tag not in gone]

    def write_values(self, location: FakeLocation, values: Iterable[tuple[str, Json]]) -> None:
        """Set custom fields by id. Unknown ids and unusable values are dropped without a word; others stay."""
        for field_id, value in values:
            known = location.fields.get(field_id)
            if known is None:
                continue
            try:
                kept = known.kept(value)
            except Unusable:
                continue
            if kept is None:
                self.values.pop(field_id, None)
            else:
                self.values[field_id] = kept

    def custom_fields(self) -> list[Json]:
        shown: list[Json] = []
        for field_id, value in self.values.items():
            shown.append({"id": field_id, "value": list(value) if isinstance(value, list) else value})
        return shown

    def as_json(self) -> dict[str, Json]:
        """The contact as GET shows it."""
        first, last = (str(self.details.get(member) or "") for member in ("firstName", "lastName"))
        return {
            "id": self.contact_id,
            "locationId": self.location_id,
            "name": f"{first} {last}".strip(),
            "firstNameLowerCase": first.lower(),
            "lastNameLowerCase": last.lower(),
            "fullNameLowerCase": f"{first} {last}".strip().lower(),
            **self.details,
            "dnd": bool(self.details.get("dnd")),
            "type": "lead",
            "tags": list(self.tags),
            "customFields": self.custom_fields(),
            "dateAdded": iso(self.added_at),
            "dateUpdated": iso(self.updated_at),
        }
