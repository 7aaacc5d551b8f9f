"""From a property's record to the custom fields of a contact.

`compile_mapping` turns a preset and the `[mapping]` table into a `FieldMapping`, or names every fault at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from leadenrich.config import MappingEntry
from leadenrich.core.job import Outcome
from leadenrich.core.lead import FieldValue, Json
from leadenrich.enrich.derived import Kind, Reading
from leadenrich.enrich.faults import FaultList, unknown
from leadenrich.enrich.paths import kind_of, known_sources
from leadenrich.enrich.presets import PRESETS, mapping_file
from leadenrich.enrich.record import PropertyRecord
from leadenrich.enrich.transforms import TRANSFORMS, Gives
from leadenrich.enrich.verdict import Verdict

# HighLevel's data types that hold one value; its file, signature and list types cannot be filled from a record.
_TEXT_TYPES: Final = ("TEXT", "LARGE_TEXT", "SINGLE_OPTIONS", "RADIO", "PHONE", "EMAIL")
_NUMBER_TYPES: Final = ("NUMERICAL", "MONETORY")  # so spelled by HighLevel
_LIST_TYPES: Final = ("CHECKBOX", "MULTIPLE_OPTIONS")
DATA_TYPES: Final = (*_TEXT_TYPES, *_NUMBER_TYPES, *_LIST_TYPES, "DATE")

OURS: Final[dict[str, Kind]] = {
    "@outcome": "text",
    "@now": "date",
    "@disqualified": "flag",
    "@reason_codes": "list",
}
_KEY = re.compile(r"[a-z0-9_]+")
_TRANSFORM_OF_KIND: Final[dict[Kind, str]] = {
    "flag": "yes_no",
    "number": "number",
    "text": "text",
    "date": "date",
    "list": "join_comma",
    "object": "address_line",
}
_TYPE_OF: Final[dict[Gives, str]] = {"text": "TEXT", "number": "NUMERICAL", "date": "DATE"}


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """One custom field: `key` is without `contact.`; the first of `source` with a usable value wins."""

    key: str
    name: str
    data_type: str
    source: tuple[str, ...]
    transform: str
    clear_when_null: bool = False
    enabled: bool = True

    @property
    def is_ours(self) -> bool:
        """Filled from the verdict alone, so also where there is no record."""
        return all(source in OURS for source in self.source)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """What is written to a contact. `entries` holds the fields that are switched off too."""

    entries: tuple[FieldEntry, ...]

    def fields(self, record: PropertyRecord | None, verdict: Verdict, now: datetime) -> dict[str, FieldValue]:
        """Key → value of all that is to be written. A missing value has no key; a stale one is "".

        Without a record, or where it is another property's (NO_MATCH), only the fields that are ours: the status, its
        date and the reasons. `disqualified` says nothing there: nobody knows.
        """
        return {entry.key: value for entry, value, _ in self.traced(record, verdict, now)}

    def traced(
        self, record: PropertyRecord | None, verdict: Verdict, now: datetime
    ) -> Iterator[tuple[FieldEntry, FieldValue, str]]:
        """The same, each with its entry and the source that had the value; "" for a stale one."""
        told = _ours(verdict, now)
        reading = None
        if record is not None and verdict.outcome not in (Outcome.NO_MATCH, Outcome.NO_ADDRESS):
            reading = Reading(record, now.date(), verdict.names, verdict.limits)
        for entry in self.entries:
            if not entry.enabled or not (reading or entry.is_ours):
                continue
            value, source = _first_usable(entry, told, reading)
            if value is not None:
                yield entry, _as_typed(value, entry.data_type), source
            elif entry.clear_when_null:
                yield entry, "", ""

    def status(self, status: str) -> dict[str, FieldValue]:
        """The status field alone, for what is no verdict: `FAILED`. Empty where the mapping has no such field."""
        return {entry.key: status for entry in self.entries if entry.enabled and entry.source == ("@outcome",)}


def _ours(verdict: Verdict, now: datetime) -> dict[str, Json]:
    judged = verdict.outcome not in (Outcome.NO_MATCH, Outcome.NO_ADDRESS)
    return {
        "@outcome": verdict.outcome.value,
        "@now": now.date().isoformat(),
        "@disqualified": verdict.outcome is Outcome.DISQUALIFIED if judged else None,
        "@reason_codes": list(verdict.reason_codes),
    }


def _first_usable(entry: FieldEntry, told: dict[str, Json], reading: Reading | None) -> tuple[FieldValue, str]:
    apply = TRANSFORMS[entry.transform].apply
    for source in entry.source:
        raw = told[source] if source in told else reading.get(source) if reading else None
        if raw is not None and (value := apply(raw, reading)) is not None:
            return value, source
    return None, ""


def _as_typed(value: FieldValue, data_type: str) -> FieldValue:
    if data_type in _LIST_TYPES:
        return [str(value)]
    return value if data_type in _NUMBER_TYPES else str(value)


def compile_mapping(preset: str, overrides: Mapping[str, MappingEntry]) -> FieldMapping:
    """The preset with the `[mapping]` table laid over it: a known key changes its field, a new one adds a field.

    Raises: SettingFaults, with every fault found.
    """
    faults = FaultList()
    if preset not in PRESETS:
        faults.add("enrichment.preset", unknown("preset", preset, PRESETS))
        faults.raise_if_any()
    entries = {
        field.key: FieldEntry(
            field.key,
            field.name,
            field.data_type,
            field.source,
            field.transform,
            field.clear_when_null,
            field.default_on,
        )
        for field in mapping_file(preset).fields
    }
    for name, override in overrides.items():
        key = name.removeprefix("contact.")
        if not _KEY.fullmatch(key):
            faults.add(f"mapping.{name}", "a key is HighLevel's field key: a-z, 0-9 and _ only")
            continue
        entry = _change(entries[key], override) if key in entries else _new(key, f"mapping.{name}", override, faults)
        if entry is not None:
            _check(entry, f"mapping.{name}", faults)
            entries[key] = entry
    faults.raise_if_any()
    return FieldMapping(tuple(entries.values()))


def _sources(override: MappingEntry) -> tuple[str, ...] | None:
    return (override.source,) if isinstance(override.source, str) else override.source


def _change(entry: FieldEntry, override: MappingEntry) -> FieldEntry:
    given: dict[str, Any] = {
        "name": override.name,
        "data_type": override.data_type,
        "source": _sources(override),
        "transform": override.transform,
        "clear_when_null": override.clear_when_null,
        "enabled": override.enabled,
    }
    return replace(entry, **{member: value for member, value in given.items() if value is not None})


def _new(key: str, at: str, override: MappingEntry, faults: FaultList) -> FieldEntry | None:
    source = _sources(override)
    if not source:
        faults.add(f"{at}.source", "a new field needs a source, such as 'data.propertyInfo.stories'")
        return None
    kind = _kind(source[0]) or "text"
    transform = override.transform or _TRANSFORM_OF_KIND[kind]
    gives = TRANSFORMS[transform].gives if transform in TRANSFORMS else "text"
    return FieldEntry(
        key,
        override.name or key.replace("_", " ").title(),
        override.data_type or _TYPE_OF[gives],
        source,
        transform,
        bool(override.clear_when_null),
        override.enabled is not False,
    )


def _kind(source: str) -> Kind | None:
    return OURS.get(source) or kind_of(source)


def _check(entry: FieldEntry, at: str, faults: FaultList) -> None:
    transform = TRANSFORMS.get(entry.transform)
    if transform is None:
        faults.add(f"{at}.transform", unknown("transform", entry.transform, TRANSFORMS))
    if entry.data_type not in DATA_TYPES:
        faults.add(f"{at}.data_type", unknown("data type", entry.data_type, DATA_TYPES))
    elif transform and _misfit(entry.data_type, transform.gives):
        faults.add(
            f"{at}.data_type", f"{entry.transform} gives a {transform.gives}, which {entry.data_type} cannot hold"
        )
    if not entry.source:
        faults.add(f"{at}.source", "a field needs at least one source")
    for source in entry.source:
        kind = _kind(source)
        if kind is None:
            faults.add(f"{at}.source", unknown("source", source, [*OURS, *known_sources()]))
        elif transform and kind not in transform.takes:
            faults.add(f"{at}.transform", f"{entry.transform} cannot read {source}: it is a {kind}")


def _misfit(data_type: str, gives: Gives) -> bool:
    if data_type in _NUMBER_TYPES:
        return gives != "number"
    return data_type == "DATE" and gives != "date"
