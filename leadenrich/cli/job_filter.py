"""Which jobs are meant: the filters of the admin API, as options."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from leadenrich.store.job_list import JobFilter

Filter = TypeVar("Filter", bound=JobFilter)

FILTERS: Final = (
    "state", "lane", "contact", "location", "q", "outcome", "reason", "failure", "since", "until", "ended_since",
)  # fmt: skip


class WrongFilter(ValueError):
    """An option is not what it must be; the message says what it must be."""


def filter_of(args: argparse.Namespace, kind: type[Filter], **more: Any) -> Filter:
    """The options as one of the API's filters. Raises: WrongFilter."""
    hints = get_type_hints(kind, include_extras=True)
    told = {name: _read(name, value, hints[name]) for name in FILTERS if (value := getattr(args, name)) is not None}
    return kind(**told, **more)


def is_told(args: argparse.Namespace) -> bool:
    """Whether any filter is given: an empty one would mean every job."""
    return any(getattr(args, name) is not None for name in FILTERS)


def _read(name: str, text: str, hint: Any) -> Any:
    try:
        return _moment(text) if name in ("since", "until", "ended_since") else msgspec.convert(text, hint)
    except ValueError:  # msgspec's own is one
        choices = [str(choice) for choice in _choices(hint)]
        wanted = f"one of {', '.join(choices)}" if choices else "a date or a time, as 2026-11-24 or 2026-11-24T15:04Z"
        raise WrongFilter(f"--{name.replace('_', '-')} {text}: must be {wanted}") from None


def _moment(text: str) -> datetime:
    """ISO 8601; without a zone it is UTC, as all that is shown."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _choices(hint: Any) -> list[object]:
    """Of an enum, a Literal, or what may also be left out."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return list(hint)
    return [choice for part in get_args(hint) for choice in ([part] if isinstance(part, str) else _choices(part))]
