"""What a setting expects and what it found instead, in words; and text turned into what its type expects."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, time
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import inspect

from leadenrich.config.secret import Secret
from leadenrich.config.urls import without_password

_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"false", "no", "off", "0"})
_SHOWN_MAX: Final = 60  # signs of a wrong value


def expected(kind: Any) -> str:
    """A type in an operator's words, with its bounds."""
    if any(get_origin(part) is dict for part in get_args(kind)):
        return "a table (without times of day)"
    return " or ".join(_words(part) for part in _parts(kind) if not isinstance(part, inspect.NoneType))


def found(value: object, kind: Any = None, key: str = "") -> str:
    """A wrong value in words; of a secret only what sort of value it is."""
    if holds_secret(kind):
        return "an empty text" if isinstance(value, str) and not value.strip() else _sort(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, str):
        text = without_password(value) if key.endswith("url") else value
        return f"the text {msgspec.json.encode(text[:_SHOWN_MAX]).decode()}{'...' if len(text) > _SHOWN_MAX else ''}"
    return _sort(value)


def holds_secret(kind: Any) -> bool:
    """Whether a setting of this type must never be shown."""
    return kind is Secret or Secret in get_args(kind)


def from_text(text: str, kind: Any) -> object:
    """Text from the environment or a credential as the value its type expects.

    Text that does not fit is given back as it is: the conversion then says what was expected.
    """
    if any(get_origin(part) is dict for part in get_args(kind)):
        return _json(text)
    parts = _parts(kind)
    stripped = text.strip()
    if not stripped and any(isinstance(part, inspect.NoneType) for part in parts):
        return None  # `VARIABLE=` is how compose files spell "not set"
    for part in parts:
        match part:
            case inspect.BoolType() if stripped.lower() in _YES | _NO:
                return stripped.lower() in _YES
            case inspect.IntType() | inspect.FloatType():
                return _number(stripped, whole=isinstance(part, inspect.IntType))
            case inspect.VarTupleType() if stripped.startswith("["):
                return _json(stripped)
            case inspect.VarTupleType() if len(parts) == 1:
                items = [item.strip() for item in text.split(",") if item.strip()]
                numbers = isinstance(part.item_type, inspect.FloatType)
                return [_number(item, whole=False) for item in items] if numbers else items
            case inspect.CustomType():
                return stripped
    return text


def _parts(kind: Any) -> tuple[inspect.Type, ...]:
    info = inspect.type_info(kind)
    return info.types if isinstance(info, inspect.UnionType) else (info,)


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case inspect.FloatType():
            return f"a number{_bounds(info)}"
        case inspect.StrType():
            return _text_words(info)
        case inspect.LiteralType():
            return f"one of {', '.join(sorted(map(str, info.values)))}"
        case inspect.VarTupleType():
            return f"a list of {_list_words(info.item_type)}"
        case inspect.CustomType():
            return "a text"
    return "another sort of value"


def _list_words(item: inspect.Type) -> str:
    if not isinstance(item, inspect.FloatType):
        return "texts"
    most = "" if item.le is None else f", {item.le} at most"
    return f"numbers{_bounds(item)}{most}"


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    if info.gt is not None:
        return f" above {info.gt}"
    return f" of at least {info.ge}" if info.ge is not None else ""


def _text_words(info: inspect.StrType) -> str:
    if info.pattern is not None:
        return f"a text that matches {info.pattern}"
    return "a text that is not empty" if info.min_length else "a text"


def _sort(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case dict():
            return "a table"
        case datetime() | date() | time():
            return "a date or time"
    return type(value).__name__


def _number(text: str, *, whole: bool) -> object:
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        return text if whole else float(text)
    return text


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text
