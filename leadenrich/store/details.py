"""What an event tells besides its name: JSON that the scripts keep as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from leadenrich.core.retry import Failure

ERROR_CHARS = 500
TRACE_CHARS = 6_000


def failure_detail(failure: Failure, **more: Any) -> str:
    told = {"error": failure.error[:ERROR_CHARS], "trace": failure.trace[-TRACE_CHARS:], **source_of(failure)}
    return detail_of({**told, **more})


def source_of(failure: Failure) -> dict[str, Any]:
    """Who the error came from, as far as that is known."""
    told = {"provider": failure.provider or None, "status": failure.status}
    return {name: value for name, value in told.items() if value is not None}


def detail_of(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode() if value else ""


def plain(text: str) -> str:
    """Text that a script may put into JSON as it is."""
    return "".join(char for char in text if char.isalnum() or char in " .@_-")[:60] or "somebody"
