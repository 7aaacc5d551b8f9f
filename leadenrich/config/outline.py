"""A configuration as rows to show, and the secret values that must never be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from leadenrich.config.expectation import holds_secret
from leadenrich.config.load import Loaded
from leadenrich.config.reading import Source
from leadenrich.config.secret import Secret
from leadenrich.config.settings import Config
from leadenrich.config.urls import passwords_in, without_password


@dataclass(frozen=True, slots=True)
class Row:
    """One setting. `value` is as TOML spells it, secrets as asterisks, "" where there is none."""

    key: str
    value: str
    source: Source


def outline(loaded: Loaded) -> list[Row]:
    """Every setting with its value and where that is from, in the order of the file."""
    return list(_rows(loaded, loaded.config, ""))


def secret_values(config: Config) -> frozenset[str]:
    """Every secret text: for the log, which replaces them wherever they turn up."""
    return frozenset(_secret_values(config)) | frozenset(passwords_in(config.redis.url))


def _rows(loaded: Loaded, struct: Struct, key: str) -> Iterator[Row]:
    for member in fields(struct):
        path = f"{key}.{member.name}" if key else member.name
        value = getattr(struct, member.name)
        if isinstance(value, Struct):
            yield from _rows(loaded, value, path)
        elif isinstance(value, tuple) and value and isinstance(value[0], Struct):
            for index, element in enumerate(value):
                yield from _given(loaded, element, f"{path}[{index}]")
        elif isinstance(value, dict) and all(isinstance(element, Struct) for element in value.values()):
            for name, element in value.items():
                yield from _given(loaded, element, f"{path}.{name}")
        else:
            source = loaded.sources.get(path, Source("default"))
            yield Row(path, _shown(value, path, secret=holds_secret(member.type)), source)


def _given(loaded: Loaded, struct: Struct, key: str) -> Iterator[Row]:
    """The members that were given; None means "as the preset has it" there."""
    yield from (row for row in _rows(loaded, struct, key) if row.value)


def _shown(value: object, key: str, *, secret: bool) -> str:
    if value is None or value == ():
        return "" if value is None else "[]"
    if secret:
        return "********"
    if isinstance(value, str) and key.endswith("url"):
        value = without_password(value)
    return msgspec.json.encode(value).decode()


def _secret_values(value: object) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Struct):
        for member in fields(value):
            yield from _secret_values(getattr(value, member.name))
    elif isinstance(value, tuple):
        for element in value:
            yield from _secret_values(element)
