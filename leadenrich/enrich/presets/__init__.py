"""The shipped mappings and rules, and the paths a record can have. Read when first asked for, then kept."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

import msgspec

PRESETS: Final = ("standard", "classic")
_DEFAULT_TAGS: Final = {
    "QUALIFIED": "QUALIFIED",
    "REVIEW": "REVIEW",
    "NO_MATCH": "ENRICH_NO_MATCH",
    "NO_ADDRESS": "ENRICH_NO_ADDRESS",
}

_S = TypeVar("_S", bound=msgspec.Struct)


class FieldSource(msgspec.Struct, frozen=True):
    """One custom field of a preset; `key` is without HighLevel's `contact.` prefix."""

    key: str
    name: str
    source: tuple[str, ...]
    data_type: str
    transform: str
    default_on: bool = True
    clear_when_null: bool = False


class MappingFile(msgspec.Struct, frozen=True):
    fields: tuple[FieldSource, ...]


class RuleSource(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a preset, as written: nothing in it is checked yet."""

    code: str
    stage: str = ""
    severity: str = ""
    enabled: bool = True
    when: dict[str, Any] = {}
    unless: dict[str, Any] | None = None
    downgrade_to: str | None = None
    params: dict[str, Any] = {}
    why: str = ""


class OwnerNamePatterns(msgspec.Struct, frozen=True):
    bank: tuple[str, ...] = ()
    government: tuple[str, ...] = ()


class RulesFile(msgspec.Struct, frozen=True):
    """`tags` maps an outcome to its tag; an outcome without one is marked by its `DQ_<CODE>` tags alone."""

    rules: tuple[RuleSource, ...]
    forbidden_inputs: tuple[str, ...] = ()
    owner_name_patterns: OwnerNamePatterns = OwnerNamePatterns()
    tags: dict[str, str] = msgspec.field(default_factory=lambda: dict(_DEFAULT_TAGS))


class PathsFile(msgspec.Struct, frozen=True):
    """The known paths by the kind of their value; `*` stands for an index."""

    date: tuple[str, ...]
    flag: tuple[str, ...]
    list: tuple[str, ...]
    number: tuple[str, ...]
    object: tuple[str, ...]
    text: tuple[str, ...]


@cache
def mapping_file(preset: str) -> MappingFile:
    return _read(f"{preset}.mapping.json", MappingFile)


@cache
def rules_file(preset: str) -> RulesFile:
    return _read(f"{preset}.rules.json", RulesFile)


@cache
def paths_file() -> PathsFile:
    return _read("paths.json", PathsFile)


def _read(name: str, shape: type[_S]) -> _S:
    return msgspec.json.decode((files(__name__) / name).read_bytes(), type=shape)
