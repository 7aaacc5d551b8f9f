"""The parameters behind a path's question mark, as a typed value."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web

from leadenrich.web.payload import clean
from leadenrich.web.problems import Refused

Query = TypeVar("Query", bound=msgspec.Struct)

_DIGITS_MAX = 9


def query_of(request: web.Request, kind: type[Query], *, strangers: bool = False) -> Query:
    """An empty value is as good as none. Raises: Refused 400.

    A parameter that nobody knows, or that is told twice, is refused unless `strangers` may come along: a filter that is
    silently left out shows, or changes, what was not meant.
    """
    hints = _hints(kind)
    if not strangers:
        for name in request.query:
            if name not in hints:
                raise Refused(400, f"{clean(name)[:40]} is no parameter here; there are {', '.join(hints)}.")
            if len(request.query.getall(name)) > 1:
                raise Refused(400, f"{name} is told more than once.")
    told = {name: clean(request.query.get(name)) for name in hints}
    return kind(**{name: _read(name, hints[name], text) for name, text in told.items() if text})


@cache
def _hints(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _read(name: str, hint: Any, text: str) -> Any:
    number = _is_number(hint) and text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    try:
        return msgspec.convert(int(text) if number else text, hint)
    except msgspec.ValidationError as error:
        choices = _choices(hint)
        wanted = f"must be one of {', '.join(choices)}" if choices else f"is not what it must be: {error}"
        raise Refused(400, f"{name} {wanted}.") from None


def _is_number(hint: Any) -> bool:
    return get_origin(hint) is Annotated and get_args(hint)[0] is int


def _choices(hint: Any) -> list[str]:
    kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, StrEnum)]
    return [member.value for kind in kinds for member in kind]
