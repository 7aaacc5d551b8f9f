"""The first hour: what a HighLevel location lacks, and creating it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadenrich.core.contact import CustomField
from leadenrich.enrich.known_contact import find_field
from leadenrich.enrich.mapping import FieldEntry

# HighLevel cannot change a field's type; a value of one kind fits into these.
_FITS: Mapping[str, frozenset[str]] = {
    "TEXT": frozenset({"TEXT", "LARGE_TEXT", "SINGLE_OPTIONS", "RADIO"}),
    "LARGE_TEXT": frozenset({"LARGE_TEXT", "TEXT"}),
    "NUMERICAL": frozenset({"NUMERICAL", "MONETORY"}),
    "DATE": frozenset({"DATE"}),
}


class FieldMaker(Protocol):
    """What the set-up needs of HighLevel. Raises: Trouble."""

    async def custom_fields(self, location_id: str, *, refresh: bool = False) -> Mapping[str, CustomField]: ...

    async def create_custom_field(self, location_id: str, name: str, data_type: str) -> CustomField: ...


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """What a location lacks. `misfits` are fields that are there with a type that cannot hold the value."""

    location_id: str
    missing: tuple[FieldEntry, ...]
    present: tuple[FieldEntry, ...]
    misfits: tuple[tuple[FieldEntry, CustomField], ...]


async def plan_fields(crm: FieldMaker, location_id: str, entries: Sequence[FieldEntry]) -> FieldPlan:
    """Compares the mapping with the location's fields as they are now. Raises: Trouble."""
    fields = await crm.custom_fields(location_id, refresh=True)
    missing, present, misfits = [], [], []
    for entry in entries:
        if not entry.enabled:
            continue
        field = find_field(fields, entry.key, entry.name)
        if field is None:
            missing.append(entry)
        elif field.data_type not in _FITS.get(entry.data_type, frozenset({entry.data_type})):
            misfits.append((entry, field))
        else:
            present.append(entry)
    return FieldPlan(location_id, tuple(missing), tuple(present), tuple(misfits))
