"""Turns what file, environment and credentials say into settings, key by key, so that every fault is found at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, TypeAlias, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Struct
from msgspec.structs import FieldInfo, fields

from leadenrich.config.expectation import expected, found, from_text
from leadenrich.config.faults import Fault, nearest
from leadenrich.config.secret import Secret

SourceKind: TypeAlias = Literal["default", "file", "environment", "credential"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a setting's value is from. `name`: the file, the variable, or the credential's file name."""

    kind: SourceKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Text:
    """A value that came as text. Its type is the setting's."""

    text: str
    source: Source


@dataclass(slots=True)
class Reading:
    """One pass over all settings. `texts` (environment, credentials) go before `table`, the file's content."""

    texts: Mapping[str, Text]
    file: Source
    faults: list[Fault] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def struct(self, kind: type[Struct], key: str, table: object) -> Struct | None:
        """One table of the file. None when it lacks a member that has no default: its fault is noted."""
        if not isinstance(table, dict):
            self._fault(key, f"expected a table, found {found(table)}")
            table = {}
        known = {member.name: member for member in fields(kind)}
        for name in table:
            if name not in known:
                self._fault(_join(key, str(name)), f"unknown key{nearest(str(name), known)}")
        values: dict[str, Any] = {}
        for name, member in known.items():
            path = _join(key, name)
            value = self._member(member, path, table.get(name, UNSET))
            if value is not UNSET:
                values[name] = value
            elif member.default is NODEFAULT and member.default_factory is NODEFAULT:
                if not any(fault.key == path for fault in self.faults):
                    self._fault(path, "is missing")
                return None
        return kind(**values)

    def _member(self, member: FieldInfo, path: str, raw: object) -> Any:
        kind = member.type
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self.struct(kind, path, {} if raw is UNSET else raw) or UNSET
        item = get_args(kind)[-1 if get_origin(kind) is dict else 0] if get_args(kind) else None
        if isinstance(item, type) and issubclass(item, Struct):
            return self._structs(item, path, raw) if get_origin(kind) is tuple else self._named(item, path, raw)
        return self._leaf(kind, path, raw)

    def _structs(self, kind: type[Struct], path: str, raw: object) -> Any:
        """An array of tables."""
        given, source = self._whole(path, raw, _locations if path == "ghl.locations" else msgspec.json.decode)
        if given is UNSET:
            return UNSET
        if not isinstance(given, list):
            self._fault(path, f"expected a list of tables, found {found(given)}")
            return UNSET
        self.sources[path] = source
        # The elements of a list that came as text are from there too, not from the file.
        reading = self if source.kind == "file" else Reading({}, source, self.faults, self.sources)
        read = [reading.struct(kind, f"{path}[{index}]", table) for index, table in enumerate(given)]
        return tuple(element for element in read if element is not None)

    def _named(self, kind: type[Struct], path: str, raw: object) -> Any:
        """A table of tables: [mapping]. Its names come from the file and from the environment."""
        given, source = self._whole(path, raw, msgspec.json.decode)
        if given is not UNSET and not isinstance(given, dict):
            self._fault(path, f"expected a table, found {found(given)}")
            given = UNSET
        tables = {} if given is UNSET else {str(name): (table, source) for name, table in given.items()}
        for key in [key for key in self.texts if key.startswith(f"{path}.")]:
            name, dot, _member = key.removeprefix(f"{path}.").partition(".")
            if dot:
                tables.setdefault(name, ({}, self.file))
            else:
                tables[name] = self._whole(key, UNSET, msgspec.json.decode)
        entries: dict[str, Struct] = {}
        for name, (table, origin) in tables.items():
            reading = Reading(self.texts, origin, self.faults, self.sources, self.used)
            entry = None if table is UNSET else reading.struct(kind, _join(path, name), table)
            if entry is not None:
                entries[name] = entry
        return entries or UNSET

    def _whole(self, path: str, raw: object, parse: Callable[[str], object]) -> tuple[Any, Source]:
        """The value of a composite key: the text's when there is one, else the file's."""
        text = self.texts.get(path)
        if text is None:
            return raw, self.file
        self.used.add(path)
        try:
            return parse(text.text), text.source
        except (ValueError, RecursionError):
            self._fault(path, f"{text.source} is not JSON")
            return UNSET, text.source

    def _leaf(self, kind: Any, path: str, raw: object) -> Any:
        text = self.texts.get(path)
        source = self.file
        if text is not None:
            self.used.add(path)
            raw, source = from_text(text.text, kind), text.source
        if raw is UNSET:
            self.sources[path] = Source("default")
            return UNSET
        try:
            value = _converted(raw, kind)
        except RecursionError:
            self._fault(path, "is nested too deeply")
            return UNSET
        if value is UNSET:
            self._fault(path, f"expected {expected(kind)}, found {found(raw, kind, path)}")
            return UNSET
        self.sources[path] = source
        return value

    def _fault(self, key: str, message: str) -> None:
        self.faults.append(Fault(key, message))


def _converted(raw: object, kind: Any) -> Any:
    """The value in its type; UNSET when it does not fit."""
    if any(get_origin(part) is dict for part in get_args(kind)):
        plain = _dates_as_text(raw)
        return plain if isinstance(plain, dict) and _is_json(plain) else UNSET
    try:
        value = msgspec.convert(raw, kind, dec_hook=_secret)
    except (msgspec.ValidationError, OverflowError):
        return UNSET
    # TOML knows nan and inf, and nan passes every bound.
    return UNSET if isinstance(value, float) and not math.isfinite(value) else value


def _secret(kind: type, raw: object) -> Any:
    if kind is Secret and isinstance(raw, str) and raw.strip():
        return Secret(raw)
    raise ValueError("no text")


def _dates_as_text(value: object) -> object:
    """TOML has dates, JSON writes them out: a rule may say `on_or_after = 2023-01-01` with or without quotes."""
    if isinstance(value, dict):
        return {name: _dates_as_text(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(member) for member in value]
    return value.isoformat() if isinstance(value, date) else value


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(member) for name, member in value.items())
    if isinstance(value, list):
        return all(_is_json(member) for member in value)
    return value is None or isinstance(value, str | int | float)


def _locations(text: str) -> object:
    """`id=token,id=token`, or a JSON array of tables. A bare id takes its token from elsewhere."""
    if text.lstrip().startswith("["):
        return msgspec.json.decode(text)
    pairs = (pair.strip().partition("=") for pair in text.split(",") if pair.strip())
    return [{"id": name.strip()} | ({"token": token.strip()} if equals else {}) for name, equals, token in pairs]


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
